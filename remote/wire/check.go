package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Bounds is what an envelope may hold. Fields that are 0 mean the default.
type Bounds struct {
	Bytes int // in all; default 20 MiB
	Items int // messages, strings, byte strings and map entries, at any depth; default 65,536
	Depth int // messages within messages; default 128
}

func (b Bounds) filled() Bounds {
	for _, f := range []struct {
		field *int
		value int
	}{{&b.Bytes, 20 << 20}, {&b.Items, 1 << 16}, {&b.Depth, 128}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return b
}

// Check looks at the bytes of an envelope before they are decoded, so that
// decoding them takes no more memory than about ten times their number and
// 512 B for each item: an empty message, two bytes here, is hundreds in memory.
// It allocates nothing unless it finds a fault. The error is an
// [*EnvelopeError].
//
// Whoever cannot use [Read], because the envelope is decoded by a library,
// calls Check before and [Envelope.Validate] after.
func Check(data []byte, b Bounds) error {
	b = b.filled()
	if len(data) > b.Bytes {
		return &EnvelopeError{Field: "envelope", Reason: fmt.Sprintf("%d bytes, want at most %d", len(data), b.Bytes)}
	}
	w := walker{items: b.Items, bounds: b}
	if err := w.message(data, &envelopeShape, b.Depth); err != nil {
		return err
	}
	return nil
}

// shape tells which fields of a message are messages (and map entries), by
// number, and which are strings or bytes. Numbers from len(fields) on are
// unknown here and stay undecoded.
type shape struct {
	fields [16]*shape
}

// opaqueShape stands for strings and bytes: they are counted, not entered.
var opaqueShape shape

var (
	entryShape        = shape{fields: [16]*shape{1: &opaqueShape, 2: &opaqueShape}}
	keyShape          = shape{fields: [16]*shape{1: &opaqueShape}} // entry of a map to numbers
	versionsShape     shape
	panicShape        = shape{fields: [16]*shape{1: &opaqueShape, 2: &opaqueShape, 3: &opaqueShape}}
	failureShape      = shape{fields: [16]*shape{1: &opaqueShape, 2: &opaqueShape, 3: &opaqueShape, 10: &panicShape}} // and itself, see init
	announcementShape = shape{fields: [16]*shape{1: &opaqueShape, 2: &opaqueShape, 4: &opaqueShape, 5: &opaqueShape}}
	leaseShape        = shape{fields: [16]*shape{2: &entryShape}}
	callShape         = shape{fields: [16]*shape{4: &opaqueShape, 8: &entryShape, 14: &opaqueShape, 15: &leaseShape}}
	answerShape       = shape{fields: [16]*shape{3: &opaqueShape, 4: &failureShape}}
	cancelShape       = shape{fields: [16]*shape{2: &failureShape}}
	helloShape        = shape{fields: [16]*shape{1: &versionsShape, 3: &opaqueShape, 4: &opaqueShape, 5: &announcementShape}}
	welcomeShape      = shape{fields: [16]*shape{2: &versionsShape, 4: &opaqueShape, 6: &announcementShape, 7: &failureShape}}
	acquireShape      = shape{fields: [16]*shape{2: &opaqueShape, 3: &keyShape}}
	grantShape        = shape{fields: [16]*shape{3: &entryShape, 4: &failureShape}}
	updateShape       = shape{fields: [16]*shape{3: &opaqueShape}}
	updatedShape      = shape{fields: [16]*shape{2: &failureShape}}
	pauseShape        = shape{fields: [16]*shape{1: &opaqueShape, 2: &opaqueShape}}
	queryShape        = shape{fields: [16]*shape{2: &opaqueShape}}
	statShape         = shape{fields: [16]*shape{1: &opaqueShape, 2: &opaqueShape, 3: &opaqueShape}}
	statsShape        = shape{fields: [16]*shape{2: &statShape, 3: &failureShape}}
	limitsShape       = shape{fields: [16]*shape{
		1: &acquireShape, 3: &grantShape, 4: &updateShape, 5: &updatedShape,
		7: &pauseShape, 8: &queryShape, 9: &statsShape,
	}}
	statusShape   shape
	pulseShape    shape
	envelopeShape = shape{fields: [16]*shape{
		5: &opaqueShape, 6: &callShape, 7: &answerShape, 9: &cancelShape, 10: &statusShape,
		11: &pulseShape, 12: &helloShape, 13: &welcomeShape, 14: &limitsShape,
	}}
)

func init() { failureShape.fields[4] = &failureShape }

// walker counts down what may yet come.
type walker struct {
	items  int
	bounds Bounds
}

func (w *walker) message(data []byte, s *shape, depth int) *EnvelopeError {
	if depth == 0 {
		return &EnvelopeError{Field: "envelope", Reason: fmt.Sprintf("messages lie more than %d deep", w.bounds.Depth)}
	}
	for len(data) > 0 {
		number, kind, n := tag(data)
		if n < 0 {
			return broken(n)
		}
		data = data[n:]
		if kind == protowire.StartGroupType || kind == protowire.EndGroupType {
			return &EnvelopeError{Field: "envelope", Reason: "not well-formed", cause: errGroup}
		}
		var inner *shape
		if kind == protowire.BytesType && int(number) < len(s.fields) {
			inner = s.fields[number]
		}
		if inner == nil {
			if n = skip(number, kind, data); n < 0 {
				return broken(n)
			}
			data = data[n:]
			continue
		}
		content, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return broken(n)
		}
		data = data[n:]
		if w.items--; w.items < 0 {
			return &EnvelopeError{Field: "envelope", Reason: fmt.Sprintf("more than %d items", w.bounds.Items)}
		}
		if inner != &opaqueShape {
			if err := w.message(content, inner, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// tag is protowire.ConsumeTag, quick for small numbers.
func tag(data []byte) (protowire.Number, protowire.Type, int) {
	if b := data[0]; b >= 1<<3 && b < 0x80 {
		return protowire.Number(b >> 3), protowire.Type(b & 7), 1
	}
	return protowire.ConsumeTag(data)
}

// errGroup refuses groups, which have been out of use for long, rather than
// follow them.
var errGroup = errors.New("a group, which no version has")

// skip returns the length of a value, or a negative number.
func skip(number protowire.Number, kind protowire.Type, data []byte) int {
	if kind == protowire.VarintType {
		_, n := protowire.ConsumeVarint(data)
		return n
	}
	return protowire.ConsumeFieldValue(number, kind, data)
}

func broken(n int) *EnvelopeError {
	return &EnvelopeError{Field: "envelope", Reason: "not well-formed", cause: protowire.ParseError(n)}
}
