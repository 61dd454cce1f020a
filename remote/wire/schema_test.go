package wire_test

import (
	"context"
	"io"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/troupe-go/troupe/remote/wire"
)

type pair[A, B any] struct {
	First  A
	Second B
}

type (
	celsius float64
	mutualA struct{ B *mutualB }
	mutualB struct{ A []mutualA }
)

const here = "github.com/troupe-go/troupe/remote/wire_test."

func TestDescribeSpellsTypesOut(t *testing.T) {
	for _, c := range []struct {
		t    reflect.Type
		want string
	}{
		{reflect.TypeFor[int](), "int"},
		{reflect.TypeFor[any](), "any"},
		{reflect.TypeFor[struct{}](), "struct{}"},
		{reflect.TypeFor[map[string][]*[3]byte](), "map[string][]*[3]uint8"},
		{reflect.TypeFor[celsius](), here + "celsius (float64)"},
		{reflect.TypeFor[time.Time](), "time.Time"},
		{reflect.TypeFor[time.Duration](), "time.Duration (int64)"},
		{reflect.TypeFor[*durationpb.Duration](), "proto google.protobuf.Duration"},
		{reflect.TypeFor[durationpb.Duration](), "proto google.protobuf.Duration"},
		{reflect.TypeFor[node](), here + "node (struct{Value int; Next *" + here + "node})"},
		{reflect.TypeFor[mutualA](), here + "mutualA (struct{B *" + here + "mutualB (struct{A []" + here + "mutualA})})"},
		{reflect.TypeFor[pair[int, line]](), here + "pair[int," + here + "line] (struct{First int; Second " + here + "line (struct{Item string; Count int})})"},
		{reflect.TypeFor[base](), here + `base (struct{ID int64; Kind string json:"kind,omitempty"})`},
		{reflect.TypeFor[struct {
			base
			a int
			B int `json:"-"`
			C int `cbor:"c" db:"x"`
		}](), "struct{" + here + `base (struct{ID int64; Kind string json:"kind,omitempty"}); C int cbor:"c"}`},
		{reflect.TypeFor[chan int](), "chan"},
		{reflect.TypeFor[func()](), "func"},
		{reflect.TypeFor[interface{ Close() error }](), "interface{Close}"},
		{nil, "nil"},
	} {
		if got := wire.Describe(c.t); got != c.want {
			t.Errorf("%v:\n got %s\nwant %s", c.t, got, c.want)
		}
	}
}

func TestDescribeIsCut(t *testing.T) {
	var fields []reflect.StructField
	for i := range 100 {
		fields = append(fields, reflect.StructField{Name: "Field" + strings.Repeat("é", i+1), Type: reflect.TypeFor[int]()})
	}
	long := reflect.StructOf(fields)
	if got := wire.Describe(long); len(got) > 1<<10 || !strings.HasSuffix(got, "… (cut)") {
		t.Errorf("got %d bytes: %s", len(got), got)
	}
	fields[99].Name += "x"
	other := reflect.StructOf(fields)
	if wire.Describe(long) != wire.Describe(other) || wire.TypeHash(long) == wire.TypeHash(other) {
		t.Error("the hash does not see what is cut")
	}
}

func TestTypeHashIsTheSameInEveryBuild(t *testing.T) {
	for _, c := range []struct {
		t    reflect.Type
		want uint64
	}{
		{reflect.TypeFor[int](), 0xda9b6ddd0fa1462d},
		{reflect.TypeFor[order](), 0x8c73ef9205cede1c},
		{reflect.TypeFor[*structpb.Value](), 0x24c151994e5a46b5},
	} {
		if got := wire.TypeHash(c.t); got != c.want {
			t.Errorf("%v: got %#x, want %#x", c.t, got, c.want)
		}
	}
}

func TestTypeHashTellsTypesApart(t *testing.T) {
	seen := make(map[uint64]reflect.Type)
	for _, typ := range []reflect.Type{
		reflect.TypeFor[int](), reflect.TypeFor[int64](), reflect.TypeFor[*int](), reflect.TypeFor[[]int](), reflect.TypeFor[[1]int](), reflect.TypeFor[[2]int](),
		reflect.TypeFor[float64](), reflect.TypeFor[celsius](), reflect.TypeFor[any](), reflect.TypeFor[error](),
		reflect.TypeFor[struct{ A int }](), reflect.TypeFor[struct{ B int }](), reflect.TypeFor[struct{ A, B int }](), reflect.TypeFor[struct{ B, A int }](),
		reflect.TypeFor[struct {
			A int `json:"a"`
		}](), reflect.TypeFor[struct {
			A int `cbor:"a"`
		}](),
		reflect.TypeFor[pair[int, int]](), reflect.TypeFor[pair[int, string]](), reflect.TypeFor[map[string]int](), reflect.TypeFor[map[int]string](),
		reflect.TypeFor[*durationpb.Duration](), reflect.TypeFor[*structpb.Value](), reflect.TypeFor[time.Time](),
	} {
		h := wire.TypeHash(typ)
		if other, twice := seen[h]; twice {
			t.Errorf("%v and %v have the same hash", typ, other)
		}
		seen[h] = typ
	}
	if wire.MethodHash(reflect.TypeFor[int](), reflect.TypeFor[string]()) == wire.MethodHash(reflect.TypeFor[string](), reflect.TypeFor[int]()) {
		t.Error("argument and result can be exchanged")
	}
}

func TestTypeHashIgnoresWhatDoesNotTravel(t *testing.T) {
	a := reflect.TypeFor[struct {
		A int `db:"a"`
		b int
	}]()
	b := reflect.TypeFor[struct {
		c string
		A int
		D func() `cbor:"-"`
	}]()
	if wire.TypeHash(a) != wire.TypeHash(b) {
		t.Errorf("%s and %s differ", wire.Describe(a), wire.Describe(b))
	}
}

func TestSchemasAgreeIfNameKindAndTypesDo(t *testing.T) {
	in, out := reflect.TypeFor[order](), reflect.TypeFor[int]()
	s := wire.TaskSchema("price", in, out)
	if got := wire.Announced(s.Announce()); got != s || !got.Same(s) {
		t.Errorf("got %+v, want %+v", got, s)
	}
	cut := s
	cut.In, cut.Out = "", ""
	if !s.Same(cut) {
		t.Error("the text for people counts")
	}
	for _, other := range []wire.Schema{
		wire.TaskSchema("prices", in, out), wire.TaskSchema("price", out, in), wire.TaskSchema("price", in, in),
		wire.WorkerSchema("price", in),
	} {
		if s.Same(other) {
			t.Errorf("%v is the same as %v", s, other)
		}
	}
	if got := wire.TaskSchema("f", out, reflect.TypeFor[string]()).String(); !strings.HasPrefix(got, "task from int to string (") {
		t.Errorf("got %s", got)
	}
	type account struct{ Balance func() } // need not be portable
	if got := wire.WorkerSchema("f", reflect.TypeFor[*account]()).String(); !strings.HasPrefix(got, "worker *"+here+"account (") {
		t.Errorf("got %s", got)
	}
}

// shouted writes itself and cannot be read.
type shouted string

func (s shouted) MarshalText() ([]byte, error) { return []byte(strings.ToUpper(string(s))), nil }

// What embeds a message has its methods and is none.
func TestWhatEmbedsAMessageIsNoMessage(t *testing.T) {
	type wrapper struct {
		*durationpb.Duration
		N int
	}
	type empty struct {
		proto.Message
		N int
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[wrapper](), reflect.TypeFor[*wrapper](), reflect.TypeFor[empty](), reflect.TypeFor[*empty](),
		reflect.TypeFor[*dynamicpb.Message](),
	} {
		if got := wire.DefaultFor(typ); got != wire.CBOR {
			t.Errorf("%v goes as %s", typ, got.ID())
		}
		if got := wire.Describe(typ); strings.HasPrefix(got, "proto") {
			t.Errorf("%v is described as %s", typ, got)
		}
	}
	c := standard(t)
	onlyProto, err := wire.NewCodecs(wire.Proto)
	if err != nil {
		t.Fatal(err)
	}
	for _, codecs := range []*wire.Codecs{c, onlyProto} {
		if p, err := wire.Encode(codecs, &wrapper{Duration: durationpb.New(5), N: 7}, limit); err == nil {
			t.Errorf("%s: %d bytes were sent, and N was lost", p.Codec, len(p.Data))
		}
	}
	type byValue struct {
		durationpb.Duration
		N int
	}
	if _, err := wire.DecodeValue(onlyProto, reflect.TypeFor[byValue](), wire.Payload{Codec: "proto"}); err == nil {
		t.Error("what embeds a message was read as one")
	}
}

func TestPortableNamesThePlace(t *testing.T) {
	type hidden = strings.Reader
	for _, c := range []struct {
		t    reflect.Type
		want string // after the type; empty: portable
	}{
		{reflect.TypeFor[order](), ""},
		{reflect.TypeFor[node](), ""},
		{reflect.TypeFor[struct{}](), ""},
		{reflect.TypeFor[any](), ""},
		{reflect.TypeFor[*durationpb.Duration](), ""},
		{reflect.TypeFor[time.Time](), ""},
		{reflect.TypeFor[struct {
			sync.Mutex
			A int
		}](), ""},
		{reflect.TypeFor[struct {
			F func() `json:"-"`
			A int
		}](), ""},
		{reflect.TypeFor[url.URL](), ""},
		{reflect.TypeFor[**url.URL](), ""},
		{reflect.TypeFor[chan int](), ": cannot be sent"},
		{reflect.TypeFor[uintptr](), ": cannot be sent"},
		{reflect.TypeFor[[]shouted](), "[]: has a method that writes it"},
		{reflect.TypeFor[struct{ *base }](), ".base: an embedded pointer to a type that is not exported"},
		{reflect.TypeFor[struct {
			sync.Mutex
			a int
		}](), ": has no exported field"},
		{reflect.TypeFor[struct {
			sync.Mutex
			A struct{ sync.Mutex }
		}](), ".A: has no exported field"},
		{reflect.TypeFor[struct{ *durationpb.Duration }](), ".Duration: a protobuf message within a Go type"},
		{reflect.TypeFor[struct{ proto.Message }](), ".Message: an interface with methods"},
		{reflect.TypeFor[*dynamicpb.Message](), ": has no exported field"},
		{reflect.TypeFor[complex128](), ": cannot be sent"},
		{reflect.TypeFor[error](), ": an interface with methods"},
		{reflect.TypeFor[hidden](), ": has no exported field"},
		{reflect.TypeFor[[]hidden](), "[]: has no exported field"},
		{reflect.TypeFor[map[string]io.Reader](), "[]: an interface with methods"},
		{reflect.TypeFor[map[hidden]int](), " key: has no exported field"},
		{reflect.TypeFor[struct{ A struct{ B []func() } }](), ".A.B[]: cannot be sent"},
		{reflect.TypeFor[struct{ Ctx context.Context }](), ".Ctx: an interface with methods"},
		{reflect.TypeFor[struct{ M *durationpb.Duration }](), ".M: a protobuf message within a Go type"},
	} {
		err := wire.Portable(c.t)
		switch want := "wire: " + c.t.String() + c.want; {
		case c.want == "" && err != nil:
			t.Errorf("%v: %v", c.t, err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
