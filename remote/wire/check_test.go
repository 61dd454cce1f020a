package wire_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/troupe-go/troupe/remote/wire"
)

func TestCheckKnowsAllMessagesOfTheEnvelope(t *testing.T) {
	for _, fault := range wire.ShapeFaults((&wire.Envelope{}).ProtoReflect().Descriptor()) {
		t.Error(fault)
	}
}

// field is one field with content.
func field(number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

func TestCheckKeepsToItsBounds(t *testing.T) {
	deep := []byte{}
	for range 200 {
		deep = field(4, deep) // Failure.causes
	}
	deep = field(7, field(4, deep)) // Envelope.answers, Answer.failure
	for name, c := range map[string]struct {
		data   []byte
		bounds wire.Bounds
		want   string // empty: no fault
	}{
		"nothing":              {},
		"too large":            {data: make([]byte, 100), bounds: wire.Bounds{Bytes: 99}, want: "100 bytes, want at most 99"},
		"empty calls":          {data: []byte(strings.Repeat("\x32\x00", 1001)), bounds: wire.Bounds{Items: 1000}, want: "more than 1000 items"},
		"as many calls as may": {data: []byte(strings.Repeat("\x32\x00", 1000)), bounds: wire.Bounds{Items: 1000}},
		"empty names":          {data: []byte(strings.Repeat("\x2a\x00", 1001)), bounds: wire.Bounds{Items: 1000}, want: "more than 1000 items"},
		"too deep":             {data: deep, want: "more than 128 deep"},
		"deep enough":          {data: deep, bounds: wire.Bounds{Depth: 300}},
		"cut":                  {data: []byte{0x32, 0x05, 0x08}, want: "not well-formed"},
		"cut within a call":    {data: []byte{0x32, 0x01, 0x08}, want: "not well-formed"},
		"group":                {data: []byte{0x0b, 0x0c}, want: "not well-formed: a group"},
		"end of a group":       {data: []byte{0x0c}, want: "not well-formed: a group"},
		"number zero":          {data: []byte{0x02, 0x00}, want: "not well-formed"},
	} {
		t.Run(name, func(t *testing.T) {
			err := wire.Check(c.data, c.bounds)
			var fault *wire.EnvelopeError
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want no fault", err)
			case c.want != "" && (!errors.As(err, &fault) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	data, err := wire.Write(golden())
	if err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(100, func() { _ = wire.Check(data, wire.Bounds{}) }); got != 0 {
		t.Errorf("Check made %v allocations, want none", got)
	}
}

// hostile are inputs that take most memory for their size.
func hostile() map[string][]byte {
	return map[string][]byte{
		"calls":   []byte(strings.Repeat("\x32\x00", 60_000)),
		"names":   []byte(strings.Repeat("\x2a\x00", 60_000)),
		"started": []byte(strings.Repeat("\x40\x01", 1<<20)),
		"headers": field(6, []byte(strings.Repeat("\x42\x00", 60_000))),
		"causes":  field(7, field(4, []byte(strings.Repeat("\x22\x00", 60_000)))),
		"stats":   field(14, field(9, []byte(strings.Repeat("\x12\x00", 60_000)))),
	}
}

func TestReadTakesAsMuchMemoryAsItSays(t *testing.T) {
	for name, data := range hostile() {
		t.Run(name, func(t *testing.T) {
			got := allocated(func() { _, _ = wire.Read(data, wire.Bounds{}) })
			items := strings.Count(string(data), "\x00")
			most := uint64(30*len(data) + 512*items + 1<<20) // grown slices count several times here
			if got > most {
				t.Errorf("%d bytes took %d bytes of memory, want at most %d", len(data), got, most)
			}
		})
	}
}
