package task_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// TestLimitsHoldUnderStress submits, cancels, resizes and drains or stops
// several tasks that share a Set, from many goroutines at once.
func TestLimitsHoldUnderStress(t *testing.T) {
	t.Parallel()
	const capacity = 3
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for round := range rounds {
		sys, set := newSystem(), limits.MustNew(limits.Resource("db", capacity), limits.Rate("api", 1_000_000, time.Second))
		var now, most atomic.Int64
		fn := func(ctx context.Context, x int) (int, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			switch x % 11 {
			case 3:
				panic("boom")
			case 5:
				runtime.Goexit()
			case 7:
				return 0, task.RetryAfter(errBoom, 0)
			case 9:
				<-ctx.Done()
			}
			runtime.Gosched()
			return x, nil
		}
		kinds := [][]task.Option{
			{task.Workers(4)}, {task.OnDemand(), task.Workers(6)}, {task.Workers(3), task.Balance(task.LeastActive)},
			{task.Workers(4), task.Supervise(supervisor.Policy{MaxRestarts: -1, Scope: supervisor.OneForAll})},
			{task.Workers(2), task.Queue(5)},
		}
		var all sync.WaitGroup
		futures := make(chan *task.Future[int], 5*4*40)
		for i, opts := range kinds {
			tk := task.MustNew(fn, append(opts, task.Limits(set), costs("api", 1), task.System(sys),
				task.Retries(task.RetryPolicy{Max: 1, Backoff: task.Constant(time.Microsecond)}), task.Timeout(3*time.Millisecond))...)
			var callers sync.WaitGroup
			for range 4 {
				callers.Go(func() {
					for x := range 40 {
						ctx, cancel := context.WithCancel(context.Background())
						f := tk.Submit(ctx, x)
						futures <- f
						switch x % 5 {
						case 1:
							f.Cancel()
						case 2:
							runtime.Gosched()
							cancel()
						case 3:
							_, _ = f.Result()
						}
						_ = tk.Resize(1 + x%5)
						_ = cancel //nolint:govet // left to the end of the call on purpose
					}
				})
			}
			all.Go(func() {
				if (round+i)%2 == 0 {
					callers.Wait()
				}
				if (round+i)%3 == 0 {
					tk.Stop()
				} else {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					_, _ = tk.Drain(ctx)
					cancel()
				}
				callers.Wait()
			})
		}
		all.Wait()
		close(futures)
		for f := range futures {
			_, _ = f.Result() // hangs if it has been forgotten
		}
		if most.Load() > capacity {
			t.Errorf("%d held at once, want at most %d", most.Load(), capacity)
		}
		free(t, set, "db")
		if t.Failed() {
			return
		}
		if err := sys.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
