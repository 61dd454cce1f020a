package task_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// ownError has data, so that errors.As has something to find.
type ownError struct{ code int }

func (e *ownError) Error() string { return fmt.Sprint("code ", e.code) }

func TestErrorOfTheFunctionIsTheOutcomeItself(t *testing.T) {
	t.Parallel()
	own := &ownError{code: 7}
	wrapped := fmt.Errorf("wrapped: %w", own)
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(func(_ context.Context, err error) (int, error) { return 1, err }, opts...)
			defer p.Stop()
			for _, want := range []error{own, wrapped, context.Canceled, context.DeadlineExceeded, task.ErrStopped, task.ErrPanicked} {
				f := p.Submit(context.Background(), want)
				v, err := f.Result()
				equal(t, "outcome", err, want)
				equal(t, "value beside the error", v, 1)
				_, err = p.Call(context.Background(), want)
				equal(t, "outcome of Call", err, want)
			}
		})
	}
}

// engines lists options that lead through different parts of the engine and
// leave the outcome of a call as it is.
func engines() map[string][]task.Option {
	return map[string][]task.Option{
		"plain":       {task.Workers(2)},
		"on demand":   {task.OnDemand()},
		"bounded":     {task.Workers(2), task.Queue(100)},
		"round robin": {task.Workers(2), task.Balance(task.RoundRobin)},
		"with record": {task.Workers(2), task.Timeout(time.Hour), task.QueueTimeout(time.Hour)},
		"idle":        {task.Workers(2), task.IdleTimeout(time.Hour)},
		"restarting":  {task.Workers(2), task.Supervise(supervisor.Policy{MaxRestarts: -1})},
		"inline":      {task.Inline()},
	}
}

func TestPanicBecomesAPanicErrorAndTheTaskGoesOn(t *testing.T) {
	t.Parallel()
	var nothing map[string]int
	var null *ownError
	values := map[string]func(){
		"text":        func() { panic("text") },
		"number":      func() { panic(42) },
		"error":       func() { panic(fs.ErrNotExist) },
		"nil":         func() { panic(nil) },
		"nil map":     func() { nothing["a"] = 1 },
		"nil pointer": func() { null.code = 1 },
		"divide":      func() { zero := 0; _ = 1 / zero },
		"index":       func() { i := 5; _ = []int{}[i] },
	}
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(func(_ context.Context, fn func()) (int, error) { fn(); return 1, nil },
				append(opts, task.System(newSystem()))...)
			defer p.Stop()
			for what, fn := range values {
				err := failure(p.Submit(context.Background(), fn))
				is(t, what, err, task.ErrPanicked)
				e := as[*task.PanicError](t, what, err)
				equal(t, "Task", e.Task, p.Name())
				if !strings.Contains(string(e.Stack), "outcome_test.go") {
					t.Errorf("panic of %s: the stack does not show where it was", what)
				}
				var run runtime.Error
				switch what {
				case "text":
					equal[any](t, "Value", e.Value, "text")
				case "number":
					equal[any](t, "Value", e.Value, 42)
				case "error":
					is(t, what, err, fs.ErrNotExist)
				case "nil":
					as[*runtime.PanicNilError](t, what, err)
				default:
					if !errors.As(err, &run) {
						t.Errorf("panic of %s: got %v, want a runtime.Error", what, err)
					}
				}
				if v, err := p.Call(context.Background(), func() {}); v != 1 || err != nil {
					t.Fatalf("call after the panic of %s: got %v, %v", what, v, err)
				}
			}
			s := p.Stats()
			equal(t, "Panicked", s.Panicked, uint64(len(values)))
			equal(t, "Finished", s.Finished, uint64(len(values)))
		})
	}
}

func TestGoexitCompletesTheCallAndLeavesTheWorkerAlive(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		if name == "inline" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				fn := func(_ context.Context, x int) (int, error) {
					if x < 0 {
						runtime.Goexit()
					}
					return x, nil
				}
				p := task.MustNew(fn, append(opts, task.System(sys))...)
				for i := range 20 {
					bad, good := p.Submit(context.Background(), -1), p.Submit(context.Background(), i)
					err := failure(bad)
					is(t, "Goexit", err, task.ErrGoexit)
					if errors.Is(err, task.ErrPanicked) || errors.Is(err, context.Canceled) {
						t.Errorf("Goexit: got %v, which is also something else", err)
					}
					equal(t, "the call behind it", result(t, good), i)
				}
				s := p.Stats()
				equal(t, "Failed", s.Failed, 20)
				equal(t, "Finished", s.Finished, 20)
				equal(t, "report", p.Stop(), task.Report{})
			})
		})
	}
}

func TestGoexitInTheCallersPlaceGivesTheWorkerBack(t *testing.T) {
	t.Parallel()
	bg := context.Background()
	var exit atomic.Bool
	p := task.MustNew(func(_ context.Context, x int) (int, error) {
		if exit.Load() {
			runtime.Goexit()
		}
		return x, nil
	}, task.Workers(1), task.StopGrace(time.Minute))
	for i := range 1000 { // until the pool knows that its calls are quick
		if _, err := p.Call(bg, i); err != nil {
			t.Fatal(err)
		}
	}
	exit.Store(true)
	for range 100 {
		gone := make(chan struct{})
		var f *task.Future[int]
		go func() { // Call and Await may run the function here
			defer close(gone)
			f = p.Submit(bg, 1)
			_, _ = f.Await(bg)
		}()
		<-gone
		is(t, "Await", failure(f), task.ErrGoexit)
		gone = make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = p.Call(bg, 1)
		}()
		<-gone
	}
	exit.Store(false)
	if v, err := p.Submit(bg, 5).Result(); v != 5 || err != nil {
		t.Errorf("after all that: got %v, %v, want 5", v, err)
	}
	equal(t, "report", p.Stop(), task.Report{})
}

func TestPanicInTheCallersPlaceGivesTheWorkerBack(t *testing.T) {
	t.Parallel()
	bg := context.Background()
	var bad atomic.Bool
	p := task.MustNew(func(_ context.Context, x int) (int, error) {
		if bad.Load() {
			panic("bad")
		}
		return x, nil
	}, task.Workers(1), task.StopGrace(time.Minute))
	for i := range 1000 {
		if _, err := p.Call(bg, i); err != nil {
			t.Fatal(err)
		}
	}
	bad.Store(true)
	for range 100 {
		_, err := p.Call(bg, 1)
		is(t, "Call", err, task.ErrPanicked)
		_, err = p.Submit(bg, 1).Await(bg)
		is(t, "Await", err, task.ErrPanicked)
	}
	bad.Store(false)
	if v, err := p.Submit(bg, 5).Result(); v != 5 || err != nil {
		t.Errorf("after all that: got %v, %v, want 5", v, err)
	}
	equal(t, "Panicked", p.Stats().Panicked, 200)
	equal(t, "report", p.Stop(), task.Report{})
}

func TestRefusalByUntilIsTheErrorWithoutRetries(t *testing.T) {
	t.Parallel()
	odd := func(x int) error {
		if x%2 == 0 {
			return errBoom
		}
		if x == 7 {
			panic("seven")
		}
		return nil
	}
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(func(_ context.Context, x int) (int, error) { return x, nil }, append(opts, task.Until(odd))...)
			defer p.Stop()
			_, err := p.Call(context.Background(), 2)
			equal(t, "refused", err, errBoom)
			err = failure(p.Submit(context.Background(), 7))
			is(t, "panic in Until", err, task.ErrPanicked)
			equal[any](t, "panic in Until", as[*task.PanicError](t, "panic", err).Value, "seven")
			v, err := p.Call(context.Background(), 3)
			if v != 3 || err != nil {
				t.Errorf("accepted: got %v, %v", v, err)
			}
			s := p.Stats()
			equal(t, "Failed", s.Failed, 2)
			equal(t, "Finished", s.Finished, 1)
			equal(t, "Panicked: the function did not", s.Panicked, 0)
		})
	}
}
