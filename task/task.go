package task

import (
	"context"
	"errors"
	"reflect"
	"unsafe"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/internal/pool"
	"github.com/troupe-go/troupe/limits"
)

// Future is the outcome of a call; see [actor.Future].
type Future[T any] = actor.Future[T]

// Result is an outcome as a message; see [actor.Result].
type Result[T any] = actor.Result[T]

// Task is a function behind a pool of workers, or a view on such a pool made by
// [Task.With]. All methods are safe for concurrent use.
type Task[In, Out any] struct {
	core *core[In, Out]
	set  settings
	spec *pool.Spec
	err  error // of With: the outcome of every call
}

// core is what all views on one pool share.
type core[In, Out any] struct {
	shell
	fn    func(context.Context, In) (Out, error)
	level func(In) int
	costs func(In) limits.Request // nil: the defaults
}

// call is the one allocation of a call.
type call[In, Out any] struct {
	future actor.Future[Out] // first: see callOf
	in     In
}

// drop forgets the argument: the Future of a call that its function has ended
// does not keep it alive.
func (k *call[In, Out]) drop() {
	var none In
	k.in = none
}

// callOf finds the call that c is the head of.
func callOf[In, Out any](c *cell.Cell) *call[In, Out] {
	return (*call[In, Out])(unsafe.Pointer(c)) //nolint:gosec // the cell is the first field of the future, which is the first of the call
}

// New puts fn behind a pool of workers. It only checks and registers: the pool
// starts at the first call, so a task in a package-level variable costs nothing
// until it is used. The error joins all faults of the options.
func New[In, Out any](fn func(context.Context, In) (Out, error), opts ...Option) (*Task[In, Out], error) {
	set, err := newSettings(opts)
	t := &Task[In, Out]{core: &core[In, Out]{fn: fn}, set: set}
	if fn == nil {
		err = errors.Join(errNilFunc, err)
	}
	if err := t.typeCheck(err); err != nil {
		return nil, err
	}
	if err := t.open(); err != nil {
		return nil, err
	}
	return t, nil
}

// typeCheck takes the typed options; its faults join those before.
func (t *Task[In, Out]) typeCheck(before error) (err error) {
	t.core.costs, err = costsOf[In](&t.set, before)
	level, err2 := typed[func(In) int]("Priority", t.set.priority)
	_, err3 := typed[func(Out) error]("Until", t.set.until)
	t.core.level = level
	return errors.Join(err, err2, err3)
}

// MustNew is New for variables: it panics where New returns an error.
func MustNew[In, Out any](fn func(context.Context, In) (Out, error), opts ...Option) *Task[In, Out] {
	t, err := New(fn, opts...)
	if err != nil {
		panic(err)
	}
	return t
}

// open makes the pool.
func (t *Task[In, Out]) open() error {
	err := t.core.open(&t.set, plan{
		symbol: symbol(t.core.fn), receive: t.receive, function: t.function,
		job: place.Job{Kind: place.KindTask, In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out]()},
	})
	if err != nil {
		return err
	}
	t.spec = t.bind()
	return nil
}

// bind makes the engine's view of the settings.
func (t *Task[In, Out]) bind() *pool.Spec {
	until, _ := t.set.until.(func(Out) error)
	s := t.core.spec(&t.set, func(c *cell.Cell) any { return callOf[In, Out](c).in })
	s.Run = func(c *cell.Cell, s pool.Settler) { t.run(c, s, until) }
	s.RunAttempt = func(a *pool.Attempt) { t.runAttempt(a, until) }
	if t.core.site != nil {
		s.Run = func(c *cell.Cell, s pool.Settler) { t.runAway(c, s, until) }
	}
	return t.core.pool.Bind(s)
}

// run is the hot path: the function, the claim, the value.
func (t *Task[In, Out]) run(c *cell.Cell, s pool.Settler, until func(Out) error) {
	k := callOf[In, Out](c)
	v, err := t.core.fn(c.AsContext(), k.in)
	if err != nil {
		err = bare(err)
	} else if until != nil {
		err = check(t.Name(), until, v)
	}
	if s.Settle(c, err) {
		_, value := actor.CellOf(&k.future)
		*value = v
		k.drop()
		c.Publish(err)
	}
}

func (t *Task[In, Out]) runAttempt(a *pool.Attempt, until func(Out) error) {
	k := callOf[In, Out](a.Cell)
	v, final, mine := attempt(a, t.Name(), until, func() (Out, error) {
		if a.Away() {
			return t.attemptAway(a)
		}
		return t.core.fn(a.Ctx, k.in)
	})
	if mine {
		_, value := actor.CellOf(&k.future)
		*value = v
		if a.Number == 1 { // else an earlier attempt, given up on, may be about to read it
			k.drop()
		}
		a.Cell.Publish(final)
	}
}

// prepare makes the cell of a call; nil if the call cannot be made, with f done.
func (t *Task[In, Out]) prepare(ctx context.Context, in In) (c *cell.Cell, f *Future[Out]) {
	k := &call[In, Out]{in: in}
	c, _ = actor.CellOf(&k.future)
	if ctx == nil || t.err != nil {
		err := t.err
		if ctx == nil {
			err = errNilContext
		}
		c.Claim()
		c.Publish(err)
		return nil, &k.future
	}
	c.SetParent(ctx)
	c.Owner = &t.spec.Owner
	if !t.spec.Plain {
		request, err := cost(&t.core.shell, t.core.costs, in)
		if err != nil {
			c.Claim()
			c.Publish(err)
			return nil, &k.future
		}
		t.spec.Prepare(c, rank(&t.core.shell, t.core.level, in), request)
	}
	return c, &k.future
}

// Submit queues in and returns the [Future] of its result at once; with a
// [Queue] bound it first blocks until there is room.
//
// Every failure arrives through the Future: context.Cause(ctx) if ctx ends
// before or while the call runs (detach it with [context.WithoutCancel]),
// [ErrStopped] if the task stops first. Also safe from inside a task.
func (t *Task[In, Out]) Submit(ctx context.Context, in In) *Future[Out] {
	c, f := t.prepare(ctx, in)
	if c == nil {
		return f
	}
	if t.set.inline {
		t.core.pool.RunHere(c)
		return f
	}
	t.core.pool.Submit(c)
	return f
}

// TrySubmit is Submit that never blocks: it reports false, with a nil Future,
// if the queue is full.
func (t *Task[In, Out]) TrySubmit(ctx context.Context, in In) (*Future[Out], bool) {
	f, ok := t.offer(ctx, in)
	if !ok {
		t.core.pool.Rejected()
	}
	return f, ok
}

// offer is TrySubmit for those who do not give up if the queue is full.
func (t *Task[In, Out]) offer(ctx context.Context, in In) (*Future[Out], bool) {
	c, f := t.prepare(ctx, in)
	if c == nil {
		return f, true
	}
	if t.set.inline {
		t.core.pool.RunHere(c)
		return f, true
	}
	if !t.core.pool.TrySubmit(c) {
		return nil, false
	}
	return f, true
}

// SubmitFuture submits the value of in when that is there, and returns at once.
// A failure of in becomes the result; so does context.Cause(ctx) if ctx ends
// before, and [ErrStopped] if the task stops before. Cancelling the result does
// not cancel in. If the queue is full by then, the call waits for room, or fails
// with [Reject]; whoever completes in is not held up, and no goroutine waits.
func (t *Task[In, Out]) SubmitFuture(ctx context.Context, in *Future[In]) *Future[Out] {
	var zero Out
	switch {
	case ctx == nil:
		return actor.Completed(zero, errNilContext)
	case in == nil:
		return actor.Completed(zero, errNilFuture)
	}
	return submitFuture(t, ctx, in)
}

// Call runs in and waits for the result, or for the end of ctx, which cancels
// the call. If nothing can end the call early and a worker is idle, the
// function may run on the caller's goroutine, or be waited for there if it runs
// elsewhere; Call then returns when the function does, also if the task is
// stopped meanwhile, and runtime.Goexit in the function ends the caller.
func (t *Task[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	if t.spec.Plain && t.err == nil && ctx == context.Background() && t.set.until == nil {
		if w := t.lend(); w != nil {
			if t.core.site == nil {
				return t.callLent(w, in)
			}
			if v, err, over := t.callAway(w, in); over {
				return v, err
			}
		}
	}
	f := t.Submit(ctx, in)
	return f.Await(context.Background())
}

// lend gives the place of an idle worker, if the caller may run the call there.
// What may be run again is not for that: somebody has to keep count.
func (t *Task[In, Out]) lend() *pool.Lent {
	if t.core.site != nil && t.set.idempotent {
		return nil
	}
	return t.core.pool.Lend()
}

// callLent runs the function on the caller's goroutine in an idle worker's place.
func (t *Task[In, Out]) callLent(w *pool.Lent, in In) (v Out, err error) {
	returned := false
	defer func() {
		if !returned {
			err = w.Crash(recover())
		}
	}()
	v, err = t.core.fn(w.Context(), in)
	returned = true
	if err != nil {
		err = bare(err)
	}
	return v, w.Return(err)
}

// With returns a view on the same pool whose calls follow opts. A wrong setting
// is the error of every call made through it.
func (t *Task[In, Out]) With(opts ...CallOption) *Task[In, Out] {
	view := &Task[In, Out]{core: t.core, set: t.set}
	faults := applyAll(&view.set, opts)
	_, err := typed[func(Out) error]("Until", view.set.until)
	view.err = errors.Join(append(faults, err, t.err)...)
	view.spec = view.bind()
	return view
}

// Ready starts the workers and waits until all of them live, or until ctx ends.
// An on-demand task has none to start.
func (t *Task[In, Out]) Ready(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	if t.err != nil {
		return t.err
	}
	return t.core.ready(ctx)
}

// Drain refuses new calls with [ErrStopped] and returns when all accepted ones
// are done and the pool is gone. When ctx ends first, it stops the task and
// returns context.Cause(ctx) beside the report. Given the ctx of one of the
// task's functions, which it would wait for, it does nothing and returns
// [ErrWouldDeadlock]; with another ctx a function that drains its own task waits
// until that ends, and so does a callback of [Future.OnDone].
func (t *Task[In, Out]) Drain(ctx context.Context) (Report, error) {
	if ctx == nil {
		return Report{}, errNilContext
	}
	r, err := t.core.pool.Drain(ctx)
	return Report(r), err
}

// Stop refuses new calls, fails those that wait with [ErrStopped], cancels
// those that run, and waits at most [StopGrace] for their functions to return.
// It may be called often and from many goroutines; all get the same report. A
// function of the task that calls Stop waits for itself until the grace ends.
func (t *Task[In, Out]) Stop() Report { return Report(t.core.pool.Stop()) }

// Resize changes how many workers there are, or how many calls of an on-demand
// task may run at once; n must be at least 1. Surplus workers finish what they
// run. It does not wait.
func (t *Task[In, Out]) Resize(n int) error {
	if t.set.inline {
		return errors.New("task: Resize: an Inline task has no workers")
	}
	return t.core.pool.Resize(n)
}

// Name returns the name under which the task is registered.
func (t *Task[In, Out]) Name() string { return t.core.pool.Name() }

// PID starts the task and returns the address of its router: it accepts In as a
// message and answers the sender with a [Result] of Out by value; a message of
// another type is answered with a Result that holds an [*actor.MessageError],
// and a full queue with [ErrQueueFull].
func (t *Task[In, Out]) PID() *actor.PID { return t.core.pool.PID() }

// Props lets any protoactor actor spawn the pool as its child, in that actor's
// system; the handle is then that pool. It can be spawned once, before the
// first use. When that parent stops, the task stops.
func (t *Task[In, Out]) Props() *proto.Props { return t.core.pool.Props() }
