package wire

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/proto"
)

var (
	errTooDeep = fmt.Errorf("the value is more than %d levels deep, or holds itself", Levels)
	errMessage = errors.New("a protobuf message in an interface, or not of a generated type: the receiver could not tell which")
)

// checkDepth keeps values from the encoder that would exhaust the stack, which
// nothing can recover from. It costs nothing for types that cannot be deep.
func checkDepth(v any) error {
	r := reflect.ValueOf(v)
	if !r.IsValid() {
		return nil
	}
	return depthOf(r, Levels, 10*Levels)
}

// depthOf walks v down to levels containers and hops pointers.
func depthOf(v reflect.Value, levels, hops int) error {
	if levels < 0 || hops < 0 {
		return errTooDeep
	}
	p := planOf(v.Type())
	if !p.deep {
		return nil
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		if _, ok := v.Interface().(proto.Message); ok {
			return errMessage
		}
		return depthOf(v.Elem(), levels, hops-1)
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return depthOf(v.Elem(), levels, hops-1)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := depthOf(v.Index(i), levels-1, hops-1); err != nil {
				return err
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if err := depthOf(it.Key(), levels-1, hops-1); err != nil {
				return err
			}
			if err := depthOf(it.Value(), levels-1, hops-1); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for _, i := range p.fields {
			if err := depthOf(v.Field(i), levels-1, hops-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// plan is what checkDepth knows of a type.
type plan struct {
	deep   bool  // a value can be deeper than the type is written: it reaches itself or an interface
	fields []int // of a struct: those that travel and can be deep
}

var plans sync.Map // reflect.Type to *plan

func planOf(t reflect.Type) *plan {
	if known, ok := plans.Load(t); ok {
		return known.(*plan)
	}
	p := &plan{deep: reaches(t, make(map[reflect.Type]bool))}
	if p.deep && t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if f := t.Field(i); travels(f) && reaches(f.Type, make(map[reflect.Type]bool)) {
				p.fields = append(p.fields, i)
			}
		}
	}
	plans.Store(t, p)
	return p
}

// reaches tells whether there is an interface in t, or a type that is made of
// itself. Of the types that it has come to before, seen says whether it is
// still within; a second look at the others would take exponential time.
func reaches(t reflect.Type, seen map[reflect.Type]bool) bool {
	if within, known := seen[t]; known {
		return within
	}
	if marshalsItself(t) {
		return false
	}
	seen[t] = true
	defer func() { seen[t] = false }()
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return reaches(t.Elem(), seen)
	case reflect.Map:
		return reaches(t.Key(), seen) || reaches(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if reaches(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

// ownEncodings are the methods by which a type writes and reads itself, in the
// order in which the encoder looks for the first.
var ownEncodings = []struct{ write, read reflect.Type }{
	{reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[cbor.Unmarshaler]()},
	{reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler]()},
	{reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()},
}

// marshalsItself tells whether t, not an interface, has its own encoding.
func marshalsItself(t reflect.Type) bool { return ownEncoding(t) >= 0 }

// ownEncoding returns the place of t's own encoding in ownEncodings, or -1.
func ownEncoding(t reflect.Type) int {
	if t.Kind() == reflect.Interface {
		return -1
	}
	for i, e := range ownEncodings {
		if t.Implements(e.write) || reflect.PointerTo(t).Implements(e.write) {
			return i
		}
	}
	return -1
}

// readsItself tells whether t, which marshalsItself, can be read back.
func readsItself(t reflect.Type) bool {
	read := ownEncodings[ownEncoding(t)].read
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return reflect.PointerTo(t).Implements(read)
}
