package wire

import (
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/proto"
)

// CBOR encodes Go values as RFC 8949 has it, in its deterministic form (the
// same value makes the same bytes), with the field names and tags of
// encoding/json; a cbor tag goes before a json tag. See the package
// documentation for what travels and what does not.
var CBOR Codec = cborCodec{}

// Proto encodes protobuf messages and nothing else.
var Proto Codec = protoCodec{}

// Levels is how deep arrays, slices, maps and structs may lie within each other
// in a value that is sent as CBOR. More, or a value that holds itself, is an
// error of the sender.
const Levels = 1000

var (
	cborEnc = must(encOptions().EncMode())
	cborDec = must(decOptions().DecMode())
)

func encOptions() cbor.EncOptions {
	o := cbor.CoreDetEncOptions()
	o.Time = cbor.TimeRFC3339Nano
	o.TimeTag = cbor.EncTagRequired // so that it is a time.Time in an any, too
	o.TextMarshaler = cbor.TextMarshalerTextString
	return o
}

func decOptions() cbor.DecOptions {
	return cbor.DecOptions{
		DupMapKey:       cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels: Levels + 10, // tags count too
		// An element takes a byte at least, so the size of the payload is the
		// bound; these must not be below it.
		MaxArrayElements:  1<<31 - 1,
		MaxMapPairs:       1<<31 - 1,
		IndefLength:       cbor.IndefLengthForbidden,
		IntDec:            cbor.IntDecConvertSignedOrBigInt,
		DefaultMapType:    reflect.TypeFor[map[string]any](),
		UTF8:              cbor.UTF8DecodeInvalid, // a Go string may hold any bytes
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		TextUnmarshaler:   cbor.TextUnmarshalerTextString,
	}
}

// must is for options that are written down here and wrong or right at once.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type cborCodec struct{}

func (cborCodec) ID() string { return "cbor" }

func (cborCodec) Marshal(v any) ([]byte, error) {
	if _, ok := v.(proto.Message); ok {
		return nil, errMessage
	}
	if err := checkDepth(v); err != nil {
		return nil, err
	}
	return cborEnc.Marshal(v)
}

func (cborCodec) Unmarshal(data []byte, into any) error { return cborDec.Unmarshal(data, into) }

type protoCodec struct{}

func (protoCodec) ID() string { return "proto" }

func (protoCodec) Marshal(v any) ([]byte, error) {
	if v == nil || !isMessage(reflect.TypeOf(v)) {
		return nil, fmt.Errorf("a %T is no generated protobuf message", v)
	}
	m, ok := v.(proto.Message)
	if !ok { // a message by value: its methods are those of the pointer
		p := reflect.ValueOf(v)
		at := reflect.New(p.Type())
		at.Elem().Set(p)
		m = at.Interface().(proto.Message)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

func (protoCodec) Unmarshal(data []byte, into any) error {
	p := reflect.ValueOf(into)
	m, ok := into.(proto.Message) // a *T, for T a message by value
	if !ok || !isMessage(p.Type()) {
		if p.Kind() != reflect.Pointer || p.IsNil() || !isMessage(p.Type().Elem()) {
			return fmt.Errorf("a %T does not point to a protobuf message", into)
		}
		at := reflect.New(p.Type().Elem().Elem())
		p.Elem().Set(at)
		m = at.Interface().(proto.Message)
	}
	return proto.UnmarshalOptions{RecursionLimit: Levels}.Unmarshal(data, m)
}
