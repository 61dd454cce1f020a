package wire_test

import (
	"errors"
	"reflect"
	"runtime/metrics"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-go/troupe/remote/wire"
)

// allocated returns the bytes that fn allocates, up to some blocks that a
// processor has taken and not used, and what others allocate meanwhile.
func allocated(fn func()) uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	fn()
	metrics.Read(sample)
	return sample[0].Value.Uint64() - before
}

func FuzzRead(f *testing.F) {
	data, err := wire.Write(golden())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, data := range hostile() {
		f.Add(data[:min(len(data), 1000)])
	}
	f.Add([]byte("\x08\x01\x62\x00"))
	bounds := wire.Bounds{Bytes: 1 << 16, Items: 1 << 10}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e *wire.Envelope
		var err error
		if got := allocated(func() { e, err = wire.Read(data, bounds) }); got > 30*uint64(len(data))+512<<10+1<<20 {
			t.Errorf("%d bytes took %d bytes of memory", len(data), got)
		}
		if err != nil {
			var envelope *wire.EnvelopeError
			var version *wire.VersionError
			if e != nil || !errors.As(err, &envelope) && !errors.As(err, &version) {
				t.Errorf("got %v and the error %T %v", e, err, err)
			}
			return
		}
		for _, a := range e.Answers {
			if err := wire.DecodeError(a.Failure); err != nil {
				_ = err.Error()
			}
		}
		again, err := wire.Write(e)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		back, err := wire.Read(again, wire.Bounds{})
		if err != nil || !proto.Equal(back, e) {
			t.Errorf("read again: %v, %v", back, err)
		}
	})
}

func FuzzDecodeError(f *testing.F) {
	for _, a := range golden().Answers {
		if a.Failure != nil {
			data, err := proto.Marshal(a.Failure)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	for _, code := range []string{
		"fs.PathError", "os.LinkError", "os.SyscallError", "strconv.NumError", "task.RetryError", "task.TimeoutError",
		"limits.RequestError", "wire.CodecError", "wire.PayloadError", "wire.VersionError", "app.CodeError", "errors.Join", "io.EOF",
	} {
		for _, details := range []string{"", "\x05", "\x65write", "\x82\x61a\x61b", "\x83\x61a\x61b\x61c", "\x81\xa1\x66Number\x01", "\xa1\x64Kind\x01"} {
			data, err := proto.Marshal(&wire.Failure{Codes: []string{code}, Text: "x", Details: []byte(details), Causes: []*wire.Failure{{Text: "y"}}})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var failure wire.Failure
		if wire.Check(field(7, field(4, data)), wire.Bounds{}) != nil || proto.Unmarshal(data, &failure) != nil {
			return
		}
		err := wire.DecodeError(&failure)
		if err == nil {
			t.Fatal("a failure became nil")
		}
		for _, s := range sentinels {
			_ = errors.Is(err, s)
		}
		// Once decoded, nothing more is lost on the way.
		text := err.Error()
		again := wire.DecodeError(wire.EncodeError(err))
		if len(text) < 1000 && again.Error() != text {
			t.Errorf("%q arrived as %q", text, again)
		}
		for _, s := range sentinels {
			if errors.Is(again, s) != errors.Is(err, s) {
				t.Errorf("errors.Is(%v) changed on the way", s)
			}
		}
	})
}

// plain has no type that is in a form of its own, and no time, as the year
// 10000 can be read but not written.
type plain struct {
	A int
	B string
	C []byte
	D []plain
	E map[string]*plain
	F float64
	G [2]bool
	H uint8
}

func FuzzDecode(f *testing.F) {
	c := standard(f)
	for _, v := range []any{1, "x", nil, []any{1, "a", nil, 1.5}, map[string]any{"a": []byte{1}}, plain{D: []plain{{A: 5}}}, order{Any: 5}} {
		p, err := wire.Encode(c, v, limit)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := wire.Payload{Codec: "cbor", Data: data}
		most := uint64(len(data))*(uint64(reflect.TypeFor[order]().Size())+1000) + 1<<20
		if got := allocated(func() {
			_, _ = wire.Decode[any](c, p)
			_, _ = wire.Decode[order](c, p)
			_, _ = wire.Decode[[]order](c, p)
		}); got > most {
			t.Errorf("%d bytes took %d bytes of memory", len(data), got)
		}
		v, err := wire.Decode[plain](c, p)
		if err != nil {
			return
		}
		again, err := wire.Encode(c, v, 100*limit)
		if err != nil {
			t.Fatal(err)
		}
		back, err := wire.Decode[plain](c, again)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := wire.Encode(c, back, 100*limit); err != nil || string(twice.Data) != string(again.Data) {
			t.Errorf("got %#v, want %#v", back, v)
		}
	})
}
