package task_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// where returns the index of the worker that runs a call.
func where(ctx context.Context) string {
	return strings.TrimPrefix(task.Info(ctx).Worker, "worker-")
}

// placed is a pool of four whose functions wait until they are told to return.
type placed struct {
	*task.Task[int, string]
	mu   sync.Mutex
	ends map[int]chan struct{}
	fs   map[int]*task.Future[string]
	next int
}

func newPlaced(sys *actor.System, opts ...task.Option) *placed {
	p := &placed{ends: make(map[int]chan struct{}), fs: make(map[int]*task.Future[string])}
	p.Task = task.MustNew(func(ctx context.Context, x int) (string, error) {
		select {
		case <-p.end(x):
		case <-ctx.Done():
		}
		return where(ctx), nil
	}, append([]task.Option{task.System(sys), task.Workers(4)}, opts...)...)
	return p
}

func (p *placed) end(x int) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ends[x] == nil {
		p.ends[x] = make(chan struct{})
	}
	return p.ends[x]
}

// submit adds n calls, numbered from 0 in the order of submission.
func (p *placed) submit(n int) {
	for range n {
		p.fs[p.next] = p.Submit(context.Background(), p.next)
		p.next++
	}
}

// finish lets calls return, and waits until they have.
func (p *placed) finish(xs ...int) {
	for _, x := range xs {
		close(p.end(x))
	}
	synctest.Wait()
}

// active returns what each worker holds.
func (p *placed) active() (n []int) {
	for _, w := range p.Stats().PerWorker {
		n = append(n, w.Active)
	}
	return n
}

func (p *placed) total() (n []int) {
	for _, w := range p.Stats().PerWorker {
		n = append(n, int(w.Total))
	}
	return n
}

// workers lets all calls finish and returns where each of them ran.
func (p *placed) workers(t *testing.T) (names []string) {
	t.Helper()
	for i := range p.next {
		select {
		case <-p.end(i):
		default:
			close(p.end(i))
		}
	}
	for i := range p.next {
		names = append(names, result(t, p.fs[i]))
	}
	return names
}

func TestRoundRobinGoesRoundInOrder(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := newPlaced(sys, task.Balance(task.RoundRobin))
		p.submit(10)
		synctest.Wait()
		equalSlices(t, "Active", p.active(), []int{3, 3, 2, 2})
		equal(t, "Busy", p.Stats().Busy, 4)
		equal(t, "Queued", p.Stats().Queued, 6)
		equalSlices(t, "workers", p.workers(t), []string{"0", "1", "2", "3", "0", "1", "2", "3", "0", "1"})
		synctest.Wait()
		equalSlices(t, "Active", p.active(), []int{0, 0, 0, 0})
		equalSlices(t, "Total", p.total(), []int{3, 3, 2, 2})
		p.Stop()
	})
}

func TestLeastActivePrefersWhoHoldsFewest(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := newPlaced(sys, task.Balance(task.LeastActive))
		p.submit(6) // 0 1 2 3 0 1
		synctest.Wait()
		equalSlices(t, "Active", p.active(), []int{2, 2, 1, 1})
		p.finish(3) // of worker 3
		equalSlices(t, "Active", p.active(), []int{2, 2, 1, 0})
		p.submit(1) // 3
		p.fs[4].Cancel()
		p.fs[1].Cancel() // waiting and running ones of 0 and 1
		synctest.Wait()
		equalSlices(t, "Active", p.active(), []int{1, 1, 1, 1})
		p.submit(5) // 0 1 2 3 0
		synctest.Wait()
		equalSlices(t, "Active", p.active(), []int{3, 2, 2, 2})
		delete(p.fs, 4)
		delete(p.fs, 1)
		p.fs[4], p.fs[1] = actor.Completed("0", nil), actor.Completed("1", nil)
		equalSlices(t, "workers", p.workers(t), []string{"0", "1", "2", "3", "0", "1", "3", "0", "1", "2", "3", "0"})
		synctest.Wait()
		equalSlices(t, "Active", p.active(), []int{0, 0, 0, 0})
		p.Stop()
	})
}

func TestLeastTotalEvensOutWhatWasGiven(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := newPlaced(sys, task.Balance(task.LeastTotal))
		p.submit(6) // 0 1 2 3 0 1, whoever is busy
		synctest.Wait()
		p.finish(0, 4) // worker 0 is idle, and still no favourite
		equalSlices(t, "Active", p.active(), []int{0, 2, 1, 1})
		p.submit(3) // 2 3 0
		equalSlices(t, "Total", p.total(), []int{3, 2, 2, 2})
		equalSlices(t, "workers", p.workers(t), []string{"0", "1", "2", "3", "0", "1", "2", "3", "0"})
		p.Stop()
	})
}

func TestRandomReachesEveryWorker(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(ctx context.Context, _ int) (string, error) { return where(ctx), nil },
			task.System(sys), task.Workers(4), task.Balance(task.Random))
		counts := make(map[string]int)
		for range 1000 {
			counts[result(t, p.Submit(context.Background(), 0))]++
		}
		for _, w := range []string{"0", "1", "2", "3"} { // 250 are expected, with a deviation of 14
			if counts[w] < 150 || counts[w] > 350 {
				t.Errorf("worker %s: got %d of 1000 calls", w, counts[w])
			}
		}
		p.Stop()
	})
}

func TestPicksAreAtomicUnderConcurrentSubmission(t *testing.T) {
	t.Parallel()
	for _, b := range []task.Balancing{task.RoundRobin, task.LeastActive, task.LeastTotal} {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := newPlaced(sys, task.Balance(b))
				var all sync.WaitGroup
				for i := range 100 {
					all.Go(func() { p.Submit(context.Background(), i) })
				}
				all.Wait()
				equalSlices(t, "Total", p.total(), []int{25, 25, 25, 25})
				equalSlices(t, "Active", p.active(), []int{25, 25, 25, 25})
				p.Stop()
			})
		})
	}
}

func TestSharedQueueIsNotHeldUpBySlowCalls(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var mu sync.Mutex
		var ended []int
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			if x%100 == 50 {
				time.Sleep(time.Hour)
			}
			mu.Lock()
			defer mu.Unlock()
			ended = append(ended, x)
			return x, nil
		}, task.System(sys), task.Workers(4))
		for i := range 1000 { // so that the pool knows that its calls are quick, and hands out several at once
			result(t, p.Submit(context.Background(), 1000+i*100))
		}
		synctest.Wait()
		ended = nil
		for i := range 250 { // 50 and 150 are slow
			p.Submit(context.Background(), i)
		}
		time.Sleep(time.Minute)
		mu.Lock()
		if n := len(ended); n != 248 || slices.Contains(ended, 50) {
			t.Errorf("%d quick calls have ended while two slow ones run, want 248", n)
		}
		mu.Unlock()
		if _, err := p.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// A worker that takes several quick calls at once must not take those that
// others could run, if it is the only one that lives so far.
func TestSlowCallHoldsUpNobodyWhileWorkersCanBeMade(t *testing.T) {
	t.Parallel()
	for _, quick := range []int{1, 5, 9, 40} {
		t.Run(fmt.Sprint(quick), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := task.MustNew(func(_ context.Context, x int) (int, error) {
					if x == 1000 {
						time.Sleep(time.Hour)
					}
					return x, nil
				}, task.System(sys), task.Workers(4))
				for i := range 1000 { // one after the other: one worker is enough
					result(t, p.Submit(context.Background(), i))
				}
				synctest.Wait()
				start := time.Now()
				slow := p.Submit(context.Background(), 1000)
				var fs []*task.Future[int]
				for i := range quick {
					fs = append(fs, p.Submit(context.Background(), i))
				}
				for i, f := range fs {
					equal(t, "result", result(t, f), i)
				}
				if got := time.Since(start); got != 0 {
					t.Errorf("quick calls waited %v for a slow one", got)
				}
				equal(t, "slow", result(t, slow), 1000)
				p.Stop()
			})
		})
	}
}

func TestMembersKeepTheirQueueInOrder(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var mu sync.Mutex
		order := make(map[string][]int)
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			order[where(ctx)] = append(order[where(ctx)], x)
			return x, nil
		}, task.System(sys), task.Workers(3), task.Balance(task.RoundRobin))
		want := make(map[string][]int)
		for i := range 999 {
			p.Submit(context.Background(), i)
			w := []string{"0", "1", "2"}[i%3]
			want[w] = append(want[w], i)
		}
		if _, err := p.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		for w := range want {
			equalSlices(t, "order of worker "+w, order[w], want[w])
		}
	})
}

func TestRetryStaysWithItsMember(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var mu sync.Mutex
		at := make(map[int][]string)
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			at[x] = append(at[x], where(ctx))
			if len(at[x]) < 4 {
				return 0, errBoom
			}
			return x, nil
		}, task.System(sys), task.Workers(3), task.Balance(task.RoundRobin), task.Retries(task.RetryPolicy{Max: 3}))
		for i := range 6 {
			p.Submit(context.Background(), i)
		}
		if _, err := p.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		for i := range 6 {
			w := []string{"0", "1", "2"}[i%3]
			equalSlices(t, "workers of the attempts", at[i], []string{w, w, w, w})
		}
	})
}
