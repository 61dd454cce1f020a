package task_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// homes tells which worker each of n keys belongs to.
func homes(t *testing.T, w *task.Worker[*till], n int) []string {
	t.Helper()
	var at []string
	for i := range n {
		at = append(at, result(t, task.AskKey(context.Background(), w, fmt.Sprint("key", i), func(_ *till, ctx context.Context, _ int) (string, error) { return where(ctx), nil }, 0)))
	}
	return at
}

func moved(a, b []string) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func TestResizeMovesFewKeys(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, append(opts, task.System(sys), task.Workers(4))...)
				before := homes(t, w, 400)
				_ = w.Resize(5)
				after := homes(t, w, 400)
				if n := moved(before, after); n < 40 || n > 130 {
					t.Errorf("4 to 5 members: %d of 400 keys moved, want about 80", n)
				}
				_ = w.Resize(4)
				synctest.Wait()
				equal(t, "moved after back again", moved(before, homes(t, w, 400)), 0)
				is(t, "panic", failure(task.AskKey(context.Background(), w, "key0", func(*till, context.Context, int) (int, error) { panic(errBoom) }, 0)), errBoom)
				equal(t, "moved after a restart", moved(before, homes(t, w, 400)), 0)
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestKeysOfAMemberStoppedByPolicyMove(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, append(opts, task.System(sys), task.Workers(4), task.Supervise(supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Stop }}))...)
				before := homes(t, w, 200)
				crash := task.AskKey(context.Background(), w, "key0", func(*till, context.Context, int) (int, error) { panic(errBoom) }, 0)
				behind := task.AskKey(context.Background(), w, "key0", (*till).Add, 1)
				is(t, "panic", failure(crash), errBoom)
				equal(t, "behind it", result(t, behind), 1)
				for i, at := range homes(t, w, 200) {
					if (at != before[i]) != (before[i] == before[0]) {
						t.Errorf("key%d: at %s, before at %s", i, at, before[i])
					}
				}
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestCallsOfARetiredMemberGoToTheirKeysNewOneInOrder(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, append(opts, task.System(sys), task.Workers(3))...)
				var blocked []*task.Future[int]
				for i := range 30 { // all members are busy
					blocked = append(blocked, task.AskKey(context.Background(), w, fmt.Sprint("key", i), (*till).Pass, i))
				}
				synctest.Wait()
				order := map[string][]int{}
				var fs []*task.Future[int]
				for i := range 90 {
					key := fmt.Sprint("key", i%30)
					fs = append(fs, task.AskKey(context.Background(), w, key, func(_ *till, _ context.Context, i int) (int, error) {
						order[key] = append(order[key], i)
						return i, nil
					}, i))
				}
				_ = w.Resize(1)
				close(s.gate.open)
				for i, f := range fs {
					equal(t, "result", result(t, f), i)
				}
				for i := range 30 {
					equalSlices(t, "order", order[fmt.Sprint("key", i)], []int{i, i + 30, i + 60})
				}
				_ = blocked
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestAKeyedCallWaitsOnlyForItsOwnMember(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys), task.Workers(4))
		at := homes(t, w, 40)
		stuck := task.AskKey(context.Background(), w, "key0", (*till).Pass, 1)
		<-s.gate.started
		use(t, w, 50) // served by the others
		for i := range 40 {
			f := task.AskKey(context.Background(), w, fmt.Sprint("key", i), (*till).Add, 1)
			synctest.Wait()
			equal(t, fmt.Sprintf("key%d is served", i), done(f), at[i] != at[0])
		}
		equal(t, "Queued", w.Stats().Queued > 0, true)
		close(s.gate.open)
		result(t, stuck)
		_, _ = w.Drain(context.Background())
		equal(t, "Queued", w.Stats().Queued, 0)
		s.settled()
	})
}

func TestARetryStaysOnItsMemberAndHoldsNoWorker(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, engine string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		use(t, w, 10)
		var ids []int64
		again := w.With(task.Retries(task.RetryPolicy{Max: 5, Backoff: task.Constant(time.Second).NoJitter()}))
		over := later(1, func(int) (int, error) {
			return task.Ask(context.Background(), again, func(k *till, _ context.Context, _ int) (int, error) {
				defer k.enter()()
				ids = append(ids, k.id)
				return 0, errBoom
			}, 0).Result()
		})
		time.Sleep(500 * time.Millisecond)
		start := time.Now()
		use(t, w, 20)
		equal(t, "others took", time.Since(start), 0)
		is(t, "call", <-over, errBoom)
		equal(t, "attempts", len(ids), 6)
		for _, id := range ids {
			equal(t, "member", id, ids[0])
		}
		w.Stop()
		s.settled()
	})
}
