package remote

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

func TestLimitsOfTheOwnerBoundCallsElsewhere(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		w.serve(b)
		var now, most atomic.Int32
		set := limits.MustNew(limits.Resource("db", 2))
		far := placed(w, a, b, func(_ context.Context, x int) (int, error) {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			now.Add(-1)
			return x, nil
		}, task.Workers(8), task.Limits(set), task.Cost(func(x int) limits.Request { return limits.Request{"db": x} }))
		start := time.Now()
		var fs []*task.Future[int]
		for range 4 {
			fs = append(fs, far.Submit(t.Context(), 1), far.Submit(t.Context(), 2))
		}
		for _, f := range fs {
			if _, err := f.Result(); err != nil {
				t.Error(err)
			}
		}
		// In turn 1, 2, 1, 2, ...: no two fit together.
		if got, want := time.Since(start), 8*time.Second; got != want || most.Load() != 1 {
			t.Errorf("took %v with %d at once, want %v with 1", got, most.Load(), want)
		}
		wantIdle(t, set)
	})
}

func TestAFunctionElsewhereTakesItsPermitsFromTheOwner(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		w.serve(b)
		set := limits.MustNew(limits.Resource("db", 1)).Config(map[string]string{"region": "eu"})
		far := placedLimited(w, a, b, func(ctx context.Context, leave bool, l limits.Limiter) (string, error) {
			p, err := l.Acquire(ctx, limits.Request{"db": 1})
			if err != nil {
				return "", err
			}
			wantStat(t, set, 1, 0)
			wantStat(t, l, 1, 0)
			if !leave {
				p.Release()
			}
			return p.Config()["region"], nil
		}, task.Limits(set))
		for _, leave := range []bool{true, false, true} {
			if got, err := far.Call(t.Context(), leave); err != nil || got != "eu" {
				t.Fatalf("got %q, %v, want the Config of the owner", got, err)
			}
			wantIdle(t, set) // also what was not released, and before the answer
		}
		if got := set.Stats()[0].Granted; got != 3 {
			t.Errorf("got %d granted, want 3", got)
		}
	})
}

func TestReportsOnThePermitOfACallReachTheOwner(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		w.serve(b)
		config := map[string]string{"key": "k1"}
		set := limits.MustNew(limits.Rate("tokens", 10, time.Second), limits.Resource("db", 1)).Config(config)
		var kept *limits.Permit
		far := placed(w, a, b, func(ctx context.Context, used int) (int, error) {
			kept = limits.PermitFrom(ctx)
			if !maps.Equal(kept.Config(), config) {
				t.Errorf("got Config %v, want %v", kept.Config(), config)
			}
			wantStat(t, limits.From(ctx), 4, 0)
			if err := kept.Update("tokens", used); err != nil {
				t.Error(err)
			}
			wantStat(t, limits.From(ctx), used, 0)
			wantStat(t, set, used, 0)
			var wrong *limits.RequestError
			for _, key := range []string{"db", "none"} {
				if err := kept.Update(key, 1); !errors.As(err, &wrong) || wrong.Key != key {
					t.Errorf("Update(%q): got %v, want a RequestError about the key", key, err)
				}
			}
			kept.Pause(time.Minute)
			kept.Pause(-time.Hour)
			if got, want := limits.From(ctx).Stats()[0].PausedUntil, time.Now().Add(time.Minute); !got.Equal(want) {
				t.Errorf("paused until %v, want %v", got, want)
			}
			kept.Release() // the owner's business
			if got := set.Stats()[1].Used; got != 1 {
				t.Errorf("after Release by the function: got %d used, want 1 until it returns", got)
			}
			return used, nil
		}, task.Limits(set), task.Cost(func(int) limits.Request { return limits.Request{"tokens": 4, "db": 1} }))
		if _, err := far.Call(t.Context(), 7); err != nil {
			t.Error(err)
		}
		if err := kept.Update("tokens", 1); !errors.Is(err, limits.ErrReleased) {
			t.Errorf("Update after the call: got %v, want ErrReleased", err)
		}
		time.Sleep(time.Minute)
		wantIdle(t, set)
	})
}

func TestAPermitElsewhereRefusesReportsAfterTheCall(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		w.serve(b)
		set := limits.MustNew(limits.Rate("tokens", 10, time.Second))
		var kept *limits.Permit
		far := placed(w, a, b, func(ctx context.Context, x int) (int, error) {
			kept = limits.PermitFrom(ctx)
			return x, nil
		}, task.Limits(set), task.Cost(func(int) limits.Request { return limits.Request{"tokens": 4} }))
		if _, err := far.Call(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if err := kept.Update("tokens", 9); !errors.Is(err, limits.ErrReleased) {
			t.Errorf("got %v, want ErrReleased", err)
		}
		wantStat(t, set, 4, 0)
	})
}

func TestRetryAfterElsewherePausesWhatWasReleased(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		w.serve(b)
		set := limits.MustNew(limits.Rate("tokens", 10, time.Second))
		far := placedLimited(w, a, b, func(ctx context.Context, x int, l limits.Limiter) (int, error) {
			p, err := l.Acquire(ctx, limits.Request{"tokens": 1})
			if err != nil {
				return 0, err
			}
			defer p.Release()
			return 0, task.RetryAfter(errors.New("overrun"), time.Minute)
		}, task.Limits(set))
		before := time.Now()
		if _, err := far.Call(t.Context(), 1); err == nil {
			t.Error("got no error")
		}
		if got, want := set.Stats()[0].PausedUntil, before.Add(time.Minute); !got.Equal(want) {
			t.Errorf("paused until %v, want %v", got, want)
		}
	})
}

func TestErrorsOfLimitsCrossTheWire(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		w.serve(b)
		set := limits.MustNew(limits.Resource("db", 1))
		far := placedLimited(w, a, b, func(ctx context.Context, _ int, l limits.Limiter) (int, error) {
			var wrong *limits.RequestError
			for _, r := range []limits.Request{{"db": 2}, {"db": -1}, {"none": 0}} {
				_, err := l.Acquire(ctx, r)
				_, errTry := l.TryAcquire(r)
				if !errors.As(err, &wrong) || !errors.As(errTry, &wrong) || wrong.Reason == "" {
					t.Errorf("%v: got %v and %v, want *limits.RequestError", r, err, errTry)
				}
			}
			held := take(t, l, nil)
			if _, err := l.TryAcquire(nil); !errors.Is(err, limits.ErrUnavailable) {
				t.Errorf("TryAcquire: got %v, want ErrUnavailable", err)
			}
			held.Release()
			held, err := l.TryAcquire(nil) // may come in one message with the Release
			if err != nil {
				t.Errorf("TryAcquire after Release: %v", err)
			}
			waiting := acquiring(ctx, l, nil)
			synctest.Wait()
			set.Close()
			if g := <-waiting; !errors.Is(g.err, limits.ErrClosed) {
				t.Errorf("got %v for who waits, want ErrClosed", g.err)
			}
			if _, err := l.Acquire(ctx, nil); !errors.Is(err, limits.ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
			held.Release()
			return 0, nil
		}, task.Limits(set))
		if _, err := far.Call(t.Context(), 1); err != nil {
			t.Error(err)
		}
		wantIdle(t, set)
	})
}

func TestCancelEndsTheWaitOfAFunctionElsewhere(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		w.serve(b)
		set := limits.MustNew(limits.Resource("db", 1))
		came := make(chan error, 1)
		far := placedLimited(w, a, b, func(ctx context.Context, _ int, l limits.Limiter) (int, error) {
			_, err := l.Acquire(ctx, nil)
			came <- err
			return 0, err
		}, task.Limits(set))
		held := take(t, set, nil)
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		f := far.Submit(ctx, 1)
		synctest.Wait()
		wantStat(t, set, 1, 1)
		cancel(why)
		if _, err := f.Result(); !errors.Is(err, why) {
			t.Errorf("got %v, want the cause", err)
		}
		if err := <-came; err == nil || err.Error() != why.Error() {
			t.Errorf("the function got %v, want the cause", err)
		}
		synctest.Wait()
		wantStat(t, set, 1, 0)
		held.Release()
		wantIdle(t, set)
	})
}
