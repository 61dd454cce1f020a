package wire_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/remote/wire"
)

const limit = 1 << 20

func standard(t rapid.TB) *wire.Codecs {
	t.Helper()
	c, err := wire.NewCodecs()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// there sends v and returns what arrives.
func there[T any](t rapid.TB, v T) T {
	t.Helper()
	c := standard(t)
	p, err := wire.Encode(c, v, limit)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.Decode[T](c, p)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestDefaultForChoosesByType(t *testing.T) {
	for _, c := range []struct {
		t    reflect.Type
		want wire.Codec
	}{
		{reflect.TypeFor[*durationpb.Duration](), wire.Proto},
		{reflect.TypeFor[durationpb.Duration](), wire.Proto},
		{reflect.TypeFor[int](), wire.CBOR},
		{reflect.TypeFor[[]*durationpb.Duration](), wire.CBOR},
		{reflect.TypeFor[any](), wire.CBOR},
		{reflect.TypeFor[proto.Message](), wire.CBOR},
	} {
		if got := wire.DefaultFor(c.t); got != c.want {
			t.Errorf("DefaultFor(%v) = %s, want %s", c.t, got.ID(), c.want.ID())
		}
	}
}

func TestMessagesTravelAsProtobuf(t *testing.T) {
	want := &durationpb.Duration{Seconds: 3, Nanos: 7}
	if got := there(t, want); !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := there(t, &durationpb.Duration{}); got == nil {
		t.Error("an empty message arrived as nil")
	}
	if got := there[*durationpb.Duration](t, nil); got != nil {
		t.Errorf("nil arrived as %v", got)
	}
	s, err := structpb.NewStruct(map[string]any{"b": 1, "a": []any{nil, "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := there(t, s); !proto.Equal(got, s) {
		t.Errorf("got %v, want %v", got, s)
	}
	p, err := wire.Encode(standard(t), want, limit)
	if raw, _ := proto.Marshal(want); err != nil || p.Codec != "proto" || string(p.Data) != string(raw) {
		t.Errorf("got %v, %v; want the bytes of protobuf itself", p, err)
	}
}

func TestMessagesTravelByValueToo(t *testing.T) {
	c := standard(t)
	typ := reflect.TypeFor[durationpb.Duration]()
	p, err := wire.EncodeValue(c, typ, reflect.ValueOf(&durationpb.Duration{Seconds: 5}).Elem().Interface(), limit)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeValue(c, typ, p)
	if err != nil || got.Addr().Interface().(*durationpb.Duration).Seconds != 5 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWhatHasNoSizeTravelsWithoutPayload(t *testing.T) {
	c := standard(t)
	p, err := wire.Encode(c, struct{}{}, 0)
	if err != nil || p.Codec != "" || p.Data != nil {
		t.Errorf("got %v, %v; want an empty payload", p, err)
	}
	if _, err := wire.Decode[struct{}](c, p); err != nil {
		t.Error(err)
	}
	if got, err := wire.Decode[int](c, p); got != 0 || err != nil {
		t.Errorf("got %d, %v; want the zero value", got, err)
	}
}

func TestEncodeRefusesWhatIsTooLarge(t *testing.T) {
	c := standard(t)
	if _, err := wire.Encode(c, make([]byte, 95), 97); err != nil {
		t.Errorf("as large as may be: %v", err)
	}
	_, err := wire.Encode(c, make([]byte, 96), 97)
	var fault *wire.PayloadError
	if !errors.As(err, &fault) || fault.Size != 98 || fault.Max != 97 {
		t.Fatalf("got %v, want a PayloadError of 98 bytes above 97", err)
	}
	fault.Task = "hash"
	if got, want := fault.Error(), `wire: task "hash": argument or result of 98 bytes, want at most 97: MaxPayload of either side bounds it`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCodecErrorsNameCodecAndType(t *testing.T) {
	c := standard(t)
	_, encoding := wire.Encode(c, make(chan int), limit)
	_, decoding := wire.Decode[int](c, wire.Payload{Codec: "cbor", Data: []byte{0x61, 'x'}})
	_, unknown := wire.Decode[int](c, wire.Payload{Codec: "gob", Data: []byte{1}})
	_, wrong := wire.Decode[int](c, wire.Payload{Codec: "proto", Data: []byte{1}})
	_, noMessage := wire.Decode[*durationpb.Duration](c, wire.Payload{Codec: "proto", Data: []byte{0xff}})
	for _, e := range []struct {
		err  error
		want string
	}{
		{encoding, "wire: encode chan int as cbor: "},
		{decoding, "wire: decode int as cbor: "},
		{unknown, "wire: decode int as gob: this side does not know the codec"},
		{wrong, "wire: decode int as proto: a *int does not point to a protobuf message"},
		{noMessage, "wire: decode *durationpb.Duration as proto: "},
	} {
		var fault *wire.CodecError
		if !errors.As(e.err, &fault) || !strings.HasPrefix(e.err.Error(), e.want) || errors.Unwrap(fault) == nil {
			t.Errorf("got %v, want %s", e.err, e.want)
		}
	}
}

// jsonCodec is what a user may bring.
type jsonCodec struct{}

func (jsonCodec) ID() string                            { return "json" }
func (jsonCodec) Marshal(v any) ([]byte, error)         { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, into any) error { return json.Unmarshal(data, into) }

func TestACodecOfOnesOwnIsPreferredAndTheOthersStayKnown(t *testing.T) {
	c, err := wire.NewCodecs(jsonCodec{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire.Encode(c, map[string]int{"a": 1}, limit)
	if err != nil || p.Codec != "json" || string(p.Data) != `{"a":1}` {
		t.Errorf("got %v, %v", p, err)
	}
	cbor, err := wire.Encode(standard(t), 7, limit)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.Decode[int](c, cbor); got != 7 || err != nil {
		t.Errorf("got %d, %v; want 7", got, err)
	}
	if c.ByID("json") != (jsonCodec{}) || c.ByID("gob") != nil {
		t.Error("ByID is wrong")
	}
	if c, err = wire.NewCodecs(wire.CBOR); err != nil || c.For(reflect.TypeFor[*durationpb.Duration]()) != wire.CBOR {
		t.Errorf("CBOR cannot be preferred: %v", err)
	}
}

// badCodec has the id that it is.
type badCodec string

func (c badCodec) ID() string                  { return string(c) }
func (c badCodec) Marshal(any) ([]byte, error) { panic("marshal " + string(c)) }
func (c badCodec) Unmarshal([]byte, any) error { panic("unmarshal " + string(c)) }

func TestNewCodecsReportsAllFaults(t *testing.T) {
	_, err := wire.NewCodecs(nil, badCodec(""), badCodec("cbor"), badCodec("x"), badCodec("x"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"nil codec", "empty id", `id "cbor" is taken`, `id "x" is taken`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestAPanicInACodecIsAnError(t *testing.T) {
	c, err := wire.NewCodecs(badCodec("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.Encode(c, 1, limit); err == nil || !strings.Contains(err.Error(), "panic: marshal x") {
		t.Errorf("got %v", err)
	}
	if _, err := wire.Decode[int](c, wire.Payload{Codec: "x"}); err == nil || !strings.Contains(err.Error(), "panic: unmarshal x") {
		t.Errorf("got %v", err)
	}
}
