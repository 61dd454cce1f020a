package actor

import (
	"context"
	"errors"

	"github.com/troupe-go/troupe/internal/cell"
)

// Result is an outcome as a message: what a PID receives from
// [Future.PipeTo], and what a task's PID answers with. It travels by value.
type Result[T any] struct {
	Value T
	Err   error
}

var errNilContext = errors.New("actor: nil context")

// Future is the outcome of a call that may still be running. It completes
// exactly once; all methods are safe for concurrent use, and a Future that
// nobody waits for holds no goroutine. The zero value never completes by
// itself; get one from a task or from [NewFuture].
type Future[T any] struct {
	cell  cell.Cell // first: the engine finds the whole call by it
	value T
}

// NewFuture returns an open Future and the function that completes it. That
// function reports false if the Future was complete already; it is safe for
// concurrent use.
func NewFuture[T any]() (*Future[T], func(T, error) bool) {
	f := &Future[T]{}
	return f, f.complete
}

// Completed returns a Future that is complete from the start.
func Completed[T any](v T, err error) *Future[T] {
	f := &Future[T]{}
	f.complete(v, err)
	return f
}

func (f *Future[T]) complete(v T, err error) bool {
	if !f.cell.ClaimOutside(err) {
		return false
	}
	f.value = v
	f.cell.Publish(err)
	return true
}

// Await returns the outcome, or context.Cause(ctx) if ctx ends first; the call
// then runs on, and a later Await can still collect it. An outcome that is
// there already is returned even if ctx has ended.
//
// Await may run the call on the caller's goroutine: if the call has not begun,
// neither ctx nor the call's own ctx can end, and a worker is free; and if ctx
// is that of a function in the very pool which the call waits for, where
// waiting might otherwise last for ever. In the first case Await returns when
// the function does, also if the Future is cancelled or the task stopped
// meanwhile, and a function that calls runtime.Goexit ends the caller's
// goroutine, as it would without a pool.
func (f *Future[T]) Await(ctx context.Context) (T, error) {
	var zero T
	if ctx == nil {
		return zero, errNilContext
	}
	if err := f.cell.Wait(ctx); err != nil {
		return zero, err
	}
	return f.value, f.cell.Err()
}

// Result is Await without a bound: it blocks until the outcome is there.
func (f *Future[T]) Result() (T, error) { return f.Await(context.Background()) }

// Done returns a channel that is closed once the outcome is there, the same one
// at each call.
func (f *Future[T]) Done() <-chan struct{} {
	f.cell.Expect()
	return f.cell.DoneChan()
}

// Poll returns the outcome if it is there; done tells. It never blocks.
func (f *Future[T]) Poll() (v T, err error, done bool) { //nolint:revive // the contract's order
	if !f.cell.IsDone() {
		return v, nil, false
	}
	return f.value, f.cell.Err(), true
}

// Cancel ends the call: the Future completes at once with context.Canceled, a
// waiting call is never run, and a running function sees its ctx end. It
// reports whether the Future became cancelled by this call.
func (f *Future[T]) Cancel() bool { return f.cell.Abort(cell.Cancelled, context.Canceled) }

// OnDone calls fn once with the outcome: on the goroutine that completes the
// Future, so fn should be quick, or at once on the caller's if the outcome is
// there already. Callbacks given before completion run one after another in the
// order in which they were given. A panic in fn is contained and logged; a nil
// fn is ignored.
func (f *Future[T]) OnDone(fn func(T, error)) {
	if fn == nil {
		return
	}
	f.cell.Watch(func() { fn(f.value, f.cell.Err()) })
}

// CellOf gives the other packages of this module what is inside of a Future.
// The types are internal; there is nothing here for users.
func CellOf[T any](f *Future[T]) (*cell.Cell, *T) { return &f.cell, &f.value }
