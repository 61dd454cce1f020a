package task_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestResultReachesEveryWayToAskForIt(t *testing.T) {
	t.Parallel()
	bg := context.Background()
	p := task.MustNew(sq, task.Workers(2))
	defer p.Stop()
	if v, err := p.Call(bg, 3); v != 9 || err != nil {
		t.Errorf("Call: got %v, %v", v, err)
	}
	f := p.Submit(bg, 4)
	if v, err := f.Await(bg); v != 16 || err != nil {
		t.Errorf("Await: got %v, %v", v, err)
	}
	if v, err := f.Result(); v != 16 || err != nil {
		t.Errorf("Result: got %v, %v", v, err)
	}
	if v, err, ok := f.Poll(); v != 16 || err != nil || !ok {
		t.Errorf("Poll: got %v, %v, %v", v, err, ok)
	}
	<-f.Done()
	got := make(chan int, 1)
	f.OnDone(func(v int, err error) { got <- v })
	equal(t, "OnDone", <-got, 16)
	f, ok := p.TrySubmit(bg, 5)
	equal(t, "TrySubmit", ok, true)
	equal(t, "TrySubmit", result(t, f), 25)
	equal(t, "SubmitFuture", result(t, p.SubmitFuture(bg, f)), 625)
}

func TestManyCallsAllReturnTheirOwnResult(t *testing.T) {
	t.Parallel()
	bg := context.Background()
	const n = 5_000
	for name, opts := range map[string][]task.Option{
		"shared":     {task.Workers(4)},
		"roundrobin": {task.Workers(4), task.Balance(task.RoundRobin)},
		"ranked":     {task.Workers(4), task.Priority(func(x int) int { return x % 3 })},
		"bounded":    {task.Workers(4), task.Queue(8)},
		"retries":    {task.Workers(4), task.Retries(task.RetryPolicy{Max: 1})},
		"on demand":  {task.Workers(4), task.OnDemand()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(sq, opts...)
			defer p.Stop()
			fs := make([]*task.Future[int], n)
			for i := range fs {
				fs[i] = p.Submit(bg, i)
			}
			for i, f := range fs {
				if v, err := f.Await(bg); v != i*i || err != nil {
					t.Fatalf("call %d: got %v, %v", i, v, err)
				}
			}
		})
	}
}

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

// stuck returns a task with one worker that is inside a function.
func stuck(t *testing.T, sys *actor.System, opts ...task.Option) (*task.Task[int, int], *gate, *task.Future[int]) {
	t.Helper()
	g := newGate()
	p := task.MustNew(g.ignore, append([]task.Option{task.Workers(1), task.System(sys)}, opts...)...)
	f := p.Submit(context.Background(), -1)
	equal(t, "first call", <-g.started, -1)
	return p, g, f
}

func TestCancelledWaitingCallIsCompletedAtOnceAndNeverRun(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"plain": nil, "ranked": {task.Priority(func(x int) int { return x })},
		"round robin": {task.Balance(task.RoundRobin)}, "bounded": {task.Queue(5)}, "record": {task.Timeout(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p, g, first := stuck(t, sys, opts...)
				bg := context.Background()
				ctx, cancel := context.WithCancelCause(bg)
				a, b, c := p.Submit(bg, 1), p.Submit(ctx, 2), p.Submit(bg, 3)
				equal(t, "Queued", p.Stats().Queued, 3)
				equal(t, "Cancel", a.Cancel(), true)
				equal(t, "second Cancel", a.Cancel(), false)
				equal(t, "done at once", done(a), true)
				equal(t, "outcome", failure(a), context.Canceled)
				cancel(errCause)
				synctest.Wait()
				equal(t, "done at once", done(b), true)
				equal(t, "outcome", failure(b), errCause)
				equal(t, "Queued", p.Stats().Queued, 1)
				close(g.open)
				equal(t, "first", result(t, first), -1)
				equal(t, "last", result(t, c), 3)
				equal(t, "Cancel when done", c.Cancel(), false)
				equalSlices(t, "calls that ran after the first", g.ran(), []int{3})
				s := p.Stats()
				equal(t, "Cancelled", s.Cancelled, 2)
				equal(t, "Finished", s.Finished, 2)
				p.Stop()
			})
		})
	}
}

func TestCancelledRunningCallIsCompletedAtOnceAndKeepsItsWorker(t *testing.T) {
	t.Parallel()
	cancels := map[string]struct {
		cancel func(f *task.Future[int], ctx context.CancelCauseFunc)
		want   error
	}{
		"Future.Cancel": {func(f *task.Future[int], _ context.CancelCauseFunc) { f.Cancel() }, context.Canceled},
		"ctx":           {func(_ *task.Future[int], cancel context.CancelCauseFunc) { cancel(errCause) }, errCause},
	}
	for how, tt := range cancels {
		for name, opts := range engines() {
			if name == "inline" {
				continue
			}
			t.Run(how+" "+name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					ctx, cancel := context.WithCancelCause(context.Background())
					defer cancel(nil)
					open := make(chan struct{})
					seen := make(chan error, 2)
					fn := func(ctx context.Context, x int) (int, error) {
						if x == 1 {
							<-ctx.Done()
							seen <- context.Cause(ctx)
							seen <- ctx.Err()
							<-open
						}
						return x, nil
					}
					opts := append([]task.Option{task.System(sys)}, append(opts, task.Workers(1))...)
					p := task.MustNew(fn, opts...)
					f := p.Submit(ctx, 1)
					behind := p.Submit(context.Background(), 2)
					synctest.Wait()
					tt.cancel(f, cancel)
					synctest.Wait()
					equal(t, "done at once", done(f), true)
					is(t, "outcome", failure(f), tt.want)
					is(t, "cause that the function sees", <-seen, tt.want)
					is(t, "error that the function sees", <-seen, context.Canceled)
					equal(t, "the call behind it has run", done(behind), false)
					equal(t, "Busy", p.Stats().Busy, 1)
					equal(t, "Cancelled", p.Stats().Cancelled, 1)
					close(open)
					equal(t, "the call behind it", result(t, behind), 2)
					equal(t, "Finished", p.Stats().Finished, 1)
					p.Stop()
				})
			})
		}
	}
}

// The function sees the end of its ctx and returns ctx.Err(); the outcome has
// to be the cause all the same.
func TestOutcomeAfterTheEndOfCtxIsItsCauseHoweverQuickTheFunction(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"plain": nil, "timeout": {task.Timeout(time.Hour)}, "retries": {task.Retries(task.RetryPolicy{Max: 3})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := make(chan struct{})
			p := task.MustNew(func(ctx context.Context, _ int) (int, error) {
				started <- struct{}{}
				<-ctx.Done()
				return 0, ctx.Err()
			}, append(opts, task.Workers(1))...)
			defer p.Stop()
			for range 500 {
				ctx, cancel := context.WithCancelCause(context.Background())
				f := p.Submit(ctx, 0)
				<-started
				cancel(errCause)
				if err := failure(f); err != errCause {
					t.Fatalf("got %v, want %v", err, errCause)
				}
			}
		})
	}
}

func TestCallWhoseCtxHasEndedIsNeverQueued(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(func(context.Context, int) (int, error) { t.Error("the function ran"); return 0, nil }, opts...)
			defer p.Stop()
			ctx, cancel := context.WithCancelCause(context.Background())
			cancel(errCause)
			equal(t, "Submit", failure(p.Submit(ctx, 1)), errCause)
			f, ok := p.TrySubmit(ctx, 1)
			equal(t, "TrySubmit", ok, true)
			equal(t, "TrySubmit", failure(f), errCause)
			_, err := p.Call(ctx, 1)
			equal(t, "Call", err, errCause)
			err = failure(p.SubmitFuture(ctx, actor.Completed(1, nil)))
			equal(t, "SubmitFuture", err, errCause)
			s := p.Stats()
			equal(t, "Queued", s.Queued, 0)
			if s.Submitted != s.Finished+s.Failed+s.Panicked+s.Cancelled+s.TimedOut {
				t.Errorf("counters do not add up: %+v", s)
			}
		})
	}
}

func TestDeadlineOfCtxIsTheOutcomeAndReachesTheFunction(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		want, _ := ctx.Deadline()
		p := task.MustNew(func(ctx context.Context, _ int) (int, error) {
			if got, ok := ctx.Deadline(); !ok || !got.Equal(want) {
				t.Errorf("Deadline: got %v, %v, want %v", got, ok, want)
			}
			<-ctx.Done()
			return 0, nil
		}, task.System(sys))
		start := time.Now()
		_, err := p.Call(ctx, 1)
		equal(t, "outcome", err, context.DeadlineExceeded)
		equal(t, "after", time.Since(start), time.Second)
		var timeout *task.TimeoutError
		equal(t, "a TimeoutError", errors.As(err, &timeout), false)
		p.Stop()
	})
}

func TestAwaitIsBoundedByItsOwnCtxOnly(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p, g, f := stuck(t, sys)
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Second, func() { cancel(errCause) })
		_, err := f.Await(ctx)
		equal(t, "Await", err, errCause)
		equal(t, "the call is done", done(f), false)
		close(g.open)
		equal(t, "a later Result", result(t, f), -1)
		v, err := f.Await(ctx)
		equal(t, "an outcome that is there is given in spite of ctx", v, -1)
		equal(t, "and without error", err, nil)
		p.Stop()
	})
}

func TestValuesOfTheCallersCtxReachTheFunction(t *testing.T) {
	t.Parallel()
	type key struct{}
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(func(ctx context.Context, _ int) (any, error) {
				before := ctx.Value(key{})
				ctx.Done() // from here on the ctx is a different one inside
				if after := ctx.Value(key{}); after != before {
					return nil, fmt.Errorf("value was %v, is %v after Done", before, after)
				}
				return before, nil
			}, opts...)
			defer p.Stop()
			ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "value"))
			defer cancel()
			v, err := p.Call(ctx, 1)
			if v != "value" || err != nil {
				t.Errorf("got %v, %v", v, err)
			}
		})
	}
}

func TestCtxOfTheFunctionEndsWhenTheCallDoes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var kept context.Context
		p := task.MustNew(func(ctx context.Context, done bool) (int, error) {
			kept = ctx
			if done {
				ctx.Done()
			}
			return 1, nil
		}, task.System(sys))
		for _, early := range []bool{true, false} {
			if _, err := p.Call(context.Background(), early); err != nil {
				t.Fatal(err)
			}
			select {
			case <-kept.Done():
			case <-time.After(time.Second):
				t.Errorf("Done asked for early: %v: a ctx kept by the function never ends", early)
			}
			if kept.Err() == nil {
				t.Error("an ended ctx has no error")
			}
		}
		p.Stop()
	})
}

func TestTimeoutEndsAnAttemptAtOnceAndKeepsItsWorker(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		if name == "inline" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				seen := make(chan error, 1)
				fn := func(ctx context.Context, x int) (int, error) {
					if x == 1 {
						<-ctx.Done()
						seen <- context.Cause(ctx)
						time.Sleep(time.Second)
					}
					return x, nil
				}
				p := task.MustNew(fn, append(append([]task.Option{}, opts...), task.System(sys), task.Workers(1), task.Timeout(time.Minute))...)
				start := time.Now()
				f, behind := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
				err := failure(f)
				equal(t, "after", time.Since(start), time.Minute)
				e := as[*task.TimeoutError](t, "outcome", err)
				equal(t, "outcome", *e, task.TimeoutError{Kind: task.AttemptRun, After: time.Minute})
				is(t, "outcome", err, context.DeadlineExceeded)
				equal(t, "Timeout()", e.Timeout(), true)
				is(t, "cause that the function sees", <-seen, err)
				equal(t, "the one behind", result(t, behind), 2)
				equal(t, "the one behind begins", time.Since(start), time.Minute+time.Second)
				s := p.Stats()
				equal(t, "TimedOut", s.TimedOut, 1)
				equal(t, "Finished", s.Finished, 1)
				p.Stop()
			})
		})
	}
}

func TestTimeoutCountsFromTheStartOfTheAttempt(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			time.Sleep(40 * time.Second)
			return x, nil
		}, task.System(sys), task.Workers(1), task.Timeout(time.Minute))
		a, b := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
		equal(t, "first", result(t, a), 1)
		equal(t, "second, which waited", result(t, b), 2)
		p.Stop()
	})
}

func TestQueueTimeoutEndsACallThatWaitsAndNoOther(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"plain": nil, "ranked": {task.Priority(func(x int) int { return 0 })}, "on demand": {task.OnDemand()},
		"round robin": {task.Balance(task.RoundRobin)}, "bounded": {task.Queue(2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p, g, first := stuck(t, sys, append(opts, task.QueueTimeout(time.Minute))...)
				start := time.Now()
				bg := context.Background()
				waits := p.Submit(bg, 1)
				err := failure(waits)
				equal(t, "after", time.Since(start), time.Minute)
				e := as[*task.TimeoutError](t, "outcome", err)
				equal(t, "outcome", *e, task.TimeoutError{Kind: task.QueueWait, After: time.Minute})
				is(t, "outcome", err, context.DeadlineExceeded)
				equal(t, "Queued", p.Stats().Queued, 0)
				time.Sleep(time.Hour) // does not concern the one that runs
				equal(t, "the running one is done", done(first), false)
				late := p.Submit(bg, 2)
				time.Sleep(time.Minute - 1)
				close(g.open)
				equal(t, "the running one", result(t, first), -1)
				equal(t, "one that waited nearly too long", result(t, late), 2)
				equalSlices(t, "ran beside the first", g.ran(), []int{2})
				equal(t, "TimedOut", p.Stats().TimedOut, 1)
				p.Stop()
			})
		})
	}
}

func TestQueueTimeoutBoundsTheWaitForRoomToo(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p, g, _ := stuck(t, sys, task.Queue(1))
		full := p.Submit(context.Background(), 1)
		start := time.Now()
		f := p.With(task.QueueTimeout(time.Minute)).Submit(context.Background(), 2)
		equal(t, "Submit blocked for", time.Since(start), time.Minute)
		e := as[*task.TimeoutError](t, "outcome", failure(f))
		equal(t, "kind", e.Kind, task.QueueWait)
		close(g.open)
		equal(t, "the one in the queue", result(t, full), 1)
		equalSlices(t, "ran", g.ran(), []int{1})
		p.Stop()
	})
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

func TestInfoTellsWhatTheCallIsPartOf(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		info := func(ctx context.Context, _ int) (task.CallInfo, error) {
			ctx, cancel := context.WithCancel(ctx) // asked below the function's own
			defer cancel()
			return task.Info(ctx), nil
		}
		p := task.MustNew(info, task.System(sys), task.Name("shop"), task.Workers(1))
		for i := range 3 {
			got := result(t, p.Submit(context.Background(), 0))
			equal(t, "info", got, task.CallInfo{Task: "shop", Call: uint64(i + 1), Attempt: 1, Worker: "worker-0"})
		}
		got := result(t, p.With(task.Timeout(time.Hour)).Submit(context.Background(), 0))
		equal(t, "info under a Timeout", got, task.CallInfo{Task: "shop", Call: 4, Attempt: 1, Worker: "worker-0"})
		p.Stop()
		equal(t, "outside of a task", task.Info(context.Background()), task.CallInfo{})
	})
}

func TestInfoInTheCallersPlaceIsTheWorkers(t *testing.T) {
	t.Parallel()
	p := task.MustNew(func(ctx context.Context, _ int) (task.CallInfo, error) { return task.Info(ctx), nil },
		task.Name("quick calls"), task.Workers(1))
	defer p.Stop()
	for i := range 2000 {
		got, err := p.Call(context.Background(), 0)
		want := task.CallInfo{Task: "quick calls", Call: uint64(i + 1), Attempt: 1, Worker: "worker-0"}
		if got != want || err != nil {
			t.Fatalf("call %d: got %v, %v, want %v", i+1, got, err, want)
		}
	}
}

func TestSubmitFutureRunsWhenItsInputIsThere(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(sq, task.System(sys))
		bg := context.Background()
		in, complete := actor.NewFuture[int]()
		f := p.SubmitFuture(bg, in)
		synctest.Wait()
		equal(t, "done before its input", done(f), false)
		equal(t, "Submitted before its input", p.Stats().Submitted, 0)
		complete(3, nil)
		equal(t, "result", result(t, f), 9)

		in, complete = actor.NewFuture[int]()
		f = p.SubmitFuture(bg, in)
		complete(0, errBoom)
		equal(t, "failure of the input", failure(f), errBoom)

		in, complete = actor.NewFuture[int]()
		f = p.SubmitFuture(bg, in)
		equal(t, "Cancel", f.Cancel(), true)
		equal(t, "cancelled", failure(f), context.Canceled)
		equal(t, "the input is done", done(in), false)
		equal(t, "the input can be completed", complete(4, nil), true)

		in, _ = actor.NewFuture[int]()
		ctx, cancel := context.WithCancelCause(bg)
		f = p.SubmitFuture(ctx, in)
		cancel(errCause)
		equal(t, "end of ctx while the input is awaited", failure(f), errCause)
		equal(t, "the input is done", done(in), false)
		equal(t, "Submitted in all", p.Stats().Submitted, 1)
		p.Stop()
	})
}

func TestCancelOfASubmitFutureCancelsItsCall(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		ended := make(chan error, 1)
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return 0, nil
		}, task.System(sys))
		f := p.SubmitFuture(context.Background(), actor.Completed(1, nil))
		synctest.Wait()
		f.Cancel()
		is(t, "cause that the function sees", <-ended, context.Canceled)
		p.Stop()
	})
}

func TestSubmitFutureOnAFullQueueWaitsAndDoesNotBlock(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p, g, _ := stuck(t, sys, task.Queue(1))
		queued := p.Submit(context.Background(), 1)
		in, complete := actor.NewFuture[int]()
		f := p.SubmitFuture(context.Background(), in)
		complete(2, nil) // must not block
		close(g.open)
		equal(t, "queued", result(t, queued), 1)
		equal(t, "result", result(t, f), 2)
		equal(t, "Rejected", p.Stats().Rejected, 0)
		p.Stop()
	})
}

// Guarantee 1: every Future completes exactly once.
func TestFutureCompletesExactlyOnceWhoeverEndsIt(t *testing.T) {
	t.Parallel()
	const rounds = 300
	for name, opts := range map[string][]task.Option{
		"plain":    nil,
		"record":   {task.Timeout(50 * time.Microsecond), task.QueueTimeout(100 * time.Microsecond)},
		"retries":  {task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(20 * time.Microsecond)})},
		"members":  {task.Balance(task.LeastActive)},
		"bounded":  {task.Queue(1)},
		"restarts": {task.Supervise(supervisor.Policy{MaxRestarts: -1})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sys := newSystem()
			for round := range rounds {
				p := task.MustNew(func(ctx context.Context, x int) (int, error) {
					switch x % 5 {
					case 0:
						panic(x)
					case 1:
						return 0, errBoom
					case 2:
						<-ctx.Done()
						return 0, ctx.Err()
					}
					return x, nil
				}, append(opts, task.Workers(2), task.System(sys))...)
				ctx, cancel := context.WithCancel(context.Background())
				var completions [10]atomic.Int32
				var fs [10]*task.Future[int]
				var all sync.WaitGroup
				for i := range fs {
					all.Add(1)
					// Not Submit in a row: with a bound it may wait for what
					// only cancel ends.
					all.Go(func() {
						fs[i] = p.Submit(ctx, i)
						fs[i].OnDone(func(int, error) { completions[i].Add(1); all.Done() })
						if i%3 == round%3 {
							fs[i].Cancel()
						}
					})
				}
				all.Go(cancel)
				if round%2 == 0 {
					all.Go(func() { p.Stop() })
				}
				all.Wait()
				p.Stop()
				for i, f := range fs {
					if n := completions[i].Load(); n != 1 {
						t.Fatalf("round %d: call %d completed %d times", round, i, n)
					}
					v, err := f.Result()
					if v2, err2 := f.Result(); v2 != v || err2 != err {
						t.Fatalf("round %d: call %d: outcome %v, %v became %v, %v", round, i, v, err, v2, err2)
					}
				}
				cancel()
			}
		})
	}
}

// Guarantee 2: no call is run twice.
func TestNoCallIsRunTwice(t *testing.T) {
	t.Parallel()
	const calls = 6_000
	for name, opts := range map[string][]task.Option{
		"plain":   nil,
		"members": {task.Balance(task.RoundRobin)},
		"ranked":  {task.Priority(func(x int) int { return x % 7 })},
		"bounded": {task.Queue(16)},
		"record":  {task.QueueTimeout(200 * time.Microsecond)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var runs [calls]atomic.Int32
			p := task.MustNew(func(ctx context.Context, x int) (int, error) {
				runs[x].Add(1)
				if x%1000 == 0 {
					runtime.Gosched() // make others steal what waits behind
				}
				return x, nil
			}, append(opts, task.Workers(4))...)
			fs := make([]*task.Future[int], calls)
			for i := range fs {
				fs[i] = p.Submit(context.Background(), i)
				if i%3 == 0 {
					fs[i/2].Cancel()
				}
			}
			for i, f := range fs {
				_, err := f.Result()
				if n := runs[i].Load(); n > 1 || err == nil && n != 1 {
					t.Fatalf("call %d with outcome %v: run %d times", i, err, n)
				}
			}
			p.Stop()
		})
	}
}

// Guarantee 2: no call is run after its Future was completed by Stop, Cancel or
// QueueTimeout.
func TestNoCallIsRunAfterItsEnd(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"plain":   nil,
		"quick":   {task.Name("quick")},
		"members": {task.Balance(task.RoundRobin)},
		"ranked":  {task.Priority(func(x int) int { return x % 7 })},
		"bounded": {task.Queue(1000)},
		"record":  {task.Timeout(time.Hour)},
	} {
		for _, how := range []string{"Cancel", "ctx", "QueueTimeout", "Stop"} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					open := make(chan struct{})
					var run []int
					p := task.MustNew(func(_ context.Context, x int) (int, error) {
						run = append(run, x)
						if x == -1 {
							<-open
						}
						return x, nil
					}, append(opts, task.Workers(1), task.System(sys), task.StopGrace(time.Hour))...)
					bg := context.Background()
					if name == "quick" { // so that workers take several calls at once
						for range 1000 {
							p.Submit(bg, 0)
						}
						synctest.Wait()
						run = nil
					}
					ctx, cancel := context.WithCancel(bg)
					defer cancel()
					view := p
					if how == "QueueTimeout" {
						view = p.With(task.QueueTimeout(time.Minute))
					}
					p.Submit(bg, -1)
					if name == "ranked" { // else others would go first
						synctest.Wait()
					}
					var fs []*task.Future[int]
					for i := range 200 {
						fs = append(fs, view.Submit(ctx, i))
					}
					synctest.Wait()
					switch how {
					case "Cancel":
						for _, f := range fs {
							f.Cancel()
						}
					case "ctx":
						cancel()
					case "QueueTimeout":
						time.Sleep(time.Minute)
					case "Stop":
						go p.Stop()
					}
					synctest.Wait()
					for i, f := range fs {
						if !done(f) {
							t.Fatalf("call %d is not done at once", i)
						}
					}
					close(open)
					if how == "Stop" {
						p.Stop()
					} else if v, err := p.Call(bg, 1000); v != 1000 || err != nil {
						t.Fatal(v, err)
					}
					synctest.Wait()
					if len(run) > 2 || run[0] != -1 {
						t.Errorf("%d calls were run, want that of the stuck worker and one more", len(run))
					}
					p.Stop()
				})
			})
		}
	}
}

// Guarantee 4: user code never runs under a lock of ours.
func TestCallbacksMayUseTheTask(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var p *task.Task[int, int]
		use := func() {
			p.Stats()
			f, _ := p.TrySubmit(context.Background(), 100)
			f.Cancel()
			_ = p.Resize(2)
			p.PID()
			p.Name()
		}
		ends := make(chan string, 100)
		p = task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 1 {
				use()
				return 0, errBoom
			}
			if x == 2 {
				<-ctx.Done()
			}
			return x, nil
		}, task.System(sys),
			task.Priority(func(x int) int {
				if x < 100 {
					use()
				}
				return x
			}),
			task.Until(func(x int) error {
				if x < 100 {
					use()
				}
				return nil
			}),
			task.Retries(task.RetryPolicy{Max: 1, Backoff: task.Constant(0), On: func(a task.Attempt) bool {
				if a.In.(int) < 100 {
					use()
				}
				return true
			}}),
			task.Supervise(supervisor.Policy{Decide: func(error) supervisor.Directive { use(); return supervisor.Resume }}))
		bg := context.Background()
		for i := range 4 {
			f := p.Submit(bg, i)
			f.OnDone(func(int, error) { use(); ends <- "OnDone" })
			synctest.Wait()
			f.Cancel()
			<-ends
		}
		waiting := p.Submit(bg, 2)
		synctest.Wait()
		waiting.OnDone(func(int, error) { use(); ends <- "stopped" })
		p.Stop()
		<-ends
	})
}

// Guarantee 4: a panic in a callback is contained.
func TestPanicInACallbackIsContained(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) { return x, nil },
			task.System(sys), task.Workers(1), task.Priority(func(x int) int {
				if x == 5 {
					panic("in Priority")
				}
				return 0
			}))
		bg := context.Background()
		for i := range 10 {
			f := p.Submit(bg, i)
			called := make(chan struct{})
			f.OnDone(func(int, error) { panic("in OnDone") })
			f.OnDone(func(int, error) { close(called) })
			<-called
			equal(t, "result", result(t, f), i)
		}
		equal(t, "report", p.Stop(), task.Report{})
	})
}

// Guarantee 5: fire and forget. A Future that nobody awaits holds no goroutine.
func TestUnawaitedFuturesHoldNoGoroutine(t *testing.T) {
	// Not parallel: it counts goroutines.
	var n atomic.Int32
	p := task.MustNew(func(_ context.Context, x int) (int, error) { n.Add(1); return x, nil }, task.Workers(2), task.Timeout(time.Hour))
	g := newGate()
	slow := task.MustNew(g.ignore, task.Workers(1))
	first := slow.Submit(context.Background(), 0)
	<-g.started
	ctx, cancel := context.WithCancel(context.Background())
	before := runtime.NumGoroutine()
	var last *task.Future[int]
	for i := range 1000 {
		p.Submit(context.Background(), i)
		slow.Submit(ctx, i)
		f, _ := actor.NewFuture[int]()
		p.SubmitFuture(ctx, f)
		last = slow.With(task.QueueTimeout(time.Hour)).Submit(ctx, i)
	}
	if after := runtime.NumGoroutine(); after > before+10 {
		t.Errorf("%d calls that nobody awaits hold %d goroutines", 4000, after-before)
	}
	cancel()
	is(t, "cancelled", failure(last), context.Canceled)
	close(g.open)
	result(t, first)
	if _, err := p.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	equal(t, "calls run", n.Load(), 1000)
	slow.Stop()
}

// Guarantee 6: submitted order is kept with one worker.
func TestOneWorkerKeepsTheOrderOfSubmission(t *testing.T) {
	t.Parallel()
	const calls = 6_000
	for name, opts := range map[string][]task.Option{
		"plain":      nil,
		"members":    {task.Balance(task.RoundRobin)},
		"same level": {task.Priority(func(int) int { return 3 })},
		"bounded":    {task.Queue(7)},
		"on demand":  {task.OnDemand()},
		"record":     {task.Timeout(time.Hour)},
		"idle":       {task.IdleTimeout(time.Microsecond)},
		"restarts":   {task.Supervise(supervisor.Policy{MaxRestarts: -1})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := 0
			p := task.MustNew(func(_ context.Context, x int) (int, error) {
				if x != next {
					t.Errorf("call %d ran in place of %d", x, next)
				}
				next = x + 1
				switch {
				case x%1001 == 1000:
					panic(x)
				case x%1501 == 1500:
					runtime.Goexit()
				}
				return x, nil
			}, append(opts, task.Workers(1), task.System(newSystem()))...)
			fs := make([]*task.Future[int], calls)
			for i := range fs {
				fs[i] = p.Submit(context.Background(), i)
			}
			if _, err := p.Drain(context.Background()); err != nil {
				t.Fatal(err)
			}
			equal(t, "calls run", next, calls)
		})
	}
}

func TestOrderIsKeptWhenTheCallerLendsAHand(t *testing.T) {
	t.Parallel()
	next := 0
	p := task.MustNew(func(_ context.Context, x int) (int, error) {
		if x != next {
			t.Errorf("call %d ran in place of %d", x, next)
		}
		next = x + 1
		return x, nil
	}, task.Workers(1))
	defer p.Stop()
	bg := context.Background()
	for i := 0; i < 30_000; i += 3 {
		p.Submit(bg, i)
		f := p.Submit(bg, i+1)
		switch i % 2 {
		case 0:
			f.Await(bg)
		case 1:
			f.Poll()
		}
		if v, err := p.Call(bg, i+2); v != i+2 || err != nil {
			t.Fatal(v, err)
		}
	}
}

func TestDefaultSystemWorksInsideAndOutsideOfBubbles(t *testing.T) {
	t.Parallel()
	bg := context.Background()
	inside := func(t *testing.T) {
		p := task.MustNew(sq, task.Workers(2), task.Timeout(time.Hour))
		equal(t, "in a bubble", result(t, p.Submit(bg, 3)), 9)
		_, err := p.With(task.Until(func(int) error { return errBoom }), task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(time.Hour)})).Call(bg, 1)
		is(t, "in a bubble", err, errBoom)
		p.Stop()
	}
	synctest.Test(t, inside)
	p := task.MustNew(sq)
	if v, err := p.Call(bg, 3); v != 9 || err != nil {
		t.Error(v, err)
	}
	synctest.Test(t, inside)
	if v, err := p.Call(bg, 4); v != 16 || err != nil {
		t.Error(v, err)
	}
	p.Stop()
}
