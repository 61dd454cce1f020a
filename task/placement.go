package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/internal/pool"
)

// Placement says where the workers of a pool live, if not in this process.
// Package remote makes placements: remote.Nodes and remote.Processes.
type Placement interface{ place.Placement }

// On runs the calls elsewhere: in child processes or on other nodes; see
// [Task.On]. The task must have a name that the other side knows: [Name] or
// that of a top-level function. It excludes [Inline]. [Workers] then bounds the
// calls in flight over all places, by default what those take; [Balance] says
// which place gets a call. Default: this process.
func On(p Placement) Option {
	return option(func(s *settings) error {
		if v := reflect.ValueOf(p); p == nil || v.Kind() == reflect.Pointer && v.IsNil() {
			return errors.New("task: On(nil): want a placement")
		}
		s.place = p
		return nil
	})
}

// populate sets the number of members where the placement knows it.
func (s *settings) populate() {
	if p, ok := s.place.(interface{ Members() int }); ok && !s.workersSet && p.Members() > 0 {
		s.workers = p.Members()
	}
}

var errPlaceless = errors.New("task: On: the other side has to know the task by a name: want Name, or a top-level function")

// site makes the place where the calls run; nil if that is here.
func (s *settings) site(job place.Job) (place.Site, error) {
	if s.place == nil {
		return nil, nil
	}
	if s.name == "" {
		return nil, errPlaceless
	}
	job.Name, job.System, job.Limiter, job.Idempotent = s.name, s.system, s.limiter, s.idempotent
	job.OnDemand, job.Balance, job.Concurrent = s.onDemand, int(s.balance), s.concurrent
	if s.workersSet {
		job.Workers = s.workers
	}
	if s.policy != nil {
		job.Policy = *s.policy
	}
	return s.place.Place(job)
}

// elsewhere returns the settings for another pool of the same function: those
// about calls stay, those about the pool that they were made for do not.
func (s settings) elsewhere(p Placement, opts []Option) (settings, error) {
	fresh := defaults()
	s.workers, s.workersSet = fresh.workers, false
	if s.stateful {
		s.workers = 1
	}
	s.onDemand, s.inline, s.idleTimeout, s.named = false, false, 0, true
	s.balance, s.balanceSet = Shared, false
	faults := applyAll(&s, append([]Option{On(p)}, opts...))
	switch {
	case s.stateful:
		s.populate()
	case !s.workersSet:
		s.workers = 0
	}
	faults = append(faults, s.conflicts()...)
	return s, errors.Join(faults...)
}

// On returns another pool of the same function, whose calls run at p: on nodes
// and in child processes that run this program, or another one that has a task
// of the same name and types. Options that are about calls and limits are those
// of t, those about its pool are not ([Workers], [OnDemand], [IdleTimeout],
// [Balance], [Inline]); opts come on top. A wrong one is the error of every
// call, as in [Task.With]. The new pool has t's name, and is stopped on its own.
func (t *Task[In, Out]) On(p Placement, opts ...Option) *Task[In, Out] {
	set := t.set
	if set.name != "" { // else only this process knows it
		set.name = t.Name()
	}
	set, err := set.elsewhere(p, opts)
	moved := &Task[In, Out]{core: &core[In, Out]{fn: t.core.fn}, set: set}
	moved.err = errors.Join(t.err, moved.typeCheck(err))
	if moved.err == nil {
		moved.err = moved.open()
	}
	if moved.err != nil {
		moved.core.nowhere(set.name, moved.receive, nil)
		moved.spec = moved.bind()
	}
	return moved
}

// On returns another pool of members, whose states are made and kept at p; see
// [Task.On]. A member whose place is lost is made anew elsewhere, as [Supervise]
// says; what its state held is gone. Methods are found there by their symbol:
// method expressions such as (*Counter).Add of exported methods work, anything
// else is a [*MethodError].
func (w *Worker[S]) On(p Placement, opts ...Option) *Worker[S] {
	set := w.set
	if set.name != "" {
		set.name = w.Name()
	}
	set, err := set.elsewhere(p, opts)
	moved := &Worker[S]{core: &workerCore{init: w.core.init}, set: set}
	moved.err = errors.Join(w.err, err, moved.set.rateNeedsCost())
	if moved.err == nil {
		moved.err = moved.open(w.core.init.(func(context.Context) (S, error)))
	}
	if moved.err != nil {
		moved.core.nowhere(set.name, moved.receive, &pool.State{})
	}
	return moved
}

// away is an attempt elsewhere.
type away[Out any] struct {
	place.Call
	out Out
}

// newAway makes the attempt of that number of a call. With number 0 it is the only
// one of a plain call, or of one that is lent.
func newAway[Out any](id uint64, number int, in any) *away[Out] {
	a := &away[Out]{Call: place.Call{ID: id, Attempt: max(1, number), In: in, Watched: number == 0}}
	a.Out = &a.out
	return a
}

// runAway is run for calls elsewhere.
func (t *Task[In, Out]) runAway(c *cell.Cell, s pool.Settler, until func(Out) error) {
	k := callOf[In, Out](c)
	a := newAway[Out](c.ID(), 0, k.in)
	err, over := comeBack(c, s, t.Name(), t.core.site.Run(c.AsContext(), &a.Call))
	if !over {
		return
	}
	if err == nil && until != nil {
		err = check(t.Name(), until, a.out)
	}
	if s.Settle(c, bare(err)) {
		_, value := actor.CellOf(&k.future)
		*value = a.out
		k.drop()
		c.Publish(bare(err))
	}
}

// callAway is callLent for calls elsewhere; over is false if the call did not get
// there and has to be submitted.
func (t *Task[In, Out]) callAway(w *pool.Lent, in In) (v Out, err error, over bool) { //nolint:revive // err is not how it failed
	a := newAway[Out](w.Call(), 0, in)
	err = t.core.site.Run(w.StopContext(), &a.Call)
	switch e := err.(type) { //nolint:errorlint // made by the Site itself
	case *place.Undone:
		w.Unreturned()
		return v, nil, false
	case *place.Lost:
		err = e.Err
	default:
		if panickedElsewhere(t.Name(), err) {
			w.Fail(err)
		}
	}
	err = bare(err)
	return a.out, w.Return(err), true
}

// attemptAway is runAttempt for calls elsewhere.
func (t *Task[In, Out]) attemptAway(a *pool.Attempt) (Out, error) {
	k := callOf[In, Out](a.Cell)
	w := newAway[Out](a.Cell.ID(), a.Number, k.in)
	w.Permit, w.Timed = a.Permit(), a.Timed()
	err := t.core.site.Run(a.Ctx, &w.Call)
	return w.out, err
}

// askAway is runAsked for calls elsewhere.
func askAway[S, In, Out any](c *cell.Cell, s pool.Settler, name string, until func(Out) error) {
	k := askedOf[S, In, Out](c)
	a := newAway[Out](c.ID(), 0, nil)
	err := k.address(&a.Call, name)
	over := true
	if err == nil {
		err, over = comeBack(c, s, name, s.Member().(place.Member).Run(c.AsContext(), &a.Call))
	}
	if !over {
		return
	}
	if err == nil && until != nil {
		err = check(name, until, a.out)
	}
	if s.Settle(c, bare(err)) {
		_, value := actor.CellOf(&k.future)
		*value = a.out
		k.drop()
		c.Publish(bare(err))
	}
}

// askAttemptAway is one attempt of a call of a member elsewhere.
func askAttemptAway[S, In, Out any](a *pool.Attempt, name string) (Out, error) {
	w := newAway[Out](a.Cell.ID(), a.Number, nil)
	w.Permit, w.Timed = a.Permit(), a.Timed()
	if err := askedOf[S, In, Out](a.Cell).address(&w.Call, name); err != nil {
		return w.out, Permanent(err)
	}
	err := a.Member().(place.Member).Run(a.Ctx, &w.Call)
	return w.out, err
}

// address fills in method and argument of a call of a member elsewhere.
func (k *asked[S, In, Out]) address(c *place.Call, name string) (err error) {
	var fn any = k.method
	if do, ok := any(k.in).(func(S, context.Context) (Out, error)); ok { // of Do
		fn = do
	} else {
		c.In = k.in
	}
	c.Method, err = symbolOf[S](name, fn)
	return err
}

// memberElsewhere is how members are made at a Site.
func memberElsewhere(at place.Site, concurrent int) *pool.State {
	return &pool.State{
		Open:       func(ctx context.Context) (any, error) { return at.Open(ctx) },
		Closer:     func(state any) io.Closer { return state.(place.Member) },
		Concurrent: concurrent,
	}
}

// balanceHere is how the calls are spread over the workers of the pool. The
// calls of a task elsewhere are spread over places, by the Site.
func (s *settings) balanceHere() pool.Balance {
	if s.place != nil && !s.stateful {
		return pool.Shared
	}
	return pool.Balance(s.balance)
}

func (s *settings) placeName() string {
	if s.place == nil {
		return ""
	}
	return s.place.String()
}

// ready waits for the workers, and for the place where they are to be.
func (h *shell) ready(ctx context.Context) error {
	if h.site == nil {
		return h.pool.Ready(ctx)
	}
	if h.kind == actor.KindTask {
		return h.pool.ReadyElsewhere(ctx)
	}
	err := h.pool.Ready(ctx)
	if err == nil { // but a place that will never have any of them may be a mistake
		return h.site.Refused()
	}
	if missing := h.site.Missing(); missing != "" && errors.Is(err, context.Cause(ctx)) {
		return fmt.Errorf("task %q: %s: %w", h.pool.Name(), missing, err)
	}
	return err
}

// returner is who has an attempt elsewhere in hand.
type returner interface {
	PutBack(c *cell.Cell, undone bool)
	LoseMember(err error)
	Fail(err error)
}

// comeBack sorts out what came back from elsewhere for the task, or worker, of
// that name: over is false if the call has gone back into the queue.
func comeBack(c *cell.Cell, r returner, name string, err error) (final error, over bool) { //nolint:revive // final is not how it failed
	switch e := err.(type) { //nolint:errorlint // made by the Site itself
	case nil:
		return nil, true
	case *place.Undone:
		r.LoseMember(e.Err)
		r.PutBack(c, true)
		return nil, false
	case *place.Lost:
		if r.LoseMember(e.Err); e.Loss != nil {
			r.LoseMember(e.Loss)
		}
		if e.Again {
			r.PutBack(c, false)
			return nil, false
		}
		return e.Err, true
	}
	if panickedElsewhere(name, err) {
		r.Fail(err)
	}
	return err, true
}

// panickedElsewhere reports whether a function of that name has panicked where
// it ran, and not only returned the panic of another as its error.
func panickedElsewhere(name string, err error) bool {
	p, ok := err.(*PanicError) //nolint:errorlint // as made by who ran it
	return ok && p.Task == name
}

// nowhere makes a pool that no call gets to, for a task that cannot be placed: it
// has a name and can be stopped, and is not that of any other task.
func (h *shell) nowhere(name string, receive func(any, *proto.PID) bool, state *pool.State) {
	h.pool, _ = pool.New(pool.Config{ // a System of its own: the name is free
		Name: name, System: actor.NewSystem(), Workers: 1, Receive: receive, State: state,
	}, faultsOf)
	h.kind, h.site = actor.KindTask, nil
	if state != nil {
		h.kind = actor.KindWorker
	}
}
