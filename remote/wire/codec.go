package wire

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"

	"google.golang.org/protobuf/proto"
)

// A Codec turns arguments and results into bytes and back. Its methods are
// called by several goroutines at once. Unmarshal gets a pointer to where the
// value goes, and must not keep data. A panic in a Codec is an error.
type Codec interface {
	ID() string // a name for the encoding, the same at both ends
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, into any) error
}

// Codecs are the codecs that one side knows: [CBOR], [Proto] and its own.
type Codecs struct {
	preferred Codec
	byID      map[string]Codec
}

// NewCodecs returns the standard codecs and more. The first of those is used
// for everything that is sent; without one it is [DefaultFor] the type. Ids
// must not be empty, nor given twice.
func NewCodecs(more ...Codec) (*Codecs, error) {
	c := &Codecs{byID: map[string]Codec{CBOR.ID(): CBOR, Proto.ID(): Proto}}
	var faults []error
	for _, m := range more {
		if err := c.add(m); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if len(more) > 0 {
		c.preferred = more[0]
	}
	return c, nil
}

func (c *Codecs) add(m Codec) error {
	if m == nil {
		return errors.New("wire: nil codec")
	}
	id := m.ID()
	if id == "" {
		return fmt.Errorf("wire: codec %T: empty id", m)
	}
	standard := id == CBOR.ID() && m == CBOR || id == Proto.ID() && m == Proto // given to be preferred
	if other, taken := c.byID[id]; taken && !standard {
		return fmt.Errorf("wire: codec %T: id %q is taken by %T", m, id, other)
	}
	c.byID[id] = m
	return nil
}

// Prefer returns Codecs that know what c knows, and m, with which they send.
func (c *Codecs) Prefer(m Codec) (*Codecs, error) {
	more, err := c.Know(m)
	if err == nil {
		more.preferred = m
	}
	return more, err
}

// Know returns Codecs that know what c knows, and more.
func (c *Codecs) Know(more ...Codec) (*Codecs, error) {
	known := &Codecs{preferred: c.preferred, byID: maps.Clone(c.byID)}
	var faults []error
	for _, m := range more {
		if m != nil && known.byID[m.ID()] == m {
			continue
		}
		if err := known.add(m); err != nil {
			faults = append(faults, err)
		}
	}
	return known, errors.Join(faults...)
}

// Reply returns the codec for an answer to what came encoded as id: the same if
// that is nobody's default, so that whoever uses a codec of his own gets answers
// in it.
func (c *Codecs) Reply(id string, t reflect.Type) Codec {
	switch own := c.byID[id]; {
	case id == "" || own == nil:
		return c.For(t)
	case own == CBOR || own == Proto:
		return DefaultFor(t)
	default:
		return own
	}
}

// For returns the codec that values of type t are sent with.
func (c *Codecs) For(t reflect.Type) Codec {
	if c.preferred != nil {
		return c.preferred
	}
	return DefaultFor(t)
}

// ByID returns the codec of that id, or nil.
func (c *Codecs) ByID(id string) Codec { return c.byID[id] }

// DefaultFor returns [Proto] for protobuf messages and pointers to them, and
// [CBOR] for everything else.
func DefaultFor(t reflect.Type) Codec {
	if isMessage(t) {
		return Proto
	}
	return CBOR
}

var messageType = reflect.TypeFor[proto.Message]()

var messages sync.Map // reflect.Type to bool: what isMessage has found

// isMessage tells whether t is a generated message or a pointer to one. An
// interface is not, nor a message that is described at run time: nothing would
// tell the receiver which message to make. Neither is a struct that has the
// methods of a message that it embeds: its other fields would be lost.
func isMessage(t reflect.Type) bool {
	if k := t.Kind(); k != reflect.Pointer && k != reflect.Struct {
		return false
	}
	if known, ok := messages.Load(t); ok {
		return known.(bool)
	}
	is := isGenerated(t)
	messages.Store(t, is)
	return is
}

func isGenerated(t reflect.Type) (yes bool) {
	defer func() {
		if recover() != nil { // it embeds a nil message
			yes = false
		}
	}()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || !reflect.PointerTo(t).Implements(messageType) {
		return false
	}
	m := reflect.New(t).Interface().(proto.Message).ProtoReflect()
	return m.Descriptor() != nil && reflect.TypeOf(m.Interface()) == reflect.PointerTo(t)
}

// Payload is an encoded value: what Call and Answer carry. Without a codec it
// is the zero value of its type.
type Payload struct {
	Codec string
	Data  []byte
}

// Encode returns v as bytes, of which there may be limit. Errors are a
// [*PayloadError], with its Task left empty, or a [*CodecError].
//
// Types without size, such as struct{}, and nil messages make an empty Payload.
func Encode[T any](c *Codecs, v T, limit int) (Payload, error) {
	return EncodeValue(c, reflect.TypeFor[T](), v, limit)
}

// EncodeValue is [Encode] for code that knows the type only at run time: v is a
// t, or nil for the zero value.
func EncodeValue(c *Codecs, t reflect.Type, v any, limit int) (Payload, error) {
	return EncodeAs(c.For(t), t, v, limit)
}

// EncodeAs is EncodeValue with a given codec.
func EncodeAs(codec Codec, t reflect.Type, v any, limit int) (Payload, error) {
	if isZero(t, v) {
		return Payload{}, nil
	}
	data, err := marshal(codec, v)
	if err != nil {
		return Payload{}, &CodecError{Codec: codec.ID(), Op: "encode", Type: t.String(), Err: err}
	}
	if len(data) > limit {
		return Payload{}, &PayloadError{Size: len(data), Max: limit}
	}
	return Payload{Codec: codec.ID(), Data: data}, nil
}

// isZero tells whether v, a t, goes without a payload.
func isZero(t reflect.Type, v any) bool {
	if v == nil || t.Size() == 0 {
		return true
	}
	return t.Kind() == reflect.Pointer && isMessage(t) && reflect.ValueOf(v).IsNil()
}

// Decode returns the value in p. The error is a [*CodecError].
func Decode[T any](c *Codecs, p Payload) (T, error) {
	var v T
	if err := decodeInto(c, p, reflect.TypeFor[T](), &v); err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// DecodeValue is [Decode] for code that knows the type only at run time. The
// Value is a t, and settable.
func DecodeValue(c *Codecs, t reflect.Type, p Payload) (reflect.Value, error) {
	at := reflect.New(t)
	if err := decodeInto(c, p, t, at.Interface()); err != nil {
		return reflect.Value{}, err
	}
	return at.Elem(), nil
}

// DecodeInto is [Decode] for code that has a pointer to a t.
func DecodeInto(c *Codecs, p Payload, t reflect.Type, into any) error {
	return decodeInto(c, p, t, into)
}

func decodeInto(c *Codecs, p Payload, t reflect.Type, into any) error {
	if p.Codec == "" {
		return nil
	}
	err := errUnknownCodec
	if codec := c.ByID(p.Codec); codec != nil {
		err = unmarshal(codec, p.Data, into)
	}
	if err != nil {
		return &CodecError{Codec: p.Codec, Op: "decode", Type: t.String(), Err: err}
	}
	return nil
}

var errUnknownCodec = errors.New("this side does not know the codec")

func marshal(c Codec, v any) (data []byte, err error) {
	defer contain(&err)
	return c.Marshal(v)
}

func unmarshal(c Codec, data []byte, into any) (err error) {
	defer contain(&err)
	return c.Unmarshal(data, into)
}

func contain(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v", r)
	}
}

// A PayloadError says that an argument or a result is too large to be sent.
type PayloadError struct {
	Task      string
	Size, Max int
}

func (e *PayloadError) Error() string {
	if e.Task == "" {
		return fmt.Sprintf("wire: payload of %d bytes, want at most %d", e.Size, e.Max)
	}
	return fmt.Sprintf("wire: task %q: argument or result of %d bytes, want at most %d: MaxPayload of either side bounds it", e.Task, e.Size, e.Max)
}

// A CodecError says that a value could not be encoded or decoded.
type CodecError struct {
	Codec string // its id
	Op    string // "encode" or "decode"
	Type  string // Go's name for it
	Err   error
}

func (e *CodecError) Error() string {
	return fmt.Sprintf("wire: %s %s as %s: %v", e.Op, e.Type, e.Codec, e.Err)
}

// Unwrap returns what the codec said.
func (e *CodecError) Unwrap() error { return e.Err }
