package wire_test

import (
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/remote/wire"
)

type base struct {
	ID   int64
	Kind string `json:"kind,omitempty"`
}

type order struct {
	base     // its fields are promoted
	Lines    []line
	Notes    map[string]*string
	Blob     []byte
	Weight   float64
	Small    float32
	Big      uint64
	Flags    [3]bool
	Key      [4]byte
	Next     *order
	Any      any
	At       time.Time
	Renamed  int `cbor:"r" json:"other"`
	Skipped  int `json:"-"`
	private  int
	Duration time.Duration
}

type line struct {
	Item  string
	Count int
}

var anys = rapid.OneOf(
	rapid.Just[any](nil),
	rapid.Bool().AsAny(),
	rapid.Int64().AsAny(),
	text.AsAny(),
	rapid.Float64().AsAny(),
	rapid.SliceOf(rapid.Byte()).AsAny(),
	rapid.Map(rapid.SliceOf(rapid.Int64()), func(s []int64) any {
		out := make([]any, len(s))
		for i := range s {
			out[i] = s[i]
		}
		return out
	}),
	rapid.Map(rapid.MapOf(text, rapid.Bool()), func(m map[string]bool) any {
		out := make(map[string]any)
		for k, v := range m {
			out[k] = v
		}
		return out
	}),
)

func orders(depth int) *rapid.Generator[order] {
	return rapid.Custom(func(t *rapid.T) order {
		o := order{
			base:     base{ID: rapid.Int64().Draw(t, "id"), Kind: text.Draw(t, "kind")},
			Notes:    rapid.MapOfN(text, rapid.Ptr(text, true), 0, 3).Draw(t, "notes"),
			Blob:     rapid.SliceOf(rapid.Byte()).Draw(t, "blob"),
			Weight:   rapid.Float64().Draw(t, "weight"),
			Small:    rapid.Float32().Draw(t, "small"),
			Big:      rapid.Uint64().Draw(t, "big"),
			Flags:    [3]bool{rapid.Bool().Draw(t, "flag")},
			Key:      [4]byte{rapid.Byte().Draw(t, "key")},
			Any:      anys.Draw(t, "any"),
			At:       time.Unix(rapid.Int64Range(-6e10, 2e11).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC(),
			Renamed:  rapid.Int().Draw(t, "renamed"),
			Duration: time.Duration(rapid.Int64().Draw(t, "d")),
		}
		for range rapid.IntRange(0, 3).Draw(t, "lines") {
			o.Lines = append(o.Lines, line{Item: text.Draw(t, "item"), Count: rapid.Int().Draw(t, "count")})
		}
		if rapid.Bool().Draw(t, "nil") {
			o.Notes, o.Blob = nil, nil
		}
		if depth > 0 && rapid.Bool().Draw(t, "more") {
			next := orders(depth-1).Draw(t, "next")
			o.Next = &next
		}
		return o
	})
}

func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	c := standard(t)
	rapid.Check(t, func(t *rapid.T) {
		want := orders(3).Draw(t, "order")
		p, err := wire.Encode(c, want, limit)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.Decode[order](c, p)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v\nwant %#v", got, want)
		}
		again, err := wire.Encode(c, got, limit)
		if err != nil || string(again.Data) != string(p.Data) {
			t.Errorf("the same value makes other bytes: %x and %x, %v", again.Data, p.Data, err)
		}
	})
}

func TestTagsSayWhatTravels(t *testing.T) {
	got := there(t, order{Skipped: 1, private: 2, Renamed: 3})
	if got.Skipped != 0 || got.private != 0 || got.Renamed != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestTimesArriveAsTheSameInstantWithTheSameOffset(t *testing.T) {
	for _, want := range []time.Time{
		{}, time.Now(), time.Now().UTC(), time.Date(2026, 2, 3, 4, 5, 6, 789, time.FixedZone("X", -5*3600-1800)),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC),
	} {
		got := there(t, want)
		_, gotOffset := got.Zone()
		_, wantOffset := want.Zone()
		if !got.Equal(want) || gotOffset != wantOffset || got.IsZero() != want.IsZero() {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if got, ok := there[any](t, time.Unix(5, 6).UTC()).(time.Time); !ok || !got.Equal(time.Unix(5, 6)) {
		t.Errorf("in an any: got %v", got)
	}
	if _, err := wire.Encode(standard(t), time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), limit); err == nil {
		t.Error("a year of five digits was sent")
	}
}

func TestFloatsArriveExactly(t *testing.T) {
	for _, want := range []float64{0, math.Copysign(0, -1), 1.5, 0.1, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN()} {
		if got := there(t, want); math.Float64bits(got) != math.Float64bits(want) && !math.IsNaN(want) || math.IsNaN(got) != math.IsNaN(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestNilAndEmptyStayApart(t *testing.T) {
	if got := there[[]int](t, nil); got != nil {
		t.Errorf("nil arrived as %#v", got)
	}
	if got := there(t, []int{}); got == nil {
		t.Error("an empty slice arrived as nil")
	}
	if got := there[map[string]int](t, nil); got != nil {
		t.Errorf("nil arrived as %#v", got)
	}
	if got := there(t, map[string]int{}); got == nil {
		t.Error("an empty map arrived as nil")
	}
	if got := there[[]byte](t, nil); got != nil {
		t.Errorf("nil arrived as %#v", got)
	}
	if got := there[*order](t, nil); got != nil {
		t.Errorf("nil arrived as %#v", got)
	}
	if got := there[any](t, nil); got != nil {
		t.Errorf("nil arrived as %#v", got)
	}
}

func TestAnyHoldsPlainKinds(t *testing.T) {
	for _, c := range []struct{ in, want any }{
		{5, int64(5)},
		{uint8(5), int64(5)},
		{-5, int64(-5)},
		{uint64(math.MaxUint64), *new(big.Int).SetUint64(math.MaxUint64)},
		{float32(0.5), 0.5},
		{"x", "x"},
		{[]byte{1}, []byte{1}},
		{[]int{1, 2}, []any{int64(1), int64(2)}},
		{line{Item: "a", Count: 2}, map[string]any{"Item": "a", "Count": int64(2)}},
		{map[string]any{"a": []any{nil, true}}, map[string]any{"a": []any{nil, true}}},
		{time.Time{}, nil},
	} {
		if got := there[any](t, c.in); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%T arrived as %#v, want %#v", c.in, got, c.want)
		}
	}
	c := standard(t)
	p, err := wire.Encode[any](c, map[int]int{1: 2}, limit)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.Decode[any](c, p); err == nil {
		t.Errorf("a map with numbers for keys arrived as %#v", got)
	}
	if got := there(t, map[int]int{1: 2}); got[1] != 2 {
		t.Errorf("got %v", got)
	}
}

func TestTypesWithAnEncodingOfTheirOwnUseIt(t *testing.T) {
	u, err := url.Parse("https://u:p@example.com/a?b#c")
	if err != nil {
		t.Fatal(err)
	}
	if got := there(t, *u); got.String() != u.String() {
		t.Errorf("got %s, want %s", &got, u)
	}
	if got := there(t, u); got.String() != u.String() {
		t.Errorf("got %s, want %s", got, u)
	}
	a := netip.MustParseAddrPort("[fe80::1%eth0]:80")
	if got := there(t, map[string]netip.AddrPort{"a": a}); got["a"] != a {
		t.Errorf("got %v, want %v", got, a)
	}
	r := big.NewRat(1, 3) // text only
	if got := there(t, r); got.Cmp(r) != 0 {
		t.Errorf("got %v, want %v", got, r)
	}
	n := new(big.Int).Lsh(big.NewInt(-1), 200)
	if got := there(t, n); got.Cmp(n) != 0 {
		t.Errorf("got %v, want %v", got, n)
	}
}

func TestLargeSlicesArrive(t *testing.T) {
	c := standard(t)
	want := make([]float64, 1<<20)
	want[1<<20-1] = 0.1
	p, err := wire.Encode(c, want, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.Decode[[]float64](c, p)
	if err != nil || len(got) != len(want) || got[1<<20-1] != 0.1 {
		t.Errorf("got %d elements, %v", len(got), err)
	}
}

type node struct {
	Value int
	Next  *node
}

func chainOf(n int) *node {
	var first *node
	for i := range n {
		first = &node{Value: i, Next: first}
	}
	return first
}

func TestValuesThatHoldThemselvesAreRefused(t *testing.T) {
	ring := chainOf(3)
	ring.Next.Next.Next = ring
	slice := []any{1, nil}
	slice[1] = slice
	table := map[string]any{}
	table["self"] = table
	type pointer *pointer
	var p pointer
	p = &p
	c := standard(t)
	for name, encode := range map[string]func() error{
		"pointers":       func() error { _, err := wire.Encode(c, ring, limit); return err },
		"slice":          func() error { _, err := wire.Encode(c, slice, limit); return err },
		"map":            func() error { _, err := wire.Encode(c, table, limit); return err },
		"any":            func() error { _, err := wire.Encode[any](c, table, limit); return err },
		"only a pointer": func() error { _, err := wire.Encode(c, p, limit); return err },
		"too deep":       func() error { _, err := wire.Encode(c, chainOf(wire.Levels+1), limit); return err },
		"message":        func() error { _, err := wire.Encode[any](c, &durationpb.Duration{}, limit); return err },
		"message within": func() error { _, err := wire.Encode(c, []any{&durationpb.Duration{}}, limit); return err },
	} {
		if err := encode(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if got := there(t, chainOf(wire.Levels)); got.Value != wire.Levels-1 {
		t.Errorf("got %d", got.Value)
	}
}

type (
	twice[T any] struct{ A, B *T }
	five[T any]  = twice[twice[twice[twice[twice[T]]]]]
)

// There are 2^50 ways through this type.
func TestTypesOfManyBranchesAreQuick(t *testing.T) {
	type bush = five[five[five[five[five[five[five[five[five[five[int]]]]]]]]]]
	if got := there(t, bush{}); got != (bush{}) {
		t.Errorf("got %v", got)
	}
	if err := wire.Portable(reflect.TypeFor[bush]()); err != nil {
		t.Error(err)
	}
}

func TestPointersToWhatIsSentAsNullArriveAsNil(t *testing.T) {
	if got := there(t, new([]int)); got != nil {
		t.Errorf("a nil slice: got %v", got)
	}
	if got := there(t, new(time.Time)); got != nil {
		t.Errorf("the zero time: got %v", got)
	}
}

func TestDecodeRefusesHostileCBOR(t *testing.T) {
	c := standard(t)
	for name, data := range map[string]string{
		"empty":             "",
		"deep":              strings.Repeat("\x81", 100_000) + "\x00",
		"array of 4 G":      "\x9a\xff\xff\xff\xff",
		"array of 2^63":     "\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
		"map of 2^63":       "\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
		"string of 2^63":    "\x7b\x7f\xff\xff\xff\xff\xff\xff\xff",
		"bytes of 2^64-1":   "\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
		"indefinite length": "\x9f\x01\xff",
		"twice a key":       "\xa2\x61a\x01\x61a\x02",
		"more than one":     "\x01\x02",
	} {
		if got, err := wire.Decode[any](c, wire.Payload{Codec: "cbor", Data: []byte(data)}); err == nil {
			t.Errorf("%s: got %#v", name, got)
		}
	}
}
