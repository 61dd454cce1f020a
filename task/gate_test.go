package task_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

func TestACallTakesItsPermitWhenAWorkerIsFree(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Rate("api", 1, time.Second))
		tk := task.MustNew(sq, task.Workers(4), task.Limits(set), costs("api", 1), task.System(sys))
		defer tk.Stop()
		start := time.Now()
		fs := make([]*task.Future[int], 4)
		for i := range fs {
			fs[i] = tk.Submit(t.Context(), i)
		}
		if _, err := task.Gather(t.Context(), fs...); err != nil {
			t.Fatal(err)
		}
		equal(t, "time for four calls", time.Since(start), 3*time.Second)
	})
}

func TestQueuedCallsHoldNoPermit(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("db", 2))
		g := newGate()
		tk := task.MustNew(g.pass, task.Workers(1), task.Limits(set), task.System(sys))
		defer tk.Stop()
		for i := range 10 {
			tk.Submit(t.Context(), i)
		}
		synctest.Wait()
		equal(t, "used", statOf(t, set, "db").Used, 1)
		equal(t, "waiting", statOf(t, set, "db").Waiting, 0)
		other := task.MustNew(sq, task.Workers(1), task.Limits(set), task.System(sys))
		defer other.Stop()
		f := other.Submit(t.Context(), 3)
		synctest.Wait()
		equal(t, "a call of another task is done", done(f), true)
		close(g.open)
	})
}

func TestAPoolThatSharesTheSetIsNotStarved(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Rate("api", 1, time.Second))
		opts := []task.Option{task.Workers(2), task.Limits(set), costs("api", 1), task.System(sys)}
		busy, other := task.MustNew(sq, opts...), task.MustNew(sq, opts...)
		defer busy.Stop()
		defer other.Stop()
		for i := range 100 {
			busy.Submit(t.Context(), i)
		}
		synctest.Wait()
		start := time.Now()
		result(t, other.Submit(t.Context(), 1))
		equal(t, "wait", time.Since(start), 3*time.Second) // behind the two calls that workers hold
	})
}

func TestWaitingForAPermitHoldsNoGoroutine(t *testing.T) { // not parallel: it counts
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("db", 1))
		held := hold(t, set, "db", 1)
		tk := task.MustNew(sq, task.Workers(500), task.Limits(set), task.System(sys))
		defer tk.Stop()
		before := runtime.NumGoroutine()
		var fs []*task.Future[int]
		for i := range 1000 {
			fs = append(fs, tk.Submit(context.Background(), i))
		}
		time.Sleep(time.Second) // goroutines linger for some milliseconds
		equal(t, "waiting", statOf(t, set, "db").Waiting, 500)
		equal(t, "queued", tk.Stats().Queued, 1000)
		equal(t, "busy", tk.Stats().Busy, 0)
		if now := runtime.NumGoroutine(); now > before { // less, if some of other tests have just ended
			t.Errorf("%d goroutines, %d before", now, before)
		}
		held.Release()
		if _, err := task.Gather(t.Context(), fs...); err != nil {
			t.Fatal(err)
		}
		free(t, set, "db")
	})
}

func TestTheWaitForAPermitCountsTowardsQueueTimeoutOnly(t *testing.T) {
	t.Parallel()
	for kind, opts := range map[string][]task.Option{"workers": {task.Workers(2)}, "inline": {task.Inline()}, "on demand": {task.OnDemand()}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				set := limits.MustNew(limits.Resource("db", 1))
				held := hold(t, set, "db", 1)
				tk := task.MustNew(sq, append(opts, task.Limits(set), task.System(sys))...)
				defer tk.Stop()
				start := time.Now()
				err := failure(tk.With(task.QueueTimeout(5*time.Second)).Submit(t.Context(), 1))
				equal(t, "kind", as[*task.TimeoutError](t, "late", err).Kind, task.QueueWait)
				equal(t, "after", time.Since(start), 5*time.Second)
				equal(t, "timed out", tk.Stats().TimedOut, 1)

				time.AfterFunc(3*time.Second, held.Release)
				equal(t, "in time", result(t, tk.With(task.Timeout(time.Second), task.QueueTimeout(time.Minute)).Submit(t.Context(), 4)), 16)
				equal(t, "its wait", time.Since(start), 8*time.Second)
				free(t, set, "db")
			})
		})
	}
}

func TestACallThatEndsAtTheGateTakesNothing(t *testing.T) {
	t.Parallel()
	for kind, opts := range map[string][]task.Option{
		"shared": {task.Workers(8)}, "members": {task.Workers(8), task.Balance(task.RoundRobin)}, "on demand": {task.OnDemand()},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				set := limits.MustNew(limits.Resource("db", 1))
				held := hold(t, set, "db", 1)
				tk := task.MustNew(sq, append(opts, task.Limits(set), task.System(sys))...)
				ctx, cancel := context.WithCancelCause(t.Context())
				cancelled, left := tk.Submit(context.Background(), 1), tk.Submit(ctx, 2)
				late := tk.With(task.QueueTimeout(time.Second)).Submit(context.Background(), 3)
				stopped := tk.Submit(context.Background(), 4)
				synctest.Wait()
				equal(t, "waiting", statOf(t, set, "db").Waiting, 4)
				cancelled.Cancel()
				is(t, "cancelled", failure(cancelled), context.Canceled)
				cancel(errCause)
				is(t, "its ctx ended", failure(left), errCause)
				is(t, "late", failure(late), context.DeadlineExceeded)
				synctest.Wait()
				equal(t, "waiting", statOf(t, set, "db").Waiting, 1)
				report := tk.Stop()
				equal(t, "never started", report.NeverStarted, 1)
				is(t, "stopped", failure(stopped), task.ErrStopped)
				equal(t, "waiting", statOf(t, set, "db").Waiting, 0)
				held.Release()
				free(t, set, "db")
				equal(t, "started", tk.Stats().Finished, 0)
			})
		})
	}
}

func TestDrainFinishesWhatWaitsForAPermit(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Rate("api", 1, time.Second))
		tk := task.MustNew(sq, task.Workers(3), task.Limits(set), costs("api", 1), task.System(sys))
		for i := range 10 {
			tk.Submit(context.Background(), i)
		}
		synctest.Wait()
		start := time.Now()
		report, err := tk.Drain(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "report", report, task.Report{Finished: 9})
		equal(t, "time", time.Since(start), 9*time.Second)
	})
}

func TestCallsPassTheGateInTheOrderOfTheQueue(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"workers": {task.Workers(8)}, "on demand": {task.OnDemand(), task.Workers(8)},
		"Priority": {task.Workers(8), task.Priority(func(int) int { return 0 })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sys, set := newSystem(), limits.MustNew(limits.Resource("one", 1))
			var order []int // guarded by the resource
			tk := task.MustNew(func(_ context.Context, x int) (int, error) {
				order = append(order, x)
				if x%7 == 0 {
					runtime.Gosched()
				}
				return x, nil
			}, append(opts, task.Limits(set), task.System(sys))...)
			defer tk.Stop()
			fs := make([]*task.Future[int], 3000)
			for i := range fs {
				fs[i] = tk.Submit(t.Context(), i)
			}
			if _, err := task.Gather(t.Context(), fs...); err != nil {
				t.Fatal(err)
			}
			if !slices.IsSorted(order) {
				t.Error("not in order")
			}
			equal(t, "ran", len(order), len(fs))
			free(t, set, "one")
		})
	}
}

func TestPrioritiesDecideWhoIsNextAtTheGate(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("one", 1))
		held := hold(t, set, "one", 1)
		var order []int
		tk := task.MustNew(func(_ context.Context, x int) (int, error) { order = append(order, x); return x, nil },
			task.Workers(1), task.Limits(set), task.Priority(func(x int) int { return x }), task.System(sys))
		defer tk.Stop()
		fs := []*task.Future[int]{tk.Submit(t.Context(), 1)}
		synctest.Wait() // it is in the worker's hands
		for _, level := range []int{1, 50, 20} {
			fs = append(fs, tk.Submit(t.Context(), level))
		}
		held.Release()
		if _, err := task.Gather(t.Context(), fs...); err != nil {
			t.Fatal(err)
		}
		equalSlices(t, "order", order, []int{1, 50, 20, 1})
	})
}

func TestEveryBalanceKeepsTheLimit(t *testing.T) {
	t.Parallel()
	for _, b := range []task.Balancing{task.Shared, task.RoundRobin, task.LeastActive, task.LeastTotal, task.Random} {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				set := limits.MustNew(limits.Resource("db", 2))
				var now, most atomic.Int64
				tk := task.MustNew(func(context.Context, int) (int, error) {
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(time.Second)
					now.Add(-1)
					return 0, nil
				}, task.Workers(5), task.Balance(b), task.Limits(set), task.System(sys))
				defer tk.Stop()
				start := time.Now()
				if _, err := tk.MapSlice(t.Context(), make([]int, 20)); err != nil {
					t.Fatal(err)
				}
				equal(t, "most at once", most.Load(), 2)
				// Which member gets the last call can depend on which of two ends
				// first at the same instant.
				chance := b == task.Random || b == task.LeastActive
				if took := time.Since(start); took != 10*time.Second && !chance {
					t.Errorf("took %v, want 10s", took)
				}
				free(t, set, "db")
			})
		})
	}
}

func TestOnDemandWorkersWaitAtTheGateAndAreGoneAfterwards(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("db", 1))
		held := hold(t, set, "db", 1)
		tk := task.MustNew(sq, task.OnDemand(), task.Workers(3), task.Limits(set), task.System(sys))
		defer tk.Stop()
		var fs []*task.Future[int]
		for i := range 10 {
			fs = append(fs, tk.Submit(t.Context(), i))
		}
		synctest.Wait()
		equal(t, "workers", tk.Stats().Workers, 3)
		equal(t, "waiting", statOf(t, set, "db").Waiting, 3)
		held.Release()
		if _, err := task.Gather(t.Context(), fs...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "workers", tk.Stats().Workers, 0)
		free(t, set, "db")
	})
}

func TestABoundedQueueFillsBehindTheGate(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Rate("api", 1, time.Second))
		tk := task.MustNew(sq, task.Workers(2), task.Queue(3), task.Limits(set), costs("api", 1), task.System(sys))
		defer tk.Stop()
		result(t, tk.Submit(t.Context(), 0))
		start := time.Now()
		var fs []*task.Future[int]
		for i := range 2 { // as many as workers can hold
			fs = append(fs, tk.Submit(t.Context(), i))
			synctest.Wait()
		}
		for i := range 3 { // as many as wait
			fs = append(fs, tk.Submit(t.Context(), i))
		}
		if _, ok := tk.TrySubmit(t.Context(), 9); ok {
			t.Error("there was room for one more")
		}
		fs = append(fs, tk.Submit(t.Context(), 10)) // blocks until the first has its permit
		equal(t, "time until there was room", time.Since(start), time.Second)
		if _, err := task.Gather(t.Context(), fs...); err != nil {
			t.Fatal(err)
		}
		equal(t, "time", time.Since(start), 6*time.Second)
	})
}

func TestACallThatItsOwnPoolWaitsForPassesTheGateWithoutAGoroutine(t *testing.T) { // not parallel: it counts
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Rate("api", 100, 100*time.Second), limits.Resource("db", 10))
		var tk *task.Task[int, int]
		tk = task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				return 1, nil
			}
			fs := make([]*task.Future[int], x)
			for i := range fs {
				fs[i] = tk.Submit(ctx, 0)
			}
			_, err := task.Gather(ctx, fs...)
			vs, err2 := task.Gather(ctx, fs...) // a second wait takes nothing more
			return len(vs), errors.Join(err, err2)
		}, task.Workers(1), task.Limits(set), costs("api", 20), task.System(sys))
		defer tk.Stop()
		before := runtime.NumGoroutine()
		start := time.Now()
		f := tk.Submit(context.Background(), 6)
		time.Sleep(time.Second)
		if statOf(t, set, "api").Waiting == 0 {
			t.Error("nobody waits")
		}
		if now := runtime.NumGoroutine(); now > before+1 {
			t.Errorf("%d goroutines beside the function, %d before", now-1, before)
		}
		equal(t, "value", result(t, f), 6)
		equal(t, "time", time.Since(start), 40*time.Second)
		equal(t, "granted", statOf(t, set, "api").Granted, 7)
		free(t, set, "db")
	})
}

func TestACallThatWaitsAtTheGateWaitsThereOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Rate("api", 1, time.Second))
		hold(t, set, "api", 1)
		var waiting *task.Future[int]
		tk := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				return 7, nil
			}
			return waiting.Await(ctx) // it is in another worker's hands
		}, task.Workers(2), task.Limits(set), task.System(sys),
			task.Cost(func(x int) limits.Request { return limits.Request{"api": 1 - x} }))
		defer tk.Stop()
		waiting = tk.Submit(context.Background(), 0)
		synctest.Wait()
		f := tk.Submit(context.Background(), 1)
		synctest.Wait()
		equal(t, "waiting", statOf(t, set, "api").Waiting, 1)
		equal(t, "value", result(t, f), 7)
		equal(t, "granted", statOf(t, set, "api").Granted, 2)
	})
}
