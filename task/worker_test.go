package task_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// till is a state that notices what must not happen to it.
type till struct {
	id     int64
	sum    int
	mu     sync.Mutex // of sum, if calls interleave
	busy   atomic.Int32
	closed atomic.Int32
	shop   *shop
}

// shop makes tills and keeps count of them.
type shop struct {
	t      *testing.T
	opened atomic.Int64
	closed atomic.Int64
	gate   *gate
	broken atomic.Int64 // so many openings fail from now on
	ids    atomic.Int64
	most   int32 // calls that may use a state at once; 0: one

	onOpen  func(context.Context, *till) error
	onClose func(*till) error
}

// newShop returns a shop whose tills one call may use at a time, or as many as
// the engine of memberEngines lets interleave that t is named after.
func newShop(t *testing.T) *shop {
	s := &shop{t: t, gate: newGate()}
	if strings.Contains(t.Name(), "interleave") {
		s.most = 3
	}
	return s
}

func (s *shop) open(ctx context.Context) (*till, error) {
	if s.broken.Add(-1) >= 0 {
		return nil, errBoom
	}
	k := &till{id: s.ids.Add(1), shop: s}
	if s.onOpen != nil {
		if err := s.onOpen(ctx, k); err != nil {
			return nil, err
		}
	}
	s.opened.Add(1)
	return k, nil
}

func (k *till) Close() error {
	if n := k.closed.Add(1); n != 1 {
		k.shop.t.Errorf("state %d closed %d times", k.id, n)
	}
	if k.busy.Load() != 0 {
		k.shop.t.Errorf("state %d closed while in use", k.id)
	}
	k.shop.closed.Add(1)
	if k.shop.onClose != nil {
		return k.shop.onClose(k)
	}
	return nil
}

// enter checks that the state is open and nobody else uses it.
func (k *till) enter() (leave func()) {
	if k.closed.Load() != 0 {
		k.shop.t.Errorf("state %d used after it was closed", k.id)
	}
	if n := k.busy.Add(1); n > max(1, k.shop.most) {
		k.shop.t.Errorf("state %d used by %d calls", k.id, n)
	}
	return func() { k.busy.Add(-1) }
}

func (k *till) Add(_ context.Context, n int) (int, error) {
	defer k.enter()()
	if k.shop.most > 1 {
		k.mu.Lock()
		defer k.mu.Unlock()
	}
	k.sum += n
	return k.sum, nil
}

func (k *till) Sum(context.Context) (int, error) {
	return k.Add(context.Background(), 0)
}

func (k *till) ID(context.Context) (int64, error) {
	defer k.enter()()
	return k.id, nil
}

func (k *till) Crash(context.Context) (int, error) {
	defer k.enter()()
	panic(errBoom)
}

func (k *till) Pass(ctx context.Context, x int) (int, error) {
	defer k.enter()()
	return k.shop.gate.pass(ctx, x)
}

// settled checks that every state that was opened has been closed.
func (s *shop) settled() {
	s.t.Helper()
	if o, c := s.opened.Load(), s.closed.Load(); o != c {
		s.t.Errorf("opened %d states, closed %d", o, c)
	}
}

func TestAskRunsMethodsOnOneState(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys))
		ctx := context.Background()
		equal(t, "states before the first call", s.opened.Load(), 0)
		for i := range 100 {
			equal(t, "sum", result(t, task.Ask(ctx, w, (*till).Add, 1)), i+1)
		}
		equal(t, "Do", result(t, task.Do(ctx, w, (*till).Sum)), 100)
		equal(t, "a closure", result(t, task.Ask(ctx, w, func(k *till, _ context.Context, f string) (string, error) { return fmt.Sprintf(f, k.sum), nil }, "%d")), "100")
		equal(t, "AskKey", result(t, task.AskKey(ctx, w, "a", (*till).Add, 1)), 101)
		equal(t, "states", s.opened.Load(), 1)
		equal(t, "report", w.Stop(), task.Report{})
		s.settled()
		isStopped(t, "later", failure(task.Do(ctx, w, (*till).Sum)), false)
	})
}

func TestPanicRestartsTheMemberWithAFreshState(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys))
		ctx := context.Background()
		equal(t, "sum", result(t, task.Ask(ctx, w, (*till).Add, 5)), 5)
		block := task.Ask(ctx, w, (*till).Pass, 1)
		bad, waiting := task.Do(ctx, w, (*till).Crash), task.Ask(ctx, w, (*till).Add, 1)
		<-s.gate.started
		close(s.gate.open)
		equal(t, "before", result(t, block), 1)
		is(t, "panic", failure(bad), errBoom)
		equal(t, "waiting call", result(t, waiting), 1)
		equal(t, "states", s.opened.Load(), 2)
		equal(t, "restarts", w.Stats().Restarts, 1)
		w.Stop()
		s.settled()
	})
}

func TestSpentBudgetFailsTheWorker(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys), task.Supervise(supervisor.Policy{MaxRestarts: 2, Within: time.Minute}))
		ctx := context.Background()
		for range 2 {
			is(t, "panic", failure(task.Do(ctx, w, (*till).Crash)), task.ErrPanicked)
			result(t, task.Do(ctx, w, (*till).Sum))
		}
		bad, waiting := task.Do(ctx, w, (*till).Crash), task.Do(ctx, w, (*till).Sum)
		is(t, "panic", failure(bad), task.ErrPanicked)
		is(t, "waiting", failure(waiting), task.ErrFailed)
		is(t, "its cause", failure(waiting), errBoom)
		is(t, "later", failure(task.Do(ctx, w, (*till).Sum)), task.ErrFailed)
		w.Stop()
		s.settled()
	})
}

func TestFailedInitFailsReadyAndWhoWaitsAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, opts := range memberEngines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, append(opts, task.System(sys))...)
				ctx := context.Background()
				s.broken.Store(1000)
				is(t, "Ready", w.Ready(ctx), errBoom)
				synctest.Wait()
				is(t, "call", failure(task.Do(ctx, w, (*till).Sum)), errBoom)
				synctest.Wait()
				s.broken.Store(0)
				equal(t, "later call", result(t, task.Do(ctx, w, (*till).Sum)), 0)
				if err := w.Ready(ctx); err != nil {
					t.Error(err)
				}
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestInitIsTriedAgainWithinTheBudgetOnly(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		s.broken.Store(1000)
		w := task.MustNewWorker(s.open, task.System(sys), task.Supervise(supervisor.Policy{MaxRestarts: 3, Within: time.Minute}))
		var errs []error
		for range 5 {
			errs = append(errs, failure(task.Do(context.Background(), w, (*till).Sum)))
			synctest.Wait()
		}
		for i, err := range errs {
			is(t, "cause", err, errBoom)
			equal(t, fmt.Sprintf("call %d failed for good", i), errors.Is(err, task.ErrFailed), i >= 3)
		}
		w.Stop()
	})
}

// memberEngines are the ways to run the members of a worker.
func memberEngines() map[string][]task.Option {
	return map[string][]task.Option{
		"one":        nil,
		"four":       {task.Workers(4)},
		"RoundRobin": {task.Workers(3), task.Balance(task.RoundRobin)},
		"interleave": {task.Workers(2), task.Concurrent(3)},
		"Inline":     {task.Inline()},
		"limits":     {task.Workers(2), task.Limits(limits.MustNew(limits.Resource("x", 2)))},
		"Queue":      {task.Workers(2), task.Queue(1)},
		"Priority":   {task.Workers(2), task.Priority(func(any) int { return 1 })},
	}
}

func TestAKeySticksToItsMember(t *testing.T) {
	t.Parallel()
	for name, opts := range memberEngines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, append(opts, task.System(sys))...)
				ctx := context.Background()
				home := map[string]int64{}
				seen := map[int64]bool{}
				for round := range 5 {
					for k := range 40 {
						key := fmt.Sprint("key", k)
						id := result(t, task.AskKey(ctx, w, key, func(k *till, _ context.Context, _ int) (int64, error) { return k.id, nil }, 0))
						if round == 0 {
							home[key] = id
							seen[id] = true
						}
						equal(t, key, id, home[key])
					}
				}
				equal(t, "members that have keys", len(seen), max(1, w.Stats().Workers))
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestAMethodMayAskItsOwnMember(t *testing.T) {
	t.Parallel()
	for name, opts := range memberEngines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, append(opts, task.System(sys))...)
				ctx := context.Background()
				f := task.AskKey(ctx, w, "a", func(k *till, ctx context.Context, n int) (int, error) {
					for range n {
						if _, err := task.AskKey(ctx, w, "a", (*till).Add, 1).Await(ctx); err != nil {
							return 0, err
						}
					}
					return task.Do(ctx, w, (*till).Sum).Await(ctx)
				}, 5)
				v, err := f.Result()
				if name == "limits" || err == nil {
					t.Log(v, err)
				}
				if err != nil {
					t.Error(err)
				}
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestMembersThatWaitForEachOtherAreToldSo(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.Workers(2), task.System(sys))
		ctx := context.Background()
		keys := map[int64]string{}
		for i := 0; len(keys) < 2; i++ {
			k := fmt.Sprint(i)
			keys[result(t, task.AskKey(ctx, w, k, func(k *till, _ context.Context, _ int) (int64, error) { return k.id, nil }, 0))] = k
		}
		var both sync.WaitGroup
		both.Add(2)
		cross := func(_ *till, ctx context.Context, other string) (int, error) {
			both.Done()
			both.Wait()
			return task.AskKey(ctx, w, other, (*till).Add, 1).Await(ctx)
		}
		a := task.AskKey(ctx, w, keys[1], cross, keys[2])
		b := task.AskKey(ctx, w, keys[2], cross, keys[1])
		_, err1 := a.Result()
		_, err2 := b.Result()
		if (err1 == nil) == (err2 == nil) {
			t.Errorf("got %v and %v, want one of them to fail", err1, err2)
		}
		is(t, "the one that failed", errors.Join(err1, err2), task.ErrWouldDeadlock)
		w.Stop()
		s.settled()
	})
}
