package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"
	"sync/atomic"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/internal/pool"
	"github.com/troupe-go/troupe/supervisor"
)

// Worker is a pool of members that own a state of type S each, or a view on
// such a pool made by [Worker.With]. [Ask], [AskKey] and [Do] call methods on the
// state; calls of one member run one after another in the order of submission,
// so that the state needs no lock. All methods are safe for concurrent use.
type Worker[S any] struct {
	core *workerCore
	set  settings
	err  error // of With: the outcome of every call

	mu      sync.Mutex
	methods atomic.Pointer[[]method] // those asked so far; replaced, never changed
}

// workerCore is what all views on one pool of members share.
type workerCore struct {
	shell
	init any // func(context.Context) (S, error)
}

// NewWorker makes a pool of members, one unless [Workers] says otherwise. Each
// owns a state that init makes before the member's first call, and that is
// closed, if it is an [io.Closer], exactly once: when the member stops, drains,
// is restarted, is idle for too long, or goes with its parent. NewWorker itself
// only checks and registers.
//
// The ctx of init ends when the worker is stopped. An error or a panic of init
// fails [Worker.Ready] and the calls that wait for the member with it; the next
// call tries again, within the restart budget of [Supervise].
//
// A call that panics fails alone: its member is restarted with a fresh state,
// and the calls that wait are kept. All options of tasks apply but [OnDemand];
// [Concurrent] is for workers only. [Priority] and [Cost] apply to the calls
// whose argument they are typed for.
func NewWorker[S any](init func(context.Context) (S, error), opts ...Option) (*Worker[S], error) {
	set, err := newWorkerSettings(opts)
	if init == nil {
		err = errors.Join(errNilFunc, err)
	}
	if err = errors.Join(err, set.rateNeedsCost()); err != nil {
		return nil, err
	}
	w := &Worker[S]{core: &workerCore{init: init}, set: set}
	if err := w.open(init); err != nil {
		return nil, err
	}
	return w, nil
}

// open makes the pool.
func (w *Worker[S]) open(init func(context.Context) (S, error)) error {
	state := &pool.State{
		Open:       func(ctx context.Context) (any, error) { return open(ctx, init) },
		Closer:     closer[S],
		Concurrent: w.set.concurrent,
	}
	return w.core.open(&w.set, plan{
		symbol: symbol(init), receive: w.receive, state: state, function: w.function,
		job: place.Job{Kind: place.KindWorker, State: reflect.TypeFor[S]()},
	})
}

// MustNewWorker is NewWorker for variables: it panics where NewWorker returns an
// error.
func MustNewWorker[S any](init func(context.Context) (S, error), opts ...Option) *Worker[S] {
	w, err := NewWorker(init, opts...)
	if err != nil {
		panic(err)
	}
	return w
}

// newWorkerSettings applies opts to the defaults of stateful workers.
func newWorkerSettings(opts []Option) (settings, error) {
	s := defaults()
	s.stateful, s.workers, s.policy = true, 1, &supervisor.Policy{}
	faults := applyAll(&s, opts)
	s.populate()
	return s, errors.Join(append(faults, s.conflicts()...)...)
}

func open[S any](ctx context.Context, init func(context.Context) (S, error)) (any, error) {
	s, err := init(ctx)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// closer returns how to close a state, given as a pointer to it.
func closer[S any](state any) io.Closer {
	s := state.(*S)
	if c, ok := any(*s).(io.Closer); ok {
		return c
	}
	c, _ := any(s).(io.Closer)
	return c
}

// With returns a view on the same pool whose calls follow opts. A wrong setting
// is the error of every call made through it. Views remember the methods that
// were called through them: keep one rather than make it for each call.
func (w *Worker[S]) With(opts ...CallOption) *Worker[S] {
	view := &Worker[S]{core: w.core, set: w.set}
	view.err = errors.Join(append(applyAll(&view.set, opts), w.err)...)
	return view
}

// Ready starts all members and waits until they have their states, or until ctx
// ends. If one cannot have it, Ready returns the error of its init; if a place of
// [Worker.On] has refused the worker, that refusal, though others may have room.
func (w *Worker[S]) Ready(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	if w.err != nil {
		return w.err
	}
	return w.core.ready(ctx)
}

// Drain refuses new calls with [ErrStopped] and returns when all accepted ones
// are done and all states are closed; for a state that does not close it waits
// about [StopGrace]. When ctx ends first, it stops the worker
// and returns context.Cause(ctx) beside the report. From inside one of its
// methods it returns [ErrWouldDeadlock]; see [Task.Drain].
func (w *Worker[S]) Drain(ctx context.Context) (Report, error) {
	if ctx == nil {
		return Report{}, errNilContext
	}
	r, err := w.core.pool.Drain(ctx)
	return Report(r), err
}

// Stop refuses new calls, fails those that wait with [ErrStopped], cancels
// those that run, and closes the states; for all that it waits at most
// [StopGrace]. The state of a method that runs on is closed when that returns.
// Stop may be called often and from many goroutines; all get the same report.
func (w *Worker[S]) Stop() Report { return Report(w.core.pool.Stop()) }

// Resize changes the number of members; n must be at least 1. Surplus members
// finish what they run and close their states; what waits for them goes to
// others, and so do their keys. Few other keys move. It does not wait.
func (w *Worker[S]) Resize(n int) error {
	if w.set.inline {
		return errors.New("task: Resize: an Inline worker has one member")
	}
	if p, ok := w.set.place.(interface{ Members() int }); ok && n > p.Members() {
		return fmt.Errorf("task: Resize(%d): worker %q lives in %s, which have room for at most %d members", n, w.Name(), w.set.place, p.Members())
	}
	return w.core.pool.Resize(n)
}

// Stats reads all counters; see [Task.Stats].
func (w *Worker[S]) Stats() Stats { return statsOf(w.core.pool) }

// Name returns the name under which the worker is registered.
func (w *Worker[S]) Name() string { return w.core.pool.Name() }

// PID starts the worker and returns the address of its router. It accepts what
// [Message] makes and answers the sender with a [Result] by value; see
// [Task.PID].
func (w *Worker[S]) PID() *actor.PID { return w.core.pool.PID() }

// Props lets any protoactor actor spawn the pool of members as its child; see
// [Task.Props].
func (w *Worker[S]) Props() *proto.Props { return w.core.pool.Props() }

// receive takes a message sent to the worker's PID, in the sender's goroutine.
func (w *Worker[S]) receive(m any, sender *proto.PID) bool {
	ctx, m := unwrap(m)
	asked, ok := m.(question[S])
	if !ok {
		want := fmt.Sprintf("task.Message of a method of %v", reflect.TypeFor[S]())
		answer(&w.core.shell, sender, Result[any]{Err: &actor.MessageError{Want: want, Got: m}})
		return true
	}
	asked.ask(ctx, w, sender)
	return true
}
