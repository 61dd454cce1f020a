package task_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestBackoffFollowsItsCurve(t *testing.T) {
	t.Parallel()
	const s, far = time.Second, time.Duration(math.MaxInt64)
	for name, tt := range map[string]struct {
		b    task.Backoff
		want []time.Duration // of retries 1, 2, …
		late time.Duration   // of retry 1,000,000
	}{
		"exponential":        {task.Exponential(s, 20*s), []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 20 * s, 20 * s}, 20 * s},
		"linear":             {task.Linear(3*s, 10*s), []time.Duration{3 * s, 6 * s, 9 * s, 10 * s, 10 * s}, 10 * s},
		"fibonacci":          {task.Fibonacci(s, 10*s), []time.Duration{s, s, 2 * s, 3 * s, 5 * s, 8 * s, 10 * s}, 10 * s},
		"constant":           {task.Constant(7 * s), []time.Duration{7 * s, 7 * s, 7 * s}, 7 * s},
		"none":               {task.Constant(0), []time.Duration{0, 0}, 0},
		"zero value":         {task.Backoff{}, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s}, 60 * s},
		"flat":               {task.Exponential(s, s), []time.Duration{s, s, s}, s},
		"far exponential":    {task.Exponential(1, far), []time.Duration{1, 2, 4, 8}, far},
		"far linear":         {task.Linear(far/2+1, far), []time.Duration{far/2 + 1, far, far}, far},
		"far fibonacci":      {task.Fibonacci(far/3, far), []time.Duration{far / 3, far / 3}, far},
		"nanoseconds":        {task.Fibonacci(1, 100), []time.Duration{1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 100}, 100},
		"as large as it can": {task.Constant(far), []time.Duration{far, far}, far},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exact := tt.b.NoJitter()
			for i, want := range tt.want {
				got := exact.Delay(i + 1)
				if diff := got - want; diff.Abs() > want/1_000_000_000 { // beyond what floating point can tell apart
					t.Errorf("delay %d: got %v, want %v", i+1, got, want)
				}
				for range 50 {
					if d := tt.b.Delay(i + 1); d < 0 || d > got {
						t.Fatalf("delay %d with jitter: got %v, want 0 to %v", i+1, d, got)
					}
				}
			}
			equal(t, "delay 1,000,000", exact.Delay(1_000_000), tt.late)
			equal(t, "delay 0, which there is not", exact.Delay(0), exact.Delay(1))
			equal(t, "delay -1, which there is not", exact.Delay(-1), exact.Delay(1))
		})
	}
}

func TestJitterIsUniformFromZeroToTheCurve(t *testing.T) {
	t.Parallel()
	b := task.Constant(time.Second)
	const n, parts = 4000, 4
	var counts [parts]int
	for range n {
		counts[min(parts-1, int(b.Delay(1)*parts/time.Second))]++
	}
	for i, got := range counts { // 1000 are expected in each, with a deviation of 27
		if got < 800 || got > 1200 {
			t.Errorf("part %d of %d of the range: got %d of %d delays", i+1, parts, got, n)
		}
	}
}

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

func TestPermanentEndsRetrying(t *testing.T) {
	t.Parallel()
	own := &ownError{code: 3}
	for name, tt := range map[string]struct {
		err  error
		want func(err error) bool
	}{
		"bare":                  {task.Permanent(own), func(err error) bool { return err == own }},
		"wrapped":               {fmt.Errorf("ctx: %w", task.Permanent(own)), func(err error) bool { return err.Error() == "ctx: code 3" && errors.Is(err, own) }},
		"joined":                {errors.Join(errBoom, task.Permanent(own)), func(err error) bool { return errors.Is(err, own) && errors.Is(err, errBoom) }},
		"beside RetryAfter":     {task.Permanent(task.RetryAfter(own, time.Second)), func(err error) bool { return errors.Is(err, own) }},
		"below RetryAfter":      {task.RetryAfter(task.Permanent(own), time.Second), func(err error) bool { return errors.Is(err, own) }},
		"permanent of deadline": {task.Permanent(context.DeadlineExceeded), func(err error) bool { return err == context.DeadlineExceeded }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			fn := func(context.Context, int) (int, error) { runs++; return 0, tt.err }
			retrying(t, fn, task.RetryPolicy{Max: 5}, func(_ int, err error, s task.Stats) {
				if !tt.want(err) {
					t.Errorf("got outcome %v", err)
				}
				equal(t, "attempts", runs, 1)
				equal(t, "Retries", s.Retries, 0)
			})
		})
	}
	equal(t, "Permanent(nil)", task.Permanent(nil), nil)
	equal(t, "RetryAfter(nil)", task.RetryAfter(nil, time.Second), nil)
}

func TestMarksOfErrorsAreTakenOffWithoutRetriesToo(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(func(_ context.Context, err error) (int, error) { return 0, err }, opts...)
			defer p.Stop()
			for range 200 { // quick enough to run in the caller's place
				_, err := p.Call(context.Background(), task.Permanent(errBoom))
				equal(t, "Permanent", err, errBoom)
				_, err = p.Call(context.Background(), task.RetryAfter(errBoom, time.Hour))
				equal(t, "RetryAfter", err, errBoom)
			}
		})
	}
}

func TestRetryAfterComesBackWhenItSaysAtNoCost(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		policy task.RetryPolicy
		wrap   func(error) error
	}{
		"Max 0":   {task.RetryPolicy{}, func(err error) error { return err }},
		"Max 1":   {task.RetryPolicy{Max: 1, Backoff: task.Constant(time.Hour)}, func(err error) error { return err }},
		"wrapped": {task.RetryPolicy{}, func(err error) error { return fmt.Errorf("server: %w", err) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var starts []time.Duration
			var begin time.Time
			fn := func(_ context.Context, x int) (int, error) {
				if begin.IsZero() {
					begin = time.Now()
				}
				starts = append(starts, time.Since(begin))
				if len(starts) < 4 {
					return 0, tt.wrap(task.RetryAfter(errBoom, time.Duration(len(starts))*time.Second))
				}
				return x, nil
			}
			retrying(t, fn, tt.policy, func(v int, err error, s task.Stats) {
				equal(t, "value", v, 7)
				equal(t, "error", err, nil)
				equalSlices(t, "starts", starts, []time.Duration{0, time.Second, 3 * time.Second, 6 * time.Second})
				equal(t, "Retries", s.Retries, 3)
			})
		})
	}
}

func TestRetryAfterHelpsAtMostAHundredTimes(t *testing.T) {
	t.Parallel()
	runs := 0
	fn := func(context.Context, int) (int, error) { runs++; return 0, task.RetryAfter(errBoom, time.Second) }
	retrying(t, fn, task.RetryPolicy{}, func(_ int, err error, s task.Stats) {
		equal(t, "attempts", runs, 101)
		equal(t, "attempts told", len(as[*task.RetryError](t, "outcome", err).Attempts), 101)
		is(t, "outcome", err, errBoom)
	})
}

func TestRetryAfterKeepsWithinMaxElapsed(t *testing.T) {
	t.Parallel()
	runs := 0
	fn := func(context.Context, int) (int, error) { runs++; return 0, task.RetryAfter(errBoom, time.Second) }
	retrying(t, fn, task.RetryPolicy{Max: 10, MaxElapsed: 5 * time.Second}, func(_ int, err error, s task.Stats) {
		equal(t, "attempts", runs, 6)
		as[*task.RetryError](t, "outcome", err)
	})
}

func TestDelayBeyondAllBoundsIsBeyondMaxElapsed(t *testing.T) {
	t.Parallel()
	const ever = time.Duration(math.MaxInt64)
	for name, err := range map[string]error{"RetryAfter": task.RetryAfter(errBoom, ever), "Backoff": errBoom} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn := func(context.Context, int) (int, error) { time.Sleep(time.Nanosecond); return 0, err }
			policy := task.RetryPolicy{Max: 5, MaxElapsed: time.Hour, Backoff: task.Constant(ever).NoJitter()}
			retrying(t, fn, policy, func(_ int, err error, s task.Stats) {
				equal(t, "attempts", len(as[*task.RetryError](t, "outcome", err).Attempts), 1)
			})
		})
	}
}

func TestRetryAfterDoesNotSpendTheAttemptsOfOthers(t *testing.T) {
	t.Parallel()
	runs := 0
	var starts []time.Duration
	var begin time.Time
	fn := func(context.Context, int) (int, error) {
		if begin.IsZero() {
			begin = time.Now()
		}
		starts = append(starts, time.Since(begin))
		runs++
		if runs%2 == 1 {
			return 0, task.RetryAfter(errBoom, 0)
		}
		return 0, errBoom
	}
	policy := task.RetryPolicy{Max: 2, Backoff: task.Linear(time.Second, time.Minute).NoJitter()}
	retrying(t, fn, policy, func(_ int, err error, s task.Stats) {
		as[*task.RetryError](t, "outcome", err)
		// Paid are attempts 2, 4 and 6; the curve counts those only.
		equalSlices(t, "starts", starts, []time.Duration{0, 0, time.Second, time.Second, 3 * time.Second, 3 * time.Second})
	})
}

func TestNegativeRetryAfterIsAtOnce(t *testing.T) {
	t.Parallel()
	f := &flaky{fail: 1}
	fn := func(ctx context.Context, x int) (int, error) {
		v, err := f.run(ctx, x)
		return v, task.RetryAfter(err, -time.Hour)
	}
	retrying(t, fn, task.RetryPolicy{}, func(v int, err error, s task.Stats) {
		equal(t, "value", v, 7)
		equal(t, "error", err, nil)
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
