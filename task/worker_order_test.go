package task_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestCallsOfOneMemberAreServedInTheOrderOfSubmission(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"plain": nil, "RoundRobin": {task.Balance(task.RoundRobin)}, "Priority": {task.Priority(func(any) int { return 1 })}, "Timeout": {task.Timeout(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, append(opts, task.System(sys))...)
				use(t, w, 300) // until the pace is known, and batches are taken
				var order []int
				note := func(k *till, _ context.Context, i int) (int, error) {
					defer k.enter()()
					order = append(order, i)
					return i, nil
				}
				var fs []*task.Future[int]
				for i := range 3000 {
					switch i % 3 {
					case 0:
						fs = append(fs, task.Ask(context.Background(), w, note, i))
					case 1:
						fs = append(fs, task.AskKey(context.Background(), w, fmt.Sprint(i%5), note, i))
					case 2:
						fs = append(fs, task.Do(context.Background(), w, func(k *till, ctx context.Context) (int, error) { return note(k, ctx, i) }))
					}
					if i%1000 == 500 {
						task.Do(context.Background(), w, (*till).Crash)
					}
				}
				for i, f := range fs {
					equal(t, "result", result(t, f), i)
				}
				for i, got := range order {
					if got != i {
						t.Fatalf("call %d was served as number %d", got, i)
					}
				}
				synctest.Wait() // until the last restart is through
				equal(t, "Restarts", w.Stats().Restarts, 3)
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestConcurrentLetsExactlySoManyInterleave(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		s.most = 3
		w := task.MustNewWorker(s.open, task.System(sys), task.Workers(2), task.Concurrent(3))
		var fs []*task.Future[int]
		for i := range 10 {
			fs = append(fs, task.Ask(context.Background(), w, (*till).Pass, i))
		}
		synctest.Wait()
		equal(t, "calls that run", len(s.gate.started), 6)
		crash := task.Ask(context.Background(), w, func(k *till, _ context.Context, _ int) (int, error) { panic(errBoom) }, 0)
		close(s.gate.open)
		for i, f := range fs {
			equal(t, "result", result(t, f), i)
		}
		is(t, "panic", failure(crash), errBoom)
		use(t, w, 10)
		synctest.Wait() // until the restart is through
		equal(t, "Restarts", w.Stats().Restarts, 1)
		w.Stop()
		s.settled()
	})
}

func TestAPanicLetsInterleavedCallsFinishOnTheOldState(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		s.most = 3
		w := task.MustNewWorker(s.open, task.System(sys), task.Concurrent(3))
		old := task.Ask(context.Background(), w, func(k *till, ctx context.Context, x int) (int64, error) {
			_, err := k.Pass(ctx, x)
			equal(t, "closed under a call", k.closed.Load(), 0)
			return k.id, err
		}, 1)
		<-s.gate.started
		is(t, "panic", failure(task.Do(context.Background(), w, (*till).Crash)), errBoom)
		next := task.Do(context.Background(), w, (*till).ID)
		synctest.Wait()
		equal(t, "the next begins before the old ones are over", done(next), false)
		close(s.gate.open)
		equal(t, "old", result(t, old), 1)
		equal(t, "next", result(t, next), 2)
		w.Stop()
		s.settled()
	})
}

func TestScopesReopenTheRightStates(t *testing.T) {
	t.Parallel()
	for scope, want := range map[supervisor.Scope]int64{supervisor.OneForOne: 1, supervisor.OneForAll: 4, supervisor.RestForOne: 3} {
		for _, b := range []task.Balancing{task.Shared, task.RoundRobin} {
			t.Run(fmt.Sprint(scope, b), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					s := newShop(t)
					w := task.MustNewWorker(s.open, task.System(sys), task.Workers(4), task.Balance(b), task.Supervise(supervisor.Policy{
						Scope: scope, Backoff: supervisor.Backoff{Initial: time.Second, Max: time.Second}}))
					is(t, "Ready", w.Ready(context.Background()), nil)
					key, at := "", homes(t, w, 50)
					for i, place := range at {
						if place == "worker-1" {
							key = fmt.Sprint("key", i)
						}
					}
					start := time.Now()
					bad := task.AskKey(context.Background(), w, key, func(*till, context.Context, int) (int, error) { panic(errBoom) }, 0)
					behind := task.AskKey(context.Background(), w, key, (*till).Add, 1)
					is(t, "panic", failure(bad), errBoom)
					equal(t, "behind it", result(t, behind), 1)
					equal(t, "after", time.Since(start), time.Second)
					synctest.Wait()
					equal(t, "states opened again", s.opened.Load()-4, want)
					equal(t, "states closed", s.closed.Load(), want)
					equal(t, "keys that moved", moved(at, homes(t, w, 50)), 0)
					w.Stop()
					s.settled()
				})
			})
		}
	}
}

func TestResumeKeepsTheState(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		var asked atomic.Int32
		w := task.MustNewWorker(s.open, append(opts, task.Supervise(supervisor.Policy{Decide: func(error) supervisor.Directive { asked.Add(1); return supervisor.Resume }}))...)
		use(t, w, 10)
		opened := s.opened.Load()
		for range 20 {
			is(t, "panic", failure(task.Do(context.Background(), w, (*till).Crash)), errBoom)
			use(t, w, 2)
		}
		synctest.Wait() // another member may have served the calls since the last
		equal(t, "Decide was asked", asked.Load(), 20)
		equal(t, "states", s.opened.Load() <= max(opened, 4), true)
		equal(t, "closed", s.closed.Load(), 0)
		w.Stop()
		s.settled()
	})
}

func TestMessagesAskWorkers(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, sys *actor.System, engine string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		pid := w.PID()
		equal(t, "Message", ask[int](t, sys, pid, task.Message((*till).Add, 5)).Value >= 5, true)
		a := ask[int](t, sys, pid, task.MessageKey("a", (*till).Add, 1)).Value
		equal(t, "MessageKey", ask[int](t, sys, pid, task.MessageKey("a", (*till).Add, 1)).Value, a+1)
		as[*actor.MessageError](t, "wrong message", ask[any](t, sys, pid, "text").Err)
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, errCause)
		defer cancel()
		is(t, "ended ctx", ask[int](t, sys, pid, task.WithContext(ctx, task.MessageKey("a", (*till).Pass, 1))).Err, errCause)
		is(t, "panic", ask[int](t, sys, pid, task.Message(func(*till, context.Context, int) (int, error) { panic(errBoom) }, 1)).Err, errBoom)
		w.Stop()
		s.settled()
	})
}

func TestParentsTakeTheirWorkersWithThem(t *testing.T) {
	t.Parallel()
	for _, poison := range []bool{false, true} {
		t.Run(fmt.Sprint("poison ", poison), func(t *testing.T) {
			t.Parallel()
			eachMember(t, func(t *testing.T, sys *actor.System, _ string, opts []task.Option) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, opts...)
				f := adopt(sys, w.Props(), "w")
				use(t, w, 10)
				if poison {
					sys.ActorSystem().Root.Poison(f.child)
				} else {
					sys.ActorSystem().Root.Stop(f.parent)
				}
				time.Sleep(time.Second)
				s.settled()
				isStopped(t, "later", failure(task.Do(context.Background(), w, (*till).Sum)), false)
				sys.ActorSystem().Root.Stop(f.parent)
				w.Stop()
			})
		})
	}
}
