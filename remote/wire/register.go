package wire

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// registry holds what is known of errors. It is replaced as a whole, so that
// reading it takes no lock.
type registry struct {
	targets map[string]error // by code
	codes   []string         // of targets, sorted
	exact   map[error]string
	kinds   map[string]*kind // typed errors by code
	types   map[reflect.Type]*kind
}

// kind is how one type of error travels.
type kind struct {
	code    string
	details func(error) ([]byte, error)
	restore func(details []byte, causes []error) (error, error)
}

// writes tells whether err is of this kind and has these details.
func (k *kind) writes(err error, details []byte) bool {
	if registered.Load().types[reflect.TypeOf(err)] != k {
		return false
	}
	own, fault := k.details(err)
	return fault == nil && bytes.Equal(own, details)
}

var (
	registering sync.Mutex
	registered  atomic.Pointer[registry]
)

// The initialisation of packages that import this one comes after.
func init() { registerBuiltin() }

// RegisterError makes errors.Is find target in an error that came over the
// wire, if both sides register it under the same code. An error that is target
// itself arrives as target itself. Call it from init or from a variable's
// initialiser, before anything is sent.
//
// It panics if the code is empty or taken, or if the target is nil, taken, or
// of a type that == cannot compare. The codes with the prefix of a package of
// the standard library or of this module, such as "io.EOF", are not yours.
func RegisterError(code string, target error) {
	if target == nil || !reflect.ValueOf(target).Comparable() {
		panic(fmt.Sprintf("wire: RegisterError(%q, %T): want an error that can be compared", code, target))
	}
	change(code, func(r *registry) {
		if other, taken := r.exact[target]; taken {
			panic(fmt.Sprintf("wire: RegisterError(%q, %v): the error is registered as %q", code, target, other))
		}
		r.targets[code] = target
		r.exact[target] = code
		at, _ := slices.BinarySearch(r.codes, code)
		r.codes = slices.Insert(r.codes, at, code)
	})
}

// RegisterErrorType makes errors of type E arrive as E, if both sides register
// it under the same code. details returns the fields as a D, which travels as
// CBOR; restore makes the error from them and from the errors that it
// unwrapped to, which may be fewer than were there. It may panic: then the error
// keeps its text and what it wrapped. If what restore made has another text
// than the original, unwraps to more or fewer errors or does not match the same
// sentinels, the error keeps all that, and errors.As finds what was made.
//
// It panics as [RegisterError] does. Details above 64 KiB do not travel.
func RegisterErrorType[E error, D any](code string, details func(E) D, restore func(D, []error) E) {
	t := reflect.TypeFor[E]()
	if details == nil || restore == nil || t.Kind() == reflect.Interface {
		panic(fmt.Sprintf("wire: RegisterErrorType(%q): want a type and two functions", code))
	}
	k := &kind{
		code: code,
		details: func(err error) (data []byte, fault error) {
			defer contain(&fault)
			return CBOR.Marshal(details(err.(E)))
		},
		restore: func(data []byte, causes []error) (err, fault error) {
			defer contain(&fault)
			var d D
			if fault = CBOR.Unmarshal(data, &d); fault != nil {
				return nil, fault
			}
			e := restore(d, causes)
			if v := reflect.ValueOf(e); v.Kind() == reflect.Pointer && v.IsNil() {
				return nil, errNotRestored
			}
			return e, nil
		},
	}
	change(code, func(r *registry) {
		if other, taken := r.types[t]; taken {
			panic(fmt.Sprintf("wire: RegisterErrorType(%q): %v is registered as %q", code, t, other.code))
		}
		r.kinds[code], r.types[t] = k, k
	})
}

var errNotRestored = errors.New("nil")

// change replaces the registry by a copy with one more code.
func change(code string, add func(*registry)) {
	registering.Lock()
	defer registering.Unlock()
	next := &registry{
		targets: make(map[string]error),
		exact:   make(map[error]string),
		kinds:   make(map[string]*kind),
		types:   make(map[reflect.Type]*kind),
	}
	if r := registered.Load(); r != nil {
		for code, target := range r.targets {
			next.targets[code], next.exact[target] = target, code
		}
		for code, k := range r.kinds {
			next.kinds[code] = k
		}
		for t, k := range r.types {
			next.types[t] = k
		}
		next.codes = slices.Clone(r.codes)
	}
	_, target := next.targets[code]
	_, kind := next.kinds[code]
	switch {
	case code == "":
		panic("wire: an error is registered without a code")
	case target || kind || code == joinCode:
		panic(fmt.Sprintf("wire: the error code %q is registered already", code))
	}
	add(next)
	registered.Store(next)
}

// codesOf returns the codes of the sentinels that err is or says it matches, by
// itself and not by what it wraps. What it is comes first.
func (r *registry) codesOf(err error) (codes []string) {
	if code, ok := r.exactCode(err); ok {
		codes = append(codes, code)
	}
	matcher, ok := err.(interface{ Is(error) bool })
	if !ok {
		return codes
	}
	for _, code := range r.codes {
		if (len(codes) == 0 || codes[0] != code) && matches(matcher, r.targets[code]) {
			codes = append(codes, code)
		}
	}
	return codes
}

// exactCode returns the code under which err itself is registered.
func (r *registry) exactCode(err error) (code string, ok bool) {
	if reflect.ValueOf(err).Comparable() {
		code, ok = r.exact[err]
	}
	return code, ok
}

func matches(m interface{ Is(error) bool }, target error) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = false
		}
	}()
	return m.Is(target)
}
