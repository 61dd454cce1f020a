package task_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// A node looks for what it can run as soon as that is registered, which is
// before New has returned.
func TestATaskThatIsBeingMadeCanBeFound(t *testing.T) {
	sys := actor.NewSystem()
	found, described := map[string]bool{}, 0
	sys.Units().OnAdd = func() {
		for _, u := range sys.Units().Units() {
			if f := u.(place.Host).Function(); f != nil {
				found[f.Name+" "+f.Kind] = true
			}
			if u.Describe() != nil {
				described++
			}
		}
	}
	first := task.MustNew(sq, task.Name("sq"), task.System(sys))
	second := task.MustNewWorker(newTill, task.Name("till"), task.System(sys))
	third := first.On(newElsewhere())
	for _, want := range []string{"sq " + place.KindTask, "till " + place.KindWorker} {
		if !found[want] {
			t.Errorf("%q is not among %v", want, found)
		}
	}
	equal(t, "descriptions", described, 1+2+3)
	third.Stop()
	second.Stop()
	first.Stop()
}

// Nobody has returned from New yet, and everything is stopped.
func TestATaskThatIsBeingMadeCanBeStopped(t *testing.T) {
	sys := actor.NewSystem()
	sys.Units().OnAdd = func() {
		for _, u := range sys.Units().Units() {
			if err := u.Stop(t.Context()); err != nil {
				t.Errorf("Stop: %v", err)
			}
		}
	}
	tk := task.MustNew(sq, task.Name("sq"), task.System(sys))
	_, err := tk.Call(t.Context(), 2)
	is(t, "a call of what was stopped", err, task.ErrStopped)
	if want := `task "sq"`; err == nil || err.Error()[:len(want)] != want {
		t.Errorf("got %v, want the name in it", err)
	}
}

func TestAPanicElsewhereIsTheSameToThePolicyHoweverItWasCalled(t *testing.T) {
	asked := 0
	policy := supervisor.Policy{Decide: func(err error) supervisor.Directive {
		if errors.Is(err, task.ErrPanicked) {
			asked++
		}
		return supervisor.Resume
	}}
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		lend(t, e, far)
		there := &task.PanicError{Task: "sq", Value: "there"}
		got := make(chan error)
		go func() { _, err := far.Call(context.Background(), 1); got <- err }()
		s := <-e.arrived
		equal(t, "waited for in its caller", s.Watched, true)
		s.back <- there
		is(t, "Call", <-got, task.ErrPanicked)
		synctest.Wait()
		equal(t, "failures after Call", asked, 1)

		f := far.Submit(t.Context(), 2)
		(<-e.arrived).back <- there
		is(t, "Submit", failure(f), task.ErrPanicked)
		synctest.Wait()
		equal(t, "failures after Submit", asked, 2)

		go func() { _, err := far.Call(context.Background(), 1); got <- err }()
		(<-e.arrived).back <- &task.PanicError{Task: "another", Value: "returned as an error"}
		is(t, "Call", <-got, task.ErrPanicked)
		synctest.Wait()
		equal(t, "failures after a panic of another task", asked, 2)
	}, task.Supervise(policy))
}

func TestWhatWasNotSentKeepsItsRank(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		for i := range 4 { // one a second; the third is urgent
			far.Submit(t.Context(), i)
			time.Sleep(time.Second)
		}
		e.pool.Allow(3)
		var taken []*sent
		for range 3 {
			taken = append(taken, <-e.arrived)
		}
		e.pool.Allow(0)
		for _, s := range taken {
			s.back <- &place.Undone{Err: errBoom}
		}
		synctest.Wait()
		e.pool.Allow(1)
		var order []uint64
		for range 4 {
			s := <-e.arrived
			order = append(order, s.ID)
			s.value(0)
		}
		equalSlices(t, "order", order, []uint64{3, 1, 2, 4})
	}, task.Priority(func(i int) int {
		if i == 2 {
			return 10
		}
		return 0
	}))
}

func TestReadyOfAWorkerTellsOfPlacesThatRefuseIt(t *testing.T) {
	lodged(t, func(t *testing.T, e *elsewhere, far *task.Worker[*Till]) {
		e.refused = errBoom
		is(t, "Ready", far.Ready(t.Context()), errBoom)
		e.refused = nil
		is(t, "Ready", far.Ready(t.Context()), nil)
	})
}

func TestTheRefusalOfAPlaceIsNotWrapped(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		far.PID() // starts it
		e.pool.Decline(errBoom)
		if _, err := far.Call(t.Context(), 1); err != errBoom { //nolint:errorlint // itself
			t.Errorf("Call: %#v", err)
		}
		if err := far.Ready(t.Context()); err != errBoom { //nolint:errorlint // itself
			t.Errorf("Ready: %#v", err)
		}
		far.Stop()
		_, err := far.Call(t.Context(), 1)
		is(t, "after Stop", err, task.ErrStopped)
	})
}

func TestAPlaceKnowsWhichAttemptsHaveATimeout(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		far.PID() // starts it
		e.pool.Allow(1)
		for what, view := range map[string]*task.Task[int, int]{
			"plain":        far,
			"Timeout":      far.With(task.Timeout(time.Minute)),
			"QueueTimeout": far.With(task.QueueTimeout(time.Minute)),
		} {
			f := view.Submit(t.Context(), 1)
			s := <-e.arrived
			equal(t, what, s.Timed, what == "Timeout")
			s.value(1)
			is(t, what, failure(f), nil)
		}
	})
	lodged(t, func(t *testing.T, e *elsewhere, far *task.Worker[*Till]) {
		for _, timed := range []bool{true, false} {
			view := far.With(task.QueueTimeout(time.Minute))
			if timed {
				view = view.With(task.Timeout(time.Minute))
			}
			f := task.Ask(t.Context(), view, (*Till).Put, 1)
			s := <-e.arrived
			equal(t, "of a method", s.Timed, timed)
			s.value(1)
			is(t, "Put", failure(f), nil)
		}
	})
}
