package remote

import (
	"reflect"
	"sync"

	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

// methodBook remembers what is slow to find out about methods. Its zero value is
// ready, and it is safe for concurrent use.
type methodBook struct {
	byName sync.Map // of methodKey: *place.Method
	hashes sync.Map // of *place.Method: uint64
}

// methodKey is by type: a Function is made anew whenever somebody asks for it.
type methodKey struct {
	state  reflect.Type
	symbol string
}

// named returns the method of a worker's state with that symbol.
func (b *methodBook) named(f *place.Function, symbol string) (*place.Method, error) {
	k := methodKey{state: f.State, symbol: symbol}
	if m, ok := b.byName.Load(k); ok {
		return m.(*place.Method), nil
	}
	m, err := f.Method(symbol)
	if err == nil {
		b.byName.Store(k, m)
	}
	return m, err
}

// types returns the hash of the types of m.
func (b *methodBook) types(m *place.Method) uint64 {
	if h, ok := b.hashes.Load(m); ok {
		return h.(uint64)
	}
	h := wire.MethodHash(m.In, m.Out)
	b.hashes.Store(m, h)
	return h
}
