package task

import (
	"context"
	"errors"
	"unsafe"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/pool"
	"github.com/troupe-go/troupe/limits"
)

var errNilMethod = errors.New("task: nil method")

// asked is the one allocation of a call to a stateful worker.
type asked[S, In, Out any] struct {
	future actor.Future[Out] // first: see askedOf
	in     In
	method func(S, context.Context, In) (Out, error)
}

// askedOf finds the call that c is the head of.
func askedOf[S, In, Out any](c *cell.Cell) *asked[S, In, Out] {
	return (*asked[S, In, Out])(unsafe.Pointer(c)) //nolint:gosec // as for callOf
}

// drop forgets what the call was given; see call.drop.
func (k *asked[S, In, Out]) drop() {
	var none In
	k.in, k.method = none, nil
}

// Ask calls method with the state of one of w's members, whichever is free
// first, and returns the [Future] of the result at once:
//
//	f := task.Ask(ctx, counter, (*Counter).Add, 5)
//
// Every failure arrives through the Future, and blocking is as for
// [Task.Submit]. The method has the state to itself until it returns, unless
// [Concurrent] says otherwise. A method may ask its own worker: if it waits for
// that, with the ctx that it was given, and no other member is free, the call
// runs at once with the same state, as a plain method call would. That includes
// asking for [Future.Done], after which the method had better only wait; and a
// wait that ends before the call, which then runs on beside the method.
func Ask[S, In, Out any](ctx context.Context, w *Worker[S], method func(S, context.Context, In) (Out, error), in In) *Future[Out] {
	c, f := prepareAsk(ctx, w, method, in, anyMember)
	if c != nil {
		w.submit(c)
	}
	return f
}

// AskKey is Ask for a call that belongs to a key: all calls with the same key go
// to the same member, in the order of submission, as long as [Worker.Resize] does
// not change the number of members: then some keys move, and a state that keeps
// something for a key had better not trust it when that comes back. A member that
// is restarted keeps its keys. A call that would wait for itself through other members' keys ends with
// [ErrWouldDeadlock].
func AskKey[S, In, Out any](ctx context.Context, w *Worker[S], key string, method func(S, context.Context, In) (Out, error), in In) *Future[Out] {
	c, f := prepareAsk(ctx, w, method, in, keyed(key))
	if c != nil {
		w.submit(c)
	}
	return f
}

// Do is Ask for methods without argument.
func Do[S, Out any](ctx context.Context, w *Worker[S], method func(S, context.Context) (Out, error)) *Future[Out] {
	if method == nil {
		var none Out
		return actor.Completed(none, errNilMethod)
	}
	return Ask(ctx, w, invoke[S, Out], method)
}

// invoke calls a method that was passed as the argument.
func invoke[S, Out any](s S, ctx context.Context, method func(S, context.Context) (Out, error)) (Out, error) {
	return method(s, ctx)
}

// addressee is the member that a call is for: any, or that of a key.
type addressee struct {
	keyed bool
	hash  uint64
}

var anyMember addressee

func keyed(key string) addressee { return addressee{keyed: true, hash: pool.HashKey(key)} }

func (w *Worker[S]) submit(c *cell.Cell) {
	if w.set.inline {
		w.core.pool.RunHere(c)
		return
	}
	w.core.pool.Submit(c)
}

// prepareAsk makes the cell of a call; nil if the call cannot be made, with f
// done.
func prepareAsk[S, In, Out any](ctx context.Context, w *Worker[S], fn func(S, context.Context, In) (Out, error), in In, to addressee) (c *cell.Cell, f *Future[Out]) {
	k := &asked[S, In, Out]{in: in, method: fn}
	c, _ = actor.CellOf(&k.future)
	m, err := methodOf[S, In, Out](w)
	switch {
	case ctx == nil:
		err = errNilContext
	case fn == nil:
		err = errNilMethod
	}
	if err != nil {
		c.Claim()
		c.Publish(err)
		return nil, &k.future
	}
	c.SetParent(ctx)
	c.Owner = &m.spec.Owner
	if m.spec.Plain && to == anyMember {
		return c, &k.future
	}
	request, err := cost(&w.core.shell, m.costs, in)
	if err != nil {
		c.Claim()
		c.Publish(err)
		return nil, &k.future
	}
	m.spec.Prepare(c, rank(&w.core.shell, m.level, in), request)
	if to != anyMember {
		pool.Key(c, to.hash)
	}
	return c, &k.future
}

// method is how a view runs the calls of one type.
type method struct {
	kind any // a nil pointer, whose type tells
	how  any // *asking[In] of it
}

type asking[In any] struct {
	spec  *pool.Spec
	level func(In) int
	costs func(In) limits.Request
}

// methodOf returns how w runs calls of this type.
func methodOf[S, In, Out any](w *Worker[S]) (*asking[In], error) {
	if w == nil {
		return nil, errors.New("task: nil worker")
	}
	kind := any((*asked[S, In, Out])(nil))
	if known := w.methods.Load(); known != nil {
		for i := range *known {
			if (*known)[i].kind == kind {
				return (*known)[i].how.(*asking[In]), w.err
			}
		}
	}
	if w.err != nil {
		return nil, w.err
	}
	until, err := typed[func(Out) error]("Until", w.set.until)
	if err != nil {
		return nil, err
	}
	return learn(w, kind, newAsking[S, In](w, until)), nil
}

// learn remembers how calls of a type are run.
func learn[S, In any](w *Worker[S], kind any, how *asking[In]) *asking[In] {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []method
	if known := w.methods.Load(); known != nil {
		for _, m := range *known {
			if m.kind == kind { // somebody was quicker
				return m.how.(*asking[In])
			}
		}
		all = append(all, *known...)
	}
	all = append(all, method{kind: kind, how: how})
	w.methods.Store(&all)
	return how
}

func newAsking[S, In, Out any](w *Worker[S], until func(Out) error) *asking[In] {
	h := &w.core.shell
	s := h.spec(&w.set, func(c *cell.Cell) any {
		in := any(askedOf[S, In, Out](c).in)
		if _, do := in.(func(S, context.Context) (Out, error)); do {
			return nil
		}
		return in
	})
	name := h.pool.Name()
	s.Run = func(c *cell.Cell, s pool.Settler) { runAsked[S, In](c, s, name, until) }
	if h.site != nil {
		s.Run = func(c *cell.Cell, s pool.Settler) { askAway[S, In](c, s, name, until) }
	}
	s.RunAttempt = func(a *pool.Attempt) {
		k := askedOf[S, In, Out](a.Cell)
		v, final, mine := attempt(a, name, until, func() (Out, error) {
			if a.Away() {
				return askAttemptAway[S, In, Out](a, name)
			}
			return k.method(*a.Member().(*S), a.Ctx, k.in)
		})
		if mine {
			_, value := actor.CellOf(&k.future)
			*value = v
			if a.Number == 1 { // as in Task.runAttempt
				k.drop()
			}
			a.Cell.Publish(final)
		}
	}
	return &asking[In]{spec: h.pool.Bind(s), level: levelFor[In](w.set.priority), costs: costsFor[In](w.set.cost)}
}

// levelFor returns the priorities for calls with an In, if there are any.
func levelFor[In any](f any) func(In) int {
	if any, ok := f.(func(any) int); ok {
		return func(in In) int { return any(in) }
	}
	level, _ := f.(func(In) int)
	return level
}

// costsFor returns the costs of calls with an In, if there are any.
func costsFor[In any](f any) func(In) limits.Request {
	if any, ok := f.(func(any) limits.Request); ok {
		return func(in In) limits.Request { return any(in) }
	}
	costs, _ := f.(func(In) limits.Request)
	return costs
}

// runAsked is the hot path: the method, the claim, the value.
func runAsked[S, In, Out any](c *cell.Cell, s pool.Settler, name string, until func(Out) error) {
	k := askedOf[S, In, Out](c)
	v, err := k.method(*s.Member().(*S), c.AsContext(), k.in)
	if err != nil {
		err = bare(err)
	} else if until != nil {
		err = check(name, until, v)
	}
	if s.Settle(c, err) {
		_, value := actor.CellOf(&k.future)
		*value = v
		k.drop()
		c.Publish(err)
	}
}

// Message makes a message for [Worker.PID] that asks for a call of method, as
// [Ask] does. Any actor may send it, also several times; the answer is a
// [Result] of Out by value. It is for workers of this process.
func Message[S, In, Out any](method func(S, context.Context, In) (Out, error), in In) any {
	return &letter[S, In, Out]{method: method, in: in}
}

// MessageKey is Message for a call that belongs to a key, as with [AskKey].
func MessageKey[S, In, Out any](key string, method func(S, context.Context, In) (Out, error), in In) any {
	return &letter[S, In, Out]{method: method, in: in, to: keyed(key)}
}

// question is a letter to a worker with states of type S.
type question[S any] interface {
	ask(ctx context.Context, w *Worker[S], sender *proto.PID)
}

type letter[S, In, Out any] struct {
	method func(S, context.Context, In) (Out, error)
	in     In
	to     addressee
}

func (l *letter[S, In, Out]) ask(ctx context.Context, w *Worker[S], sender *proto.PID) {
	c, f := prepareAsk(ctx, w, l.method, l.in, l.to)
	switch {
	case c == nil:
	case w.set.inline:
		w.core.pool.RunHere(c)
	case !w.core.pool.TrySubmit(c):
		w.core.pool.Rejected()
		answer(&w.core.shell, sender, Result[Out]{Err: namedFull(w.Name())})
		return
	}
	reply(&w.core.shell, sender, f)
}
