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
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// endings are the ways in which a function can end, by name, with the error
// that its call has; nil stands for none, and errBoom for any.
var endings = map[string]struct {
	fn   func(ctx context.Context, x int) (int, error)
	want error
}{
	"a result": {sq, nil},
	"an error": {func(context.Context, int) (int, error) { return 0, errBoom }, errBoom},
	"a panic":  {func(context.Context, int) (int, error) { panic(errBoom) }, errBoom},
	"Goexit":   {func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }, task.ErrGoexit},
	"the end of its timeout": {func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}, context.DeadlineExceeded},
}

func TestThePermitIsBackWhenTheOutcomeIsThere(t *testing.T) {
	t.Parallel()
	restart := task.Supervise(supervisor.Policy{MaxRestarts: -1})
	for name, end := range endings {
		for kind, opts := range map[string][]task.Option{
			"workers": nil, "on demand": {task.OnDemand()}, "members": {task.Balance(task.RoundRobin)},
			"restarted": {restart}, "inline": {task.Inline()},
		} {
			if kind == "inline" && name == "Goexit" {
				continue // it ends the caller
			}
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					set := limits.MustNew(limits.Resource("db", 3), limits.Rate("api", 1000, time.Hour))
					opts := append(opts, task.Limits(set), costs("api", 1), task.System(sys), task.Timeout(time.Second))
					tk := task.MustNew(end.fn, opts...)
					for i := range 20 {
						f := tk.Submit(t.Context(), i)
						is(t, "the call", failure(f), end.want)
						// A function that timed out may still be about to return.
						if name == "the end of its timeout" {
							synctest.Wait()
						}
						free(t, set, "db")
					}
					limited := task.MustNewLimited(func(ctx context.Context, x int, l limits.Limiter) (int, error) {
						if _, err := l.Acquire(ctx, limits.Request{"db": 3, "api": 1}); err != nil {
							return 0, err
						}
						return end.fn(ctx, x)
					}, append(opts[:len(opts)-3:len(opts)-3], task.System(sys), task.Timeout(time.Second), task.Limits(set))...)
					is(t, "one that takes its permits itself", failure(limited.Submit(t.Context(), 1)), end.want)
					synctest.Wait()
					free(t, set, "db")
					tk.Stop()
					limited.Stop()
					equal(t, "granted", statOf(t, set, "db").Granted, 21)
				})
			})
		}
	}
}

func TestWhoHearsOfTheOutcomeFindsThePermitBack(t *testing.T) {
	t.Parallel()
	set, g := limits.MustNew(limits.Resource("db", 1)), newGate()
	tk := task.MustNew(g.pass, task.Limits(set))
	defer tk.Stop()
	injected := task.MustNewLimited(func(ctx context.Context, x int, l limits.Limiter) (int, error) {
		if _, err := l.Acquire(ctx, nil); err != nil {
			return 0, err
		}
		return g.pass(ctx, x)
	}, task.Limits(set))
	defer injected.Stop()
	for _, tk := range []*task.Task[int, int]{tk, injected} {
		f := tk.Submit(t.Context(), 1)
		<-g.started
		heard := make(chan struct{})
		f.OnDone(func(int, error) {
			free(t, set, "db")
			close(heard)
		})
		g.open <- struct{}{}
		<-heard
	}
}

func TestACallThatIsEndedKeepsItsPermitUntilItsFunctionReturns(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(tk *task.Task[int, int], f *task.Future[int], cancel func()){
		"Cancel":          func(_ *task.Task[int, int], f *task.Future[int], _ func()) { f.Cancel() },
		"the end of ctx":  func(_ *task.Task[int, int], _ *task.Future[int], cancel func()) { cancel() },
		"Timeout":         func(*task.Task[int, int], *task.Future[int], func()) { time.Sleep(time.Minute) },
		"Stop":            func(tk *task.Task[int, int], _ *task.Future[int], _ func()) { tk.Stop() },
		"a Drain cut off": func(tk *task.Task[int, int], _ *task.Future[int], cancel func()) { cancelDrain(tk) },
	} {
		for kind, opts := range map[string][]task.Option{"workers": nil, "on demand": {task.OnDemand()}} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					set, g := limits.MustNew(limits.Resource("db", 1)), newGate()
					tk := task.MustNew(g.ignore, append(opts, task.Limits(set), task.System(sys),
						task.Timeout(time.Minute), task.StopGrace(time.Second))...)
					ctx, cancel := context.WithCancel(context.Background())
					f := tk.Submit(ctx, 1)
					synctest.Wait()
					end(tk, f, cancel)
					synctest.Wait()
					equal(t, "complete", done(f), true)
					equal(t, "used", statOf(t, set, "db").Used, 1)
					other := task.MustNew(sq, task.Limits(set), task.System(sys))
					next := other.Submit(context.Background(), 3)
					time.Sleep(time.Hour)
					equal(t, "another call has begun", done(next), false)
					close(g.open)
					equal(t, "another call", result(t, next), 9)
					synctest.Wait()
					free(t, set, "db")
					cancel()
					other.Stop()
					tk.Stop()
				})
			})
		}
	}
}

// cancelDrain drains with a ctx that has ended.
func cancelDrain(tk *task.Task[int, int]) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = tk.Drain(ctx)
}

func TestACallThatEndedBeforeItBeganGivesTheRateBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Calls(10, time.Hour), limits.Rate("api", 100, time.Hour), limits.Resource("db", 1))
		futures := make(chan *task.Future[int], 1)
		ends := &queuer{Queuer: set, after: func() { (<-futures).Cancel() }} // the call ends when its permit has just been granted
		tk := task.MustNew(sq, task.Limits(ends), costs("api", 60), task.System(sys))
		defer tk.Stop()
		for range 5 {
			f := tk.Submit(context.Background(), 1)
			futures <- f
			is(t, "the call", failure(f), context.Canceled)
			synctest.Wait()
			equal(t, "available", statOf(t, set, "api").Available, 100)
			equal(t, "calls", statOf(t, set, "calls").Available, 10)
			free(t, set, "db")
		}
	})
}

func TestARetryThatWaitsHoldsNoPermit(t *testing.T) {
	t.Parallel()
	for kind, opts := range map[string][]task.Option{"workers": {task.Workers(1)}, "inline": {task.Inline()}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				set := limits.MustNew(limits.Resource("db", 1), limits.Rate("api", 100, time.Hour))
				var tries atomic.Int64
				tk := task.MustNew(func(_ context.Context, x int) (int, error) {
					if tries.Add(1) < 3 {
						return 0, errBoom
					}
					return x, nil
				}, append(opts, task.Limits(set), costs("api", 5), task.System(sys),
					task.Retries(task.RetryPolicy{Max: 5, Backoff: task.Constant(time.Minute).NoJitter()}))...)
				defer tk.Stop()
				time.AfterFunc(time.Second, func() {
					equal(t, "attempts", tries.Load(), 1)
					free(t, set, "db")
				})
				equal(t, "value", result(t, tk.Submit(context.Background(), 1)), 1)
				equal(t, "attempts", tries.Load(), 3)
				equal(t, "granted to attempts", statOf(t, set, "api").Granted, 3)
				free(t, set, "db")
			})
		})
	}
}

func TestRetryAfterPausesWhatTheAttemptUsed(t *testing.T) {
	t.Parallel()
	const pause = 5 * time.Second
	request := limits.Request{"api": 1, "other": 0, "db": 0, "lock": 1}
	asks := func(tk *task.Task[int, int]) func(context.Context) error {
		return func(ctx context.Context) error { return failure(tk.Submit(ctx, 1)) }
	}
	for name, open := range map[string]func(l limits.Limiter, sys *actor.System) (func(context.Context) error, func() task.Report){
		"New": func(l limits.Limiter, sys *actor.System) (func(context.Context) error, func() task.Report) {
			tk := task.MustNew(func(context.Context, int) (int, error) { return 0, task.RetryAfter(errBoom, pause) },
				task.Limits(l), task.Cost(func(int) limits.Request { return request }), task.System(sys))
			return asks(tk), tk.Stop
		},
		"wrapped": func(l limits.Limiter, sys *actor.System) (func(context.Context) error, func() task.Report) {
			tk := task.MustNew(func(context.Context, int) (int, error) {
				return 0, errors.Join(errCause, fmt.Errorf("status 429: %w", task.RetryAfter(errBoom, pause)))
			}, task.Limits(l), task.Cost(func(int) limits.Request { return request }), task.System(sys))
			return asks(tk), tk.Stop
		},
		"Until": func(l limits.Limiter, sys *actor.System) (func(context.Context) error, func() task.Report) {
			tk := task.MustNew(sq, task.Until(func(int) error { return task.RetryAfter(errBoom, pause) }),
				task.Limits(l), task.Cost(func(int) limits.Request { return request }), task.System(sys))
			return asks(tk), tk.Stop
		},
		"Inline": func(l limits.Limiter, sys *actor.System) (func(context.Context) error, func() task.Report) {
			tk := task.MustNew(func(context.Context, int) (int, error) { return 0, task.RetryAfter(errBoom, pause) },
				task.Limits(l), task.Cost(func(int) limits.Request { return request }), task.System(sys), task.Inline())
			return asks(tk), tk.Stop
		},
		"NewLimited": func(l limits.Limiter, sys *actor.System) (func(context.Context) error, func() task.Report) {
			tk := task.MustNewLimited(func(ctx context.Context, _ int, l limits.Limiter) (int, error) {
				p, err := l.Acquire(ctx, request)
				if err == nil {
					p.Release() // a released permit counts too
					err = task.RetryAfter(errBoom, pause)
				}
				return 0, err
			}, task.Limits(l), task.System(sys))
			return asks(tk), tk.Stop
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				newSet := func() *limits.Set {
					return limits.MustNew(limits.Rate("api", 100, time.Hour), limits.Rate("other", 100, time.Hour),
						limits.Resource("db", 1), limits.Resource("lock", 1))
				}
				set, untouched := newSet(), newSet()
				both, err := limits.NewPool([]*limits.Set{set, untouched}) // the first is asked first
				if err != nil {
					t.Fatal(err)
				}
				call, stop := open(both, sys)
				defer stop()
				start := time.Now()
				is(t, "the call", call(t.Context()), errBoom)
				for _, key := range []string{"api", "lock"} {
					equal(t, key+" paused until", statOf(t, set, key).PausedUntil.Sub(start), pause)
				}
				for _, key := range []string{"other", "db"} {
					equal(t, key+" paused", statOf(t, set, key).PausedUntil.IsZero(), true)
				}
				for _, s := range untouched.Stats() {
					equal(t, s.Key+" of the other set paused", s.PausedUntil.IsZero(), true)
				}
				free(t, set, "lock")
				if _, err := set.TryAcquire(request); !errors.Is(err, limits.ErrUnavailable) {
					t.Errorf("during the pause: %v", err)
				}
				if _, err := set.Acquire(t.Context(), request); err != nil {
					t.Fatal(err)
				}
				equal(t, "the next grant", time.Since(start), pause)
			})
		})
	}
}

func TestACallThatIsRetriedAfterAPauseIsTheNextToRun(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Rate("api", 1000, time.Second))
		overrun, start := true, time.Now()
		tk := task.MustNew(func(_ context.Context, x int) (int, error) {
			if overrun {
				overrun = false
				return 0, task.RetryAfter(errBoom, 7*time.Second)
			}
			if at := time.Since(start); at < 7*time.Second {
				t.Errorf("call %d ran at %v", x, at)
			}
			return x, nil
		}, task.Workers(1), task.Limits(set), costs("api", 1), task.Retries(task.RetryPolicy{}), task.System(sys))
		defer tk.Stop()
		if _, err := tk.MapSlice(t.Context(), make([]int, 10)); err != nil {
			t.Fatal(err)
		}
		equal(t, "time", time.Since(start), 7*time.Second)
		equal(t, "retries", tk.Stats().Retries, 1)
	})
}

func TestALimiterIsNoGoodAfterItsFunctionHasReturned(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("db", 2))
		left := make(chan error, 2)
		tk := task.MustNewLimited(func(_ context.Context, _ int, l limits.Limiter) (int, error) {
			p, err := l.TryAcquire(nil)
			if err != nil {
				return 0, err
			}
			p.Release()
			go func() { // left behind
				time.Sleep(time.Second)
				_, err := l.Acquire(context.Background(), nil)
				left <- err
				_, err = l.TryAcquire(nil)
				left <- err
			}()
			_, err = l.TryAcquire(limits.Request{"db": 2})
			return len(l.Stats()), err
		}, task.Limits(set), task.System(sys))
		defer tk.Stop()
		equal(t, "limits", result(t, tk.Submit(t.Context(), 0)), 1)
		free(t, set, "db")
		for range 2 {
			if err := <-left; err == nil {
				t.Error("a permit was granted after the return")
			}
		}
		free(t, set, "db")
	})
}
