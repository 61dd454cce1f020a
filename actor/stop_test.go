package actor_test

import (
	"context"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestStopEndsTasksAndNotTheActorSystem(t *testing.T) {
	for name, sys := range map[string]*actor.System{"own": newSystem(), "wrapped": actor.Wrap(newEngine())} {
		t.Run(name, func(t *testing.T) {
			as := sys.ActorSystem()
			bystander, in := inbox(t, as)
			square := task.MustNew(sq, task.System(sys), task.Name("square"))
			square.PID()
			stop(t, sys)
			_, err := square.Call(context.Background(), 1)
			is(t, "a call afterwards", err, task.ErrStopped)
			equal(t, "actors of the task left", registered(as, "task/"), 0)
			equal(t, "ActorSystem stopped", as.IsStopped(), false)
			as.Root.Send(bystander, "still there?")
			equal(t, "answer", <-in, any("still there?"))
			stop(t, sys)

			// The System can be used again, the name too.
			again := task.MustNew(sq, task.System(sys), task.Name("square"))
			v, err := again.Call(context.Background(), 4)
			equal(t, "value", v, 16)
			equal(t, "error", err, nil)
			stop(t, sys)
		})
	}
}

func TestStopEndsTheNewestFirst(t *testing.T) {
	sys := newSystem()
	var order []int
	for i := range 3 {
		(&fake{onStop: func() { order = append(order, i) }}).add(sys)
	}
	stop(t, sys)
	if len(order) != 3 || order[0] != 2 || order[2] != 0 {
		t.Errorf("order: got %v, want 2 1 0", order)
	}
}

// fake is a unit of a System.
type fake struct {
	system   *actor.System
	name     string
	onStop   func()
	err      error
	describe any
}

func (f *fake) add(sys *actor.System) {
	f.system = sys
	f.name, _ = sys.Units().Add("", "unit", false, f)
}

func (f *fake) Stop(context.Context) error {
	if f.onStop != nil {
		f.onStop()
	}
	if f.err == nil {
		f.system.Units().Remove(f.name, f)
	}
	return f.err
}

func (f *fake) Describe() any { return f.describe }

func TestStopReportsWhatItCouldNotEnd(t *testing.T) {
	sys := newSystem()
	(&fake{err: errOwn}).add(sys)
	(&fake{err: errCause}).add(sys)
	err := sys.Stop(context.Background())
	is(t, "Stop", err, errOwn)
	is(t, "Stop", err, errCause)
}

func TestStopIsBoundByCtx(t *testing.T) {
	sys := newSystem()
	started, open := make(chan struct{}), make(chan struct{})
	stuck := task.MustNew(func(context.Context, int) (int, error) {
		close(started)
		<-open
		return 0, nil
	}, task.System(sys), task.Name("stuck"))
	stuck.Submit(context.Background(), 1)
	<-started
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errCause)
	err := sys.Stop(ctx)
	is(t, "Stop", err, errCause)
	if err == nil || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("Stop: got %v, want the name of what still runs", err)
	}
	close(open)
	stop(t, sys)
}

func TestStopNamesAbandonedFunctions(t *testing.T) {
	sys := newSystem()
	started, open := make(chan struct{}), make(chan struct{})
	defer close(open)
	stuck := task.MustNew(func(context.Context, int) (int, error) {
		close(started)
		<-open
		return 0, nil
	}, task.System(sys), task.Name("stuck"), task.StopGrace(0))
	stuck.Submit(context.Background(), 1)
	<-started
	if err := sys.Stop(context.Background()); err == nil || !strings.Contains(err.Error(), `"stuck"`) {
		t.Errorf("Stop: got %v, want an error that names the task", err)
	}
}

func TestStopGivesUpOnASystemThatIsUsedAllTheTime(t *testing.T) {
	sys := newSystem()
	ctx, cancel := context.WithCancelCause(context.Background())
	rounds := 0
	var replace func()
	replace = func() {
		if rounds++; rounds == 5 {
			cancel(errCause)
		}
		(&fake{onStop: replace}).add(sys)
	}
	replace()
	is(t, "Stop", sys.Stop(ctx), errCause)
}

func TestStopMayBeCalledFromManyGoroutines(t *testing.T) {
	sys := newSystem()
	for range 20 {
		square := task.MustNew(sq, task.System(sys), task.Workers(2))
		race(
			func() { stop(t, sys) },
			func() { square.PID() },
			func() { _, _ = square.Call(context.Background(), 2) },
			func() { stop(t, sys) },
		)
	}
	stop(t, sys)
	equal(t, "actors left", registered(sys.ActorSystem(), "task/"), 0)
	var none context.Context
	if err := sys.Stop(none); err == nil {
		t.Error("Stop(nil): got no error")
	}
}

func TestTwoSystemsInOneProcessDoNotDisturbEachOther(t *testing.T) {
	a, b := actor.Wrap(newEngine()), actor.Wrap(newEngine())
	inA := task.MustNew(sq, task.System(a), task.Name("same"))
	inB := task.MustNew(sq, task.System(b), task.Name("same"))
	inA.PID()
	inB.PID()
	stop(t, a)
	if v, err := inB.Call(context.Background(), 5); v != 25 || err != nil {
		t.Errorf("call in the other system: got %v, %v", v, err)
	}
	equal(t, "in a", registered(a.ActorSystem(), "task/"), 0)
	stop(t, b)
}
