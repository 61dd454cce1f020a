package place

import (
	"context"
	"reflect"
)

// Host is a unit of a System that can run the calls of others.
type Host interface {
	Function() *Function // nil: it has no name that others could know
}

// Function is a task or a worker as this process runs it for others: without
// its pool, whose settings are those of this process.
type Function struct {
	Name    string
	Kind    string
	In, Out reflect.Type // of a task
	State   reflect.Type // of a worker

	// Call runs a task's function; in is a pointer to the argument. Like all
	// that follow, it contains panics, and does not return from
	// runtime.Goexit.
	Call func(ctx context.Context, in any) (out any, err error)
	// Open makes a state, Close closes it if it is to be closed.
	Open  func(ctx context.Context) (state any, err error)
	Close func(state any) error
	// Method finds the method of a state by its symbol, Run runs it. in is a
	// pointer to the argument, nil if there is none.
	Method func(symbol string) (*Method, error)
	Run    func(ctx context.Context, m *Method, state, in any) (out any, err error)
}

// Method is a method of a worker's state.
type Method struct {
	Symbol  string
	In, Out reflect.Type // In is nil for a method without argument
	// Call runs it. in is a pointer.
	Call func(ctx context.Context, state, in any) (out any, err error)
}

// Info is what task.Info tells a function that runs for somebody else.
type Info struct {
	Task    string
	Call    uint64
	Attempt int
	Worker  string
	Node    string
}

// InfoKey is the key of an Info in the context of such a function.
type InfoKey struct{}
