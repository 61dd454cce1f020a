package task

import (
	"context"
	"reflect"
	"runtime/debug"

	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/limits"
)

// What this process runs for others: the function of a task, or the init and the
// methods of a worker, without the pool that they have here.

// function describes the task, which has got that name, to those who run it for
// others.
func (t *Task[In, Out]) function(name string) *place.Function {
	if t.set.name == "" {
		return nil
	}
	return &place.Function{
		Name: name, Kind: place.KindTask, In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out](),
		Call: func(ctx context.Context, in any) (out any, err error) {
			err = hosted(ctx, name, t.set.injected, func(ctx context.Context) (err error) {
				out, err = t.core.fn(ctx, *in.(*In))
				return err
			})
			return out, err
		},
	}
}

// function describes the worker, which has got that name, to those who run it for
// others.
func (w *Worker[S]) function(name string) *place.Function {
	if w.set.name == "" {
		return nil
	}
	init := w.core.init.(func(context.Context) (S, error))
	return &place.Function{
		Name: name, Kind: place.KindWorker, State: reflect.TypeFor[S](),
		Open: func(ctx context.Context) (state any, err error) {
			err = hosted(ctx, name, false, func(ctx context.Context) (err error) {
				state, err = open(ctx, init)
				return err
			})
			return state, err
		},
		Close: func(state any) error {
			if c := closer[S](state); c != nil {
				return hosted(context.Background(), name, false, func(context.Context) error { return c.Close() })
			}
			return nil
		},
		Method: func(symbol string) (*place.Method, error) { return methodNamed[S](name, symbol) },
		Run: func(ctx context.Context, m *place.Method, state, in any) (out any, err error) {
			err = hosted(ctx, name, false, func(ctx context.Context) (err error) {
				out, err = m.Call(ctx, state, in)
				return err
			})
			return out, err
		},
	}
}

// hosted runs a function for others. A panic is its *PanicError.
func hosted(ctx context.Context, name string, injected bool, fn func(context.Context) error) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if r := recover(); r != nil { // else runtime.Goexit, which our caller sees
			err = &PanicError{Task: name, Value: r, Stack: debug.Stack()}
		}
	}()
	var k *keeper
	if injected {
		k = &keeper{Limiter: limits.From(ctx)}
		defer k.releaseAll()
		ctx = limits.NewContext(ctx, k, nil)
	}
	err = fn(ctx)
	if k != nil {
		k.pause(err)
	}
	returned = true
	return err
}
