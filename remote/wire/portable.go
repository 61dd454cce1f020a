package wire

import (
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
)

// Portable reports whether values of type t arrive as they were sent by the
// standard codecs, as far as the type tells: it is an error naming the place
// if t contains a channel, a function, a complex number, a pointer without
// type, an interface with methods, a struct of which nothing is exported, a
// type that writes itself and cannot read that, or an embedded pointer that no
// decoder may set.
func Portable(t reflect.Type) error {
	if isMessage(t) {
		return nil
	}
	if place, reason := unportable(t, make(map[reflect.Type]bool)); reason != nil {
		return fmt.Errorf("wire: %s%s: %w", t, place, reason)
	}
	return nil
}

var (
	errKind      = errors.New("cannot be sent")
	errInterface = errors.New("an interface with methods cannot be sent: the receiver could not tell which type to make")
	errHidden    = errors.New("has no exported field, so nothing of it would arrive")
	errInside    = errors.New("a protobuf message within a Go type: send the message itself")
	errOneWay    = errors.New("has a method that writes it (MarshalCBOR, MarshalBinary or MarshalText, in this order) and not the one that reads that")
	errEmbedded  = errors.New("an embedded pointer to a type that is not exported: no decoder may set it")
)

func unportable(t reflect.Type, seen map[reflect.Type]bool) (place string, reason error) {
	if seen[t] {
		return "", nil
	}
	seen[t] = true
	defer func() {
		if reason != nil { // what is wrong with it is wrong everywhere
			delete(seen, t)
		}
	}()
	if marshalsItself(t) {
		if !readsItself(t) {
			return "", errOneWay
		}
		return "", nil
	}
	if isMessage(t) {
		return "", errInside
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Uintptr, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		return "", errKind
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return "", errInterface
		}
	case reflect.Pointer:
		return unportable(t.Elem(), seen)
	case reflect.Slice, reflect.Array:
		place, reason = unportable(t.Elem(), seen)
		return "[]" + place, reason
	case reflect.Map:
		if place, reason = unportable(t.Key(), seen); reason != nil {
			return " key" + place, reason
		}
		place, reason = unportable(t.Elem(), seen)
		return "[]" + place, reason
	case reflect.Struct:
		return unportableField(t, seen)
	}
	return "", nil
}

func unportableField(t reflect.Type, seen map[reflect.Type]bool) (place string, reason error) {
	visible := 0
	for i := range t.NumField() {
		f := t.Field(i)
		if !travels(f) {
			continue
		}
		place, reason = unportable(f.Type, seen)
		if reason == nil && f.Anonymous && !f.IsExported() && f.Type.Kind() == reflect.Pointer {
			reason = errEmbedded
		}
		if f.Anonymous && reason == errHidden && place == "" {
			continue // such as a sync.Mutex, which adds nothing
		}
		if reason != nil {
			return "." + f.Name + place, reason
		}
		visible++
	}
	if visible == 0 && t.NumField() > 0 && t.Size() > 0 {
		return "", errHidden
	}
	return "", nil
}

// descriptorName is the full name of the message type t, a struct.
func descriptorName(t reflect.Type) string {
	m, ok := reflect.New(t).Interface().(proto.Message)
	if !ok {
		return t.String()
	}
	return string(m.ProtoReflect().Descriptor().FullName())
}
