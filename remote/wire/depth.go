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
	errMessage = errors.New("a protobuf message in an interface: the receiver could not tell which")
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

func reaches(t reflect.Type, above map[reflect.Type]bool) bool {
	if above[t] {
		return true
	}
	if marshalsItself(t) {
		return false
	}
	above[t] = true
	defer delete(above, t)
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return reaches(t.Elem(), above)
	case reflect.Map:
		return reaches(t.Key(), above) || reaches(t.Elem(), above)
	case reflect.Struct:
		for i := range t.NumField() {
			if reaches(t.Field(i).Type, above) {
				return true
			}
		}
	}
	return false
}

var selfMarshalers = []reflect.Type{
	reflect.TypeFor[cbor.Marshaler](),
	reflect.TypeFor[encoding.BinaryMarshaler](),
	reflect.TypeFor[encoding.TextMarshaler](),
}

// marshalsItself tells whether t, not an interface, has its own encoding.
func marshalsItself(t reflect.Type) bool {
	if t.Kind() == reflect.Interface {
		return false
	}
	for _, m := range selfMarshalers {
		if t.Implements(m) || reflect.PointerTo(t).Implements(m) {
			return true
		}
	}
	return false
}
