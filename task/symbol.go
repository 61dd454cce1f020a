package task

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"unicode"

	"github.com/troupe-go/troupe/internal/place"
)

// A MethodError says that a method cannot be called where a worker's members
// live, because nobody could find it there.
type MethodError struct {
	Worker string // its name
	Method string // the symbol
	Reason string
}

func (e *MethodError) Error() string {
	return fmt.Sprintf("task: worker %q: method %s: %s", e.Worker, e.Method, e.Reason)
}

var symbols sync.Map // of methods that were called elsewhere: *place.Method by symbolKey

type symbolKey struct {
	state reflect.Type
	pc    uintptr
}

// symbolOf returns the method of an S that fn is, for calls elsewhere.
func symbolOf[S any](worker string, fn any) (*place.Method, error) {
	k := symbolKey{state: reflect.TypeFor[S](), pc: reflect.ValueOf(fn).Pointer()}
	if m, ok := symbols.Load(k); ok {
		return m.(*place.Method), nil
	}
	m, err := methodNamed[S](worker, runtime.FuncForPC(k.pc).Name())
	if err != nil {
		return nil, err
	}
	symbols.Store(k, m)
	return m, nil
}

// methodNamed finds the method of an S that a method expression of that symbol
// stands for. The error is a *MethodError.
func methodNamed[S any](worker, symbol string) (*place.Method, error) {
	state := reflect.TypeFor[S]()
	fail := func(format string, args ...any) (*place.Method, error) {
		return nil, &MethodError{Worker: worker, Method: symbol, Reason: fmt.Sprintf(format, args...)}
	}
	if strings.Contains(symbol, "[...]") {
		return fail("methods of generic types cannot be told apart by their names: want a type that embeds the %v", state)
	}
	name, ok := strings.CutPrefix(symbol, symbolPrefix(state))
	if !ok || strings.Contains(name, ".") || strings.Contains(name, "-") {
		return fail("where the members live it is looked for by its name: want a method expression of %v", state)
	}
	m, ok := state.MethodByName(name)
	switch {
	case !ok && !unicode.IsUpper([]rune(name + "_")[0]):
		return fail("only exported methods are found where the members live")
	case !ok:
		return fail("%v has no such method here", state)
	}
	return methodOfType(state, m, symbol, fail)
}

// methodOfType describes m to those who call it for others.
func methodOfType(state reflect.Type, m reflect.Method, symbol string, fail func(string, ...any) (*place.Method, error)) (*place.Method, error) {
	from := 1 // the receiver
	if state.Kind() == reflect.Interface {
		from = 0
	}
	t := m.Type
	if n := t.NumIn() - from; n < 1 || n > 2 || t.IsVariadic() || t.NumOut() != 2 ||
		t.In(from) != reflect.TypeFor[context.Context]() || t.Out(1) != reflect.TypeFor[error]() {
		return fail("is a %v: want func(context.Context, In) (Out, error) or func(context.Context) (Out, error)", t)
	}
	found := &place.Method{Symbol: symbol, Out: t.Out(0)}
	if t.NumIn()-from == 2 {
		found.In = t.In(from + 1)
	}
	found.Call = func(ctx context.Context, at, in any) (any, error) {
		args := []reflect.Value{reflect.ValueOf(ctx)}
		if found.In != nil {
			args = append(args, reflect.ValueOf(in).Elem())
		}
		out := reflect.ValueOf(at).Elem().Method(m.Index).Call(args)
		err, _ := out[1].Interface().(error)
		return out[0].Interface(), err
	}
	return found, nil
}

// symbolPrefix is what the symbols of method expressions of t begin with.
func symbolPrefix(t reflect.Type) string {
	name := t
	if t.Kind() == reflect.Pointer && t.Name() == "" {
		name = t.Elem()
		return symbolPath(name.PkgPath()) + ".(*" + name.Name() + ")."
	}
	return symbolPath(name.PkgPath()) + "." + name.Name() + "."
}

// symbolPath is an import path as the linker writes it.
func symbolPath(path string) string {
	slash := strings.LastIndexByte(path, '/')
	var b strings.Builder
	for i, c := range []byte(path) {
		if c <= ' ' || c == '%' || c == '"' || c >= 0x7f || c == '.' && i > slash {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
