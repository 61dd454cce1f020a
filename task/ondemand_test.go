package task_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestOnDemandHoldsItsCap(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"plain": nil, "ranked": {task.Priority(func(int) int { return 0 })}, "record": {task.Timeout(time.Hour)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				var running, most atomic.Int32
				p := task.MustNew(func(context.Context, int) (int, error) {
					n := running.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					time.Sleep(time.Second)
					running.Add(-1)
					return 0, nil
				}, append(opts, task.System(sys), task.OnDemand(), task.Workers(3))...)
				start := time.Now()
				var all sync.WaitGroup
				for i := range 30 {
					all.Go(func() {
						if _, err := p.Call(context.Background(), i); err != nil {
							t.Error(err)
						}
					})
				}
				synctest.Wait()
				equal(t, "Workers", p.Stats().Workers, 3)
				equal(t, "Queued", p.Stats().Queued, 27)
				all.Wait()
				equal(t, "most at once", most.Load(), 3)
				equal(t, "after", time.Since(start), 10*time.Second)
				p.Stop()
			})
		})
	}
}

func TestOnDemandWithoutACapRunsAllAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) { time.Sleep(time.Second); return x, nil },
			task.System(sys), task.OnDemand())
		start := time.Now()
		var fs []*task.Future[int]
		for i := range 300 {
			fs = append(fs, p.Submit(context.Background(), i))
		}
		for i, f := range fs {
			equal(t, "result", result(t, f), i)
		}
		equal(t, "after", time.Since(start), time.Second)
		p.Stop()
	})
}

func TestOnDemandLeavesNothingAliveBetweenCalls(t *testing.T) {
	// Not parallel: it counts goroutines.
	bubble(t, func(t *testing.T, sys *actor.System) {
		before := registered(sys)
		goroutines := runtime.NumGoroutine()
		p := task.MustNew(sq, task.System(sys), task.OnDemand(), task.Workers(4))
		equal(t, "registry entries of one never used", registered(sys), before)
		for round := range 5 {
			var fs []*task.Future[int]
			for i := range 20 {
				fs = append(fs, p.Submit(context.Background(), i))
			}
			for i, f := range fs {
				equal(t, "result", result(t, f), i*i)
			}
			time.Sleep(time.Second) // goroutines linger a few milliseconds
			synctest.Wait()
			s := p.Stats()
			equal(t, "Workers", s.Workers, 0)
			equal(t, "PerWorker", len(s.PerWorker), 0)
			equal(t, "registry entries beside the task's own", registered(sys), before+1)
			if n := runtime.NumGoroutine(); n > goroutines {
				t.Errorf("round %d: %d goroutines live while the task is idle", round, n-goroutines)
			}
		}
		equal(t, "Finished", p.Stats().Finished, 100)
		p.Stop()
		equal(t, "registry entries", registered(sys), before)
	})
}

func TestOnDemandGivesEachCallAWorkerOfItsOwn(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(func(ctx context.Context, x int) (string, error) {
			_, err := g.pass(ctx, x)
			return task.Info(ctx).Worker, err
		}, task.System(sys), task.OnDemand())
		a, b := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
		synctest.Wait()
		close(g.open)
		if wa, wb := result(t, a), result(t, b); wa == wb {
			t.Errorf("two calls at once run in one worker, %s", wa)
		}
		p.Stop()
	})
}

func TestIdleTimeoutShrinksToNothingAndComesBack(t *testing.T) {
	// Not parallel: it counts goroutines.
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}, "ranked": {task.Priority(func(int) int { return 0 })}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, sys *actor.System) {
				before := registered(sys)
				goroutines := runtime.NumGoroutine()
				p := task.MustNew(func(_ context.Context, x int) (int, error) { time.Sleep(time.Second); return x * x, nil },
					append(opts, task.System(sys), task.Workers(4), task.IdleTimeout(time.Minute))...)
				for round := range 3 {
					var fs []*task.Future[int]
					for i := range 8 {
						fs = append(fs, p.Submit(context.Background(), i))
					}
					for i, f := range fs {
						equal(t, "result", result(t, f), i*i)
					}
					synctest.Wait()
					time.Sleep(time.Minute - time.Nanosecond)
					synctest.Wait()
					equal(t, "Workers just before", p.Stats().Workers, 4)
					time.Sleep(time.Second)
					synctest.Wait()
					equal(t, "Workers after IdleTimeout", p.Stats().Workers, 0)
					equal(t, "registry entries beside the task's own", registered(sys), before+1)
					if n := runtime.NumGoroutine(); n > goroutines {
						t.Errorf("round %d: %d goroutines live while the task is idle", round, n-goroutines)
					}
				}
				s := p.Stats()
				equal(t, "Finished", s.Finished, 24)
				equal(t, "Restarts", s.Restarts, 0)
				p.Stop()
			})
		})
	}
}

func TestIdleTimeoutIsCountedFromTheLastWork(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(sq, task.System(sys), task.Workers(2), task.IdleTimeout(time.Minute))
		if err := p.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			result(t, p.Submit(context.Background(), 1))
			time.Sleep(50 * time.Second)
			equal(t, "Workers", p.Stats().Workers, 2)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		equal(t, "Workers in the end", p.Stats().Workers, 0)
		if err := p.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
		equal(t, "Workers after Ready", p.Stats().Workers, 2)
		time.Sleep(61 * time.Second)
		synctest.Wait()
		equal(t, "Workers that had no work at all", p.Stats().Workers, 0)
		p.Stop()
	})
}

func TestIdleTimeoutSparesThoseThatRunAndWait(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p, g, f := stuck(t, sys, task.IdleTimeout(time.Second))
		behind := p.Submit(context.Background(), 1)
		time.Sleep(time.Hour)
		equal(t, "Workers", p.Stats().Workers, 1)
		close(g.open)
		equal(t, "running", result(t, f), -1)
		equal(t, "waiting", result(t, behind), 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, "Workers in the end", p.Stats().Workers, 0)
		p.Stop()
	})
}

func TestCallsAtTheMomentOfShrinkingAreNotLost(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(sq, append(opts, task.Workers(3), task.IdleTimeout(20*time.Microsecond))...)
			defer p.Stop()
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					for i := range 1000 {
						if v, err := p.Submit(context.Background(), i).Result(); v != i*i || err != nil {
							t.Errorf("got %v, %v", v, err)
						}
						if i%16 == 0 { // long enough to be idle at times
							timer := time.NewTimer(time.Duration(i%7) * 10 * time.Microsecond)
							<-timer.C
						}
					}
				})
			}
			all.Wait()
		})
	}
}
