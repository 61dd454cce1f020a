package task_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// flaky is a function that fails at its first attempts.
type flaky struct {
	fail   int // so many attempts
	starts []time.Duration
	since  time.Time
}

func (f *flaky) run(ctx context.Context, x int) (int, error) {
	f.starts = append(f.starts, time.Since(f.since))
	if task.Info(ctx).Attempt != len(f.starts) {
		return 0, fmt.Errorf("attempt %d says it is number %d", len(f.starts), task.Info(ctx).Attempt)
	}
	if len(f.starts) <= f.fail {
		return -1, fmt.Errorf("attempt %d: %w", len(f.starts), errBoom)
	}
	return x, nil
}

// retrying runs one call of fn under policy in a bubble.
func retrying(t *testing.T, fn func(context.Context, int) (int, error), policy task.RetryPolicy, check func(v int, err error, s task.Stats), opts ...task.Option) {
	t.Helper()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(fn, append(opts, task.System(sys), task.Name("flaky"), task.Workers(1), task.Retries(policy))...)
		v, err := p.Submit(context.Background(), 7).Result()
		check(v, err, p.Stats())
		addsUp(t, p)
		p.Stop()
	})
}

func TestRetriesGoOnUntilTheFunctionSucceeds(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"plain": nil, "inline": {task.Inline()}, "on demand": {task.OnDemand()}, "round robin": {task.Balance(task.RoundRobin)},
		"ranked": {task.Priority(func(int) int { return 0 })}, "bounded": {task.Queue(1)}, "idle": {task.IdleTimeout(time.Millisecond)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &flaky{fail: 3}
			fn := func(ctx context.Context, x int) (int, error) {
				if f.since.IsZero() {
					f.since = time.Now()
				}
				return f.run(ctx, x)
			}
			retrying(t, fn, task.RetryPolicy{Max: 3, Backoff: task.Exponential(time.Second, time.Minute).NoJitter()},
				func(v int, err error, s task.Stats) {
					equal(t, "value", v, 7)
					equal(t, "error", err, nil)
					equalSlices(t, "starts", f.starts, []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second})
					equal(t, "Retries", s.Retries, 3)
					equal(t, "Finished", s.Finished, 1)
					equal(t, "Failed", s.Failed, 0)
				}, opts...)
		})
	}
}

func TestExhaustedRetriesTellOfEveryAttempt(t *testing.T) {
	t.Parallel()
	f := &flaky{fail: 100}
	fn := func(ctx context.Context, x int) (int, error) {
		if f.since.IsZero() {
			f.since = time.Now()
		}
		time.Sleep(time.Millisecond)
		return f.run(ctx, x)
	}
	retrying(t, fn, task.RetryPolicy{Max: 2, Backoff: task.Constant(time.Second).NoJitter()}, func(_ int, err error, s task.Stats) {
		e := as[*task.RetryError](t, "outcome", err)
		is(t, "outcome", err, errBoom)
		equal(t, "attempts", len(e.Attempts), 3)
		for i, a := range e.Attempts {
			equal(t, "Number", a.Number, i+1)
			equal(t, "Elapsed", a.Elapsed, time.Duration(i)*time.Second+time.Duration(i+1)*time.Millisecond)
			equal(t, "Err", a.Err.Error(), fmt.Sprintf("attempt %d: boom", i+1))
			equal(t, "Task", a.Task, "flaky")
			equal[any](t, "In", a.In, 7)
			equal[any](t, "Out", a.Out, nil)
		}
		equal(t, "unwraps to the last", errors.Unwrap(err), e.Attempts[2].Err)
		equal(t, "text", err.Error(), `task "flaky": gave up after 3 attempts in 2.003s: attempt 3: boom`)
		equal(t, "Retries", s.Retries, 2)
		equal(t, "Failed", s.Failed, 1)
	})
}

func TestMaxZeroMeansOneAttempt(t *testing.T) {
	t.Parallel()
	f := &flaky{fail: 100}
	retrying(t, f.run, task.RetryPolicy{}, func(_ int, err error, s task.Stats) {
		equal(t, "attempts", len(as[*task.RetryError](t, "outcome", err).Attempts), 1)
		is(t, "outcome", err, errBoom)
		equal(t, "attempts made", len(f.starts), 1)
	})
}

func TestMaxElapsedBoundsTheStartOfTheLastAttempt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		bound time.Duration
		want  int
	}{{time.Second - 1, 1}, {time.Second, 2}, {3 * time.Second, 4}, {4*time.Second - 1, 4}} {
		t.Run(tt.bound.String(), func(t *testing.T) {
			t.Parallel()
			f := &flaky{fail: 100}
			policy := task.RetryPolicy{Max: 50, MaxElapsed: tt.bound, Backoff: task.Constant(time.Second).NoJitter()}
			retrying(t, f.run, policy, func(_ int, err error, s task.Stats) {
				equal(t, "attempts", len(as[*task.RetryError](t, "outcome", err).Attempts), tt.want)
				equal(t, "attempts made", len(f.starts), tt.want)
			})
		})
	}
}

func TestOnDecidesWhetherAnAttemptFollows(t *testing.T) {
	t.Parallel()
	t.Run("no", func(t *testing.T) {
		t.Parallel()
		f := &flaky{fail: 100}
		var asked []task.Attempt
		policy := task.RetryPolicy{Max: 5, Backoff: task.Constant(time.Second).NoJitter(), On: func(a task.Attempt) bool {
			asked = append(asked, a)
			return a.Number < 3
		}}
		retrying(t, f.run, policy, func(_ int, err error, s task.Stats) {
			var retry *task.RetryError
			if errors.As(err, &retry) {
				t.Errorf("got %v, want the error of the last attempt itself", err)
			}
			equal(t, "outcome", err.Error(), "attempt 3: boom")
			equal(t, "asked", len(asked), 3)
			equal(t, "Number", asked[1].Number, 2)
			equal(t, "Elapsed", asked[1].Elapsed, time.Second)
			equal(t, "Task", asked[1].Task, "flaky")
			equal[any](t, "In", asked[1].In, 7)
		})
	})
	t.Run("panic means no", func(t *testing.T) {
		t.Parallel()
		f := &flaky{fail: 100}
		policy := task.RetryPolicy{Max: 5, On: func(task.Attempt) bool { panic("in On") }}
		retrying(t, f.run, policy, func(_ int, err error, s task.Stats) {
			equal(t, "outcome", err.Error(), "attempt 1: boom")
			equal(t, "attempts made", len(f.starts), 1)
		})
	})
	t.Run("not asked when attempts are spent", func(t *testing.T) {
		t.Parallel()
		f := &flaky{fail: 100}
		asked := 0
		policy := task.RetryPolicy{Max: 1, Backoff: task.Constant(0), On: func(task.Attempt) bool { asked++; return true }}
		retrying(t, f.run, policy, func(_ int, err error, s task.Stats) {
			as[*task.RetryError](t, "outcome", err)
			equal(t, "asked", asked, 1)
		})
	})
}

func TestRefusedResultsAreTriedAgain(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]int{"in the end accepted": 4, "never accepted": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			fn := func(context.Context, int) (int, error) { runs++; return runs, nil }
			check := func(x int) error {
				switch {
				case x == 2:
					panic("in Until")
				case x < end:
					return fmt.Errorf("%d: %w", x, errBoom)
				}
				return nil
			}
			policy := task.RetryPolicy{Max: 3, Backoff: task.Constant(0)}
			retrying(t, fn, policy, func(v int, err error, s task.Stats) {
				equal(t, "attempts", runs, 4)
				if end == 4 {
					equal(t, "value", v, 4)
					equal(t, "error", err, nil)
					return
				}
				e := as[*task.RetryError](t, "outcome", err)
				is(t, "outcome", err, errBoom)
				for i, a := range e.Attempts {
					equal[any](t, "Out", a.Out, i+1)
				}
				is(t, "the one at which Until panicked", e.Attempts[1].Err, task.ErrPanicked)
				equal(t, "Panicked", s.Panicked, 0)
				equal(t, "Failed", s.Failed, 1)
			}, task.Until(check))
		})
	}
}

func TestPanicsAreTriedAgainAndGoexitIsNot(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"shared": nil, "round robin": {task.Balance(task.RoundRobin)}, "inline": {task.Inline()}} {
		t.Run("panic "+name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			fn := func(_ context.Context, x int) (int, error) {
				if runs++; runs < 3 {
					panic(errBoom)
				}
				return x, nil
			}
			retrying(t, fn, task.RetryPolicy{Max: 5}, func(v int, err error, s task.Stats) {
				equal(t, "value", v, 7)
				equal(t, "error", err, nil)
				equal(t, "Panicked", s.Panicked, 0)
			}, opts...)
		})
	}
	t.Run("panics only", func(t *testing.T) {
		t.Parallel()
		retrying(t, func(context.Context, int) (int, error) { panic(errBoom) }, task.RetryPolicy{Max: 2}, func(_ int, err error, s task.Stats) {
			as[*task.RetryError](t, "outcome", err)
			as[*task.PanicError](t, "outcome", err)
			is(t, "outcome", err, errBoom)
			equal(t, "Panicked", s.Panicked, 1)
		})
	})
	t.Run("Goexit", func(t *testing.T) {
		t.Parallel()
		runs := 0
		fn := func(context.Context, int) (int, error) { runs++; runtime.Goexit(); return 0, nil }
		retrying(t, fn, task.RetryPolicy{Max: 5}, func(_ int, err error, s task.Stats) {
			is(t, "outcome", err, task.ErrGoexit)
			equal(t, "attempts", runs, 1)
		})
	})
}

func TestAttemptThatTimedOutIsTriedAgainBesideTheOldOne(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var mu sync.Mutex
		var running, most, runs int
		enter := func(by int) (run int) {
			mu.Lock()
			defer mu.Unlock()
			running += by
			most = max(most, running)
			runs += max(0, by)
			return runs
		}
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			mine := enter(1)
			defer enter(-1)
			if mine == 3 {
				return x, nil
			}
			<-ctx.Done()
			time.Sleep(time.Minute) // cleans up for long
			return -mine, nil       // is of no interest any more
		}, task.System(sys), task.Workers(3), task.Timeout(time.Second), task.Retries(task.RetryPolicy{Max: 3, Backoff: task.Constant(time.Second).NoJitter()}))
		start := time.Now()
		v, err := p.Submit(context.Background(), 7).Result()
		equal(t, "value", v, 7)
		equal(t, "error", err, nil)
		equal(t, "after", time.Since(start), 4*time.Second)
		equal(t, "Busy with the old ones", p.Stats().Busy, 2)
		if _, err := p.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		equal(t, "functions inside at once", most, 3)
		equal(t, "functions inside after Drain", running, 0)
		s := p.Stats()
		equal(t, "TimedOut: the call did not", s.TimedOut, 0)
		equal(t, "Finished", s.Finished, 1)
		equal(t, "Retries", s.Retries, 2)
	})
}

func TestAttemptsThatTimeOutExhaustRetries(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}, task.System(sys), task.Workers(1), task.Timeout(time.Second), task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(0)}))
		start := time.Now()
		err := failure(p.Submit(context.Background(), 7))
		equal(t, "attempts", len(as[*task.RetryError](t, "outcome", err).Attempts), 3)
		equal(t, "kind", as[*task.TimeoutError](t, "outcome", err).Kind, task.AttemptRun)
		is(t, "outcome", err, context.DeadlineExceeded)
		equal(t, "after", time.Since(start), 3*time.Second)
		equal(t, "TimedOut", p.Stats().TimedOut, 1)
		addsUp(t, p)
		p.Stop()
	})
}

func TestWaitingRetryFreesItsWorker(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"shared": nil, "round robin": {task.Balance(task.RoundRobin)}, "bounded": {task.Queue(1)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := task.MustNew(func(ctx context.Context, x int) (int, error) {
					if x == 1 && task.Info(ctx).Attempt == 1 {
						return 0, errBoom
					}
					return x, nil
				}, append(opts, task.System(sys), task.Workers(1), task.Retries(task.RetryPolicy{Max: 1, Backoff: task.Constant(time.Hour).NoJitter()}))...)
				start := time.Now()
				f := p.Submit(context.Background(), 1)
				for i := range 10 {
					equal(t, "another call", result(t, p.Submit(context.Background(), 2+i)), 2+i)
				}
				equal(t, "after", time.Since(start), 0)
				synctest.Wait()
				s := p.Stats()
				equal(t, "Busy", s.Busy, 0)
				equal(t, "Queued: it has begun", s.Queued, 0)
				equal(t, "value", result(t, f), 1)
				equal(t, "after", time.Since(start), time.Hour)
				addsUp(t, p)
				p.Stop()
			})
		})
	}
}

func TestWaitingRetryEndsAtOnceWithItsCall(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]error{"Cancel": context.Canceled, "ctx": errCause, "Stop": task.ErrStopped} {
		for name, opts := range map[string][]task.Option{"shared": nil, "round robin": {task.Balance(task.RoundRobin)}, "timeout": {task.Timeout(time.Hour), task.QueueTimeout(time.Second)}} {
			t.Run(how+" "+name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					runs := 0
					p := task.MustNew(func(context.Context, int) (int, error) { runs++; return 0, errBoom },
						append(opts, task.System(sys), task.Retries(task.RetryPolicy{Max: 9, Backoff: task.Constant(time.Hour).NoJitter()}))...)
					ctx, cancel := context.WithCancelCause(context.Background())
					defer cancel(nil)
					start := time.Now()
					f := p.Submit(ctx, 1)
					time.Sleep(90 * time.Minute)
					switch how {
					case "Cancel":
						equal(t, "Cancel", f.Cancel(), true)
					case "ctx":
						cancel(errCause)
					case "Stop":
						equal(t, "report", p.Stop(), task.Report{Cancelled: 1})
					}
					is(t, "outcome", failure(f), want)
					equal(t, "after", time.Since(start), 90*time.Minute)
					time.Sleep(24 * time.Hour)
					equal(t, "attempts", runs, 2)
					addsUp(t, p)
					p.Stop()
				})
			})
		}
	}
}

func TestInlineRetriesWaitInTheCaller(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(context.Context, int) (int, error) { return 0, errBoom }, task.System(sys), task.Inline(),
			task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(time.Hour).NoJitter()}))
		start := time.Now()
		f := p.Submit(context.Background(), 1)
		equal(t, "done when Submit returns", done(f), true)
		equal(t, "after", time.Since(start), 2*time.Hour)
		as[*task.RetryError](t, "outcome", failure(f))

		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Minute, errCause)
		defer cancel()
		start = time.Now()
		equal(t, "outcome", failure(p.Submit(ctx, 1)), errCause)
		equal(t, "after", time.Since(start), time.Minute)

		start = time.Now()
		time.AfterFunc(time.Minute, func() { p.Stop() })
		is(t, "outcome", failure(p.Submit(context.Background(), 1)), task.ErrStopped)
		equal(t, "after", time.Since(start), time.Minute)
		addsUp(t, p)
	})
}

func TestViewsOfOneTaskHaveTheirOwnRetries(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(context.Context, int) (int, error) { return 0, errBoom }, task.System(sys))
		twice := p.With(task.Retries(task.RetryPolicy{Max: 1, Backoff: task.Constant(0)}))
		thrice := twice.With(task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(0)}))
		equal(t, "without", failure(p.Submit(context.Background(), 1)), errBoom)
		for want, view := range map[int]*task.Task[int, int]{2: twice, 3: thrice} {
			err := failure(view.Submit(context.Background(), 1))
			equal(t, "attempts", len(as[*task.RetryError](t, "outcome", err).Attempts), want)
		}
		equal(t, "without, again", failure(p.Submit(context.Background(), 1)), errBoom)
		p.Stop()
	})
}

func TestRetryGetsThroughAFullQueue(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 1 && task.Info(ctx).Attempt == 1 {
				return 0, errBoom
			}
			if x == 2 {
				return g.pass(ctx, x)
			}
			return x, nil
		}, task.System(sys), task.Workers(1), task.Queue(1), task.Retries(task.RetryPolicy{Max: 1, Backoff: task.Constant(time.Second).NoJitter()}))
		f := p.Submit(context.Background(), 1)
		synctest.Wait()
		blocks := p.Submit(context.Background(), 2)
		synctest.Wait()
		queued := p.Submit(context.Background(), 3)
		time.Sleep(time.Minute) // the retry finds the queue full
		_, ok := p.TrySubmit(context.Background(), 4)
		equal(t, "the queue has room", ok, false)
		close(g.open)
		equal(t, "retried", result(t, f), 1)
		equal(t, "blocking", result(t, blocks), 2)
		equal(t, "queued", result(t, queued), 3)
		addsUp(t, p)
		p.Stop()
	})
}
