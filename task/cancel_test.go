package task_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

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
			return 0, ctx.Err()
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

func TestEndedCallsAreForgottenByACtxThatLivesOn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			p := task.MustNew(sq, opts...)
			defer p.Stop()
			never, _ := actor.NewFuture[int]()
			const calls = 300
			var collected atomic.Int32
			for i := range calls {
				f := p.Submit(ctx, i)
				result(t, f)
				derived := p.SubmitFuture(ctx, never)
				derived.Cancel()
				runtime.AddCleanup(f, func(int) { collected.Add(1) }, 0)
				runtime.AddCleanup(derived, func(int) { collected.Add(1) }, 0)
			}
			for range 5 {
				runtime.GC()
			}
			if got := collected.Load(); got < 2*calls-50 {
				t.Errorf("of %d ended calls %d were collected while their ctx lives", 2*calls, got)
			}
			done(never) // keeps it until here
		})
	}
}

func TestACallThatWaitsIsNotRunAfterTheEndOfItsCtx(t *testing.T) {
	t.Parallel()
	for range 20 {
		bubble(t, func(t *testing.T, sys *actor.System) {
			g := newGate()
			p := task.MustNew(g.pass, task.System(sys), task.Workers(1))
			ctx, cancel := context.WithCancelCause(context.Background())
			running, waiting := p.Submit(ctx, 1), p.Submit(ctx, 2)
			synctest.Wait()
			cancel(errCause) // the running one may return before anybody has ended the other
			is(t, "running", failure(running), errCause)
			is(t, "waiting", failure(waiting), errCause)
			synctest.Wait()
			equal(t, "calls that ran", len(g.started), 1)
			p.Stop()
		})
	}
}
