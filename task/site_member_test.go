package task_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// Till is a state with methods that can be found elsewhere.
type Till struct{ total int }

// Put is a method with an argument.
func (l *Till) Put(_ context.Context, n int) (int, error) { l.total += n; return l.total, nil }

// Sum is one without.
func (l *Till) Sum(context.Context) (int, error) { return l.total, nil }

func newTill(context.Context) (*Till, error) { return &Till{}, nil }

// lodged runs body with a worker whose members live elsewhere.
func lodged(t *testing.T, body func(t *testing.T, e *elsewhere, far *task.Worker[*Till]), opts ...task.Option) {
	t.Helper()
	bubble(t, func(t *testing.T, sys *actor.System) {
		e := newElsewhere()
		opts := append([]task.Option{task.Name("till"), task.System(sys), task.On(e)}, opts...)
		far := task.MustNewWorker(newTill, opts...)
		body(t, e, far)
		far.Stop()
	})
}

func TestMembersElsewhereAreOpenedAndAsked(t *testing.T) {
	lodged(t, func(t *testing.T, e *elsewhere, far *task.Worker[*Till]) {
		f := task.Ask(t.Context(), far, (*Till).Put, 4)
		s := <-e.arrived
		equal(t, "argument", s.In, any(4))
		equal(t, "method", s.Method.Symbol, "github.com/troupe-go/troupe/task_test.(*Till).Put")
		s.value(4)
		if v, err := f.Result(); v != 4 || err != nil {
			t.Errorf("Put = %d, %v", v, err)
		}
		f = task.Do(t.Context(), far, (*Till).Sum)
		s = <-e.arrived
		equal(t, "argument of Do", s.In, nil)
		equal(t, "method of Do", s.Method.Symbol, "github.com/troupe-go/troupe/task_test.(*Till).Sum")
		s.value(4)
		if v, err := f.Result(); v != 4 || err != nil {
			t.Errorf("Sum = %d, %v", v, err)
		}
		m := <-e.members
		far.Stop()
		equal(t, "closed", len(m.closed), 1)
	})
}

func TestMethodsThatNobodyCouldFind(t *testing.T) {
	lodged(t, func(t *testing.T, e *elsewhere, far *task.Worker[*Till]) {
		literal := func(*Till, context.Context, int) (int, error) { return 0, nil }
		_, err := task.Ask(t.Context(), far, literal, 1).Result()
		var fault *task.MethodError
		if !errors.As(err, &fault) || fault.Worker != "till" {
			t.Errorf("a literal: %v", err)
		}
		equal(t, "sent", len(e.arrived), 0)
		f := task.Ask(t.Context(), far, (*Till).Put, 1)
		(<-e.arrived).value(1)
		if _, err := f.Result(); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestALostMemberIsMadeAnew(t *testing.T) {
	lodged(t, func(t *testing.T, e *elsewhere, far *task.Worker[*Till]) {
		f := task.Ask(t.Context(), far, (*Till).Put, 1)
		first, s := <-e.members, <-e.arrived
		loss := &place.Loss{Err: errBoom}
		s.back <- &place.Lost{Err: errCause, Loss: loss}
		if _, err := f.Result(); !errors.Is(err, errCause) {
			t.Errorf("the call that ran: %v", err)
		}
		second := <-e.members // at once, and not with the next call
		equal(t, "the first was closed", len(first.closed), 1)

		e.pool.Lost(second, &place.Loss{Err: errBoom}) // idle
		third := <-e.members
		f = task.Ask(t.Context(), far, (*Till).Put, 1)
		s = <-e.arrived
		s.back <- &place.Undone{Err: &place.Loss{Err: errBoom}} // found out when it was asked
		<-e.members
		(<-e.arrived).value(9)
		if v, err := f.Result(); v != 9 || err != nil {
			t.Errorf("the call that was not sent: %d, %v", v, err)
		}
		synctest.Wait()
		equal(t, "the third was closed", len(third.closed), 1)
		equal(t, "restarts", far.Stats().Restarts, 3)
	})
}

func TestMembersLostTogetherAreOneFailure(t *testing.T) {
	asked := make(chan error, 100)
	policy := supervisor.Policy{MaxRestarts: 1, Decide: func(err error) supervisor.Directive {
		asked <- err
		return supervisor.Restart
	}}
	lodged(t, func(t *testing.T, e *elsewhere, far *task.Worker[*Till]) {
		if err := far.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		loss := &place.Loss{Err: errBoom}
		for range 20 {
			e.pool.Lost(<-e.members, loss)
		}
		synctest.Wait()
		for range 20 {
			e.pool.Lost(<-e.members, &place.Loss{Err: errBoom, Free: true}) // asked to move: that costs nothing
		}
		synctest.Wait()
		equal(t, "failures that the policy was asked about", len(asked), 1)
		equal(t, "members that live", len(e.members), 20)
		if err := <-asked; !errors.Is(err, errBoom) {
			t.Errorf("it was asked about %v", err)
		}
		e.pool.Lost(<-e.members, &place.Loss{Err: errCause})
		synctest.Wait()
		if _, err := task.Ask(t.Context(), far, (*Till).Put, 1).Result(); !errors.Is(err, task.ErrFailed) {
			t.Errorf("after a second failure: %v, want ErrFailed", err)
		}
	}, task.Workers(20), task.Supervise(policy))
}

func TestAPanicElsewhereRestartsItsMember(t *testing.T) {
	lodged(t, func(t *testing.T, e *elsewhere, far *task.Worker[*Till]) {
		f := task.Ask(t.Context(), far, (*Till).Put, 1)
		first := <-e.members
		(<-e.arrived).back <- &task.PanicError{Task: "till", Value: "there"}
		if _, err := f.Result(); !errors.Is(err, task.ErrPanicked) {
			t.Errorf("got %v", err)
		}
		<-e.members
		equal(t, "closed", len(first.closed), 1)
	})
}

func TestAMemberThatCannotBeOpenedElsewhere(t *testing.T) {
	lodged(t, func(t *testing.T, e *elsewhere, far *task.Worker[*Till]) {
		e.openErr = errBoom
		if err := far.Ready(t.Context()); !errors.Is(err, errBoom) {
			t.Errorf("Ready: %v", err)
		}
		if _, err := task.Ask(t.Context(), far, (*Till).Put, 1).Result(); !errors.Is(err, errBoom) {
			t.Errorf("Ask: %v", err)
		}
	})
}

func TestWhatCannotBePlacedIsNotTheOriginal(t *testing.T) {
	bubble(t, func(t *testing.T, sys *actor.System) {
		here := task.MustNew(sq, task.Name("sq"), task.System(sys))
		far := here.On(newElsewhere(), task.Workers(0))
		till := task.MustNewWorker(newTill, task.Name("till"), task.System(sys))
		farTill := till.On(nil)
		if _, err := far.Call(t.Context(), 1); err == nil {
			t.Error("a call of a task with a wrong option succeeds")
		}
		if _, err := task.Do(t.Context(), farTill, (*Till).Sum).Result(); err == nil {
			t.Error("a call of a worker with a wrong option succeeds")
		}
		if err := errors.Join(far.Ready(t.Context()), nil); err == nil {
			t.Error("Ready of a task with a wrong option succeeds")
		}
		equal(t, "name", far.Name(), "sq")
		equal(t, "name of the worker", farTill.Name(), "till")
		far.Stop()
		farTill.Stop()
		if v, err := here.Call(t.Context(), 3); v != 9 || err != nil {
			t.Errorf("the original is stopped as well: %d, %v", v, err)
		}
		if v, err := task.Do(t.Context(), till, (*Till).Sum).Result(); v != 0 || err != nil {
			t.Errorf("the original worker is stopped as well: %d, %v", v, err)
		}
		here.Stop()
		till.Stop()
	})
}
