package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
)

// The kinds of Schema.
const (
	KindTask   = "task"
	KindWorker = "worker"
)

// Schema is what two sides must have in common to call a task.
type Schema struct {
	Name    string
	Kind    string // [KindTask] or [KindWorker]
	Hash    uint64 // of the types
	In, Out string // the types, for people; cut if very long. Of a worker, In is its state.
}

// TaskSchema describes a task from in to out.
func TaskSchema(name string, in, out reflect.Type) Schema {
	return Schema{Name: name, Kind: KindTask, Hash: MethodHash(in, out), In: Describe(in), Out: Describe(out)}
}

// WorkerSchema describes a stateful worker. Its state does not travel, so only
// the type's name counts; the types of its methods go with each call, as
// [MethodHash].
func WorkerSchema(name string, state reflect.Type) Schema {
	own := fullName(state)
	return Schema{Name: name, Kind: KindWorker, Hash: sum(own), In: own}
}

// MethodHash is the hash of argument and result types.
func MethodHash(in, out reflect.Type) uint64 { return sum(typeText(in), typeText(out)) }

// TypeHash returns a number for the structure of t: its kinds, names of types
// with the path of their package, names, order and tags (cbor, json) of
// exported fields. It is the same in every process and build. A protobuf
// message counts by its full name, as does a type with an encoding of its own.
func TypeHash(t reflect.Type) uint64 { return sum(typeText(t)) }

// Same tells whether calls can pass between s and o.
func (s Schema) Same(o Schema) bool {
	return s.Name == o.Name && s.Kind == o.Kind && s.Hash == o.Hash
}

// String shows kind and types, and the hash, as the types may be cut.
func (s Schema) String() string {
	if s.Kind == KindWorker {
		return fmt.Sprintf("worker %s (%016x)", s.In, s.Hash)
	}
	return fmt.Sprintf("%s from %s to %s (%016x)", s.Kind, s.In, s.Out, s.Hash)
}

// Announce returns s for a Hello or a Welcome.
func (s Schema) Announce() *Announcement {
	return &Announcement{Name: s.Name, Kind: s.Kind, Hash: s.Hash, In: s.In, Out: s.Out}
}

// Announced returns the Schema that a came from.
func Announced(a *Announcement) Schema {
	return Schema{Name: a.GetName(), Kind: a.GetKind(), Hash: a.GetHash(), In: a.GetIn(), Out: a.GetOut()}
}

const describeBytes = 1 << 10

// Describe returns the structure that [TypeHash] is made of, for people to
// compare; cut at 1 KiB.
func Describe(t reflect.Type) string { return cut(typeText(t), describeBytes) }

func sum(texts ...string) uint64 {
	h := sha256.New()
	for _, s := range texts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(s), s) // a hash never fails
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

func typeText(t reflect.Type) string {
	w := typeWriter{seen: make(map[reflect.Type]bool)}
	w.write(t)
	return w.String()
}

// typeWriter writes types in a form like Go's. A named type is spelled out
// where it comes first, in parentheses.
type typeWriter struct {
	strings.Builder
	seen map[reflect.Type]bool
}

func (w *typeWriter) write(t reflect.Type) {
	if t == nil {
		w.WriteString("nil")
		return
	}
	if name, ok := messageName(t); ok {
		w.WriteString("proto " + name)
		return
	}
	if t.Name() == "" || t.PkgPath() == "" { // unnamed or predeclared
		w.structure(t)
		return
	}
	w.WriteString(fullName(t))
	if marshalsItself(t) || w.seen[t] {
		return
	}
	w.seen[t] = true
	w.WriteString(" (")
	w.structure(t)
	w.WriteString(")")
}

func (w *typeWriter) structure(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		w.WriteString("*")
		w.write(t.Elem())
	case reflect.Slice:
		w.WriteString("[]")
		w.write(t.Elem())
	case reflect.Array:
		fmt.Fprintf(w, "[%d]", t.Len())
		w.write(t.Elem())
	case reflect.Map:
		w.WriteString("map[")
		w.write(t.Key())
		w.WriteString("]")
		w.write(t.Elem())
	case reflect.Struct:
		w.fields(t)
	case reflect.Interface:
		w.methods(t)
	default:
		w.WriteString(t.Kind().String())
	}
}

func (w *typeWriter) fields(t reflect.Type) {
	w.WriteString("struct{")
	separator := ""
	for i := range t.NumField() {
		f := t.Field(i)
		if !travels(f) {
			continue
		}
		w.WriteString(separator)
		separator = "; "
		if f.Name == "_" { // carries options for the whole struct
			w.WriteString("_")
		} else {
			if !f.Anonymous {
				w.WriteString(f.Name + " ")
			}
			w.write(f.Type)
		}
		for _, key := range []string{"cbor", "json"} {
			if tag, ok := f.Tag.Lookup(key); ok {
				fmt.Fprintf(w, " %s:%q", key, tag)
			}
		}
	}
	w.WriteString("}")
}

// travels tells whether the encoder looks at f.
func travels(f reflect.StructField) bool {
	if f.Name == "_" {
		return f.Tag.Get("cbor") != ""
	}
	if tag, ok := f.Tag.Lookup("cbor"); ok && tag == "-" {
		return false
	} else if !ok && f.Tag.Get("json") == "-" {
		return false
	}
	if f.Anonymous && !f.IsExported() {
		t := f.Type
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		return t.Kind() == reflect.Struct
	}
	return f.IsExported()
}

func (w *typeWriter) methods(t reflect.Type) {
	if t.NumMethod() == 0 {
		w.WriteString("any")
		return
	}
	w.WriteString("interface{")
	for i := range t.NumMethod() {
		if i > 0 {
			w.WriteString("; ")
		}
		w.WriteString(t.Method(i).Name)
	}
	w.WriteString("}")
}

// messageName is the full name of a protobuf message, or a pointer to one.
func messageName(t reflect.Type) (string, bool) {
	if !isMessage(t) {
		return "", false
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return descriptorName(t), true
}

// fullName is the name of t with the path of its package.
func fullName(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer && t.Name() == "":
		return "*" + fullName(t.Elem())
	case t.Name() == "" || t.PkgPath() == "":
		return t.String()
	}
	return t.PkgPath() + "." + t.Name()
}
