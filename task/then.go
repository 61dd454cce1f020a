package task

import (
	"context"
	"runtime/debug"

	"github.com/troupe-go/troupe/actor"
)

// Then runs fn with the value of f once that is there, on a goroutine of its
// own, and returns the Future of fn's result at once. A failure of f becomes
// the result, and fn is not run. The ctx of fn ends when the returned Future is
// done; cancelling that does not cancel f. A panic in fn is a [*PanicError],
// runtime.Goexit in it [ErrGoexit].
func Then[T, U any](f *Future[T], fn func(context.Context, T) (U, error)) *Future[U] {
	var zero U
	switch {
	case f == nil:
		return actor.Completed(zero, errNilFuture)
	case fn == nil:
		return actor.Completed(zero, errNilFunc)
	}
	derived, complete := actor.NewFuture[U]()
	link(f, derived, func(v T) {
		ctx, cancel := context.WithCancelCause(context.Background())
		derived.OnDone(func(_ U, err error) { cancel(err) })
		go finish(ctx, v, fn, complete)
	}, complete)
	return derived
}

// link calls next with the value of from, or completes derived with its error.
// When derived is done first, from forgets it.
func link[T, U any](from *Future[T], derived *Future[U], next func(T), complete func(U, error) bool) {
	source, value := actor.CellOf(from)
	watcher := source.Watch(func() {
		if err := source.Err(); err != nil {
			var zero U
			complete(zero, err)
			return
		}
		if !cellOf(derived).IsDone() {
			next(*value)
		}
	})
	if watcher != nil {
		derived.OnDone(func(U, error) { watcher.Remove() })
		source.Expect() // by whoever waits for derived
	}
}

// finish runs fn and completes its Future, also if fn panics or calls
// runtime.Goexit.
func finish[T, U any](ctx context.Context, v T, fn func(context.Context, T) (U, error), complete func(U, error) bool) {
	var u U
	err := ErrGoexit
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Task: "Then", Value: r, Stack: debug.Stack()}
		}
		complete(u, err)
	}()
	u, err = fn(ctx, v)
}

// submitFuture is [Task.SubmitFuture] after its checks.
func submitFuture[In, Out any](t *Task[In, Out], ctx context.Context, in *Future[In]) *Future[Out] {
	if t.err != nil {
		var zero Out
		return actor.Completed(zero, t.err)
	}
	derived, complete := actor.NewFuture[Out]()
	fail := func(err error) {
		var zero Out
		complete(zero, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	detach := context.AfterFunc(ctx, func() { fail(context.Cause(ctx)) })
	callOff := t.core.pool.OnStop(fail)
	derived.OnDone(func(_ Out, err error) {
		detach()
		callOff()
		if err == nil {
			err = context.Canceled
		}
		cancel(err)
	})
	link(in, derived, func(v In) {
		c, call := t.prepare(ctx, v)
		call.OnDone(func(v Out, err error) { complete(v, err) })
		switch {
		case c == nil:
			return
		case t.set.inline:
			defer fail(namedExit(t.Name())) // counts only if the function ends this goroutine
			t.core.pool.RunHere(c)
			return
		}
		t.core.pool.SubmitLater(c) // who completed in must not block on a full queue
		derived.OnDone(func(Out, error) { call.Cancel() })
		c.Expect() // by whoever waits for derived
	}, complete)
	return derived
}
