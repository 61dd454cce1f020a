package task_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// pictured returns the only pool in the snapshot of sys.
func pictured(t *testing.T, sys *actor.System) actor.TaskSnapshot {
	t.Helper()
	all := sys.Snapshot().Tasks
	if len(all) != 1 {
		t.Fatalf("got %d pools in the snapshot, want one: %+v", len(all), all)
	}
	return all[0]
}

func TestSnapshotsShowWorkersAsSuch(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, sys *actor.System, engine string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, append(opts, task.Name("tills"))...)
		d := pictured(t, sys)
		equal(t, "Name", d.Name, "tills")
		equal(t, "Kind", d.Kind, actor.KindWorker)
		equal(t, "State before use", d.State, actor.TaskIdle)
		equal(t, "Members before use", len(d.Members), 0)
		equal(t, "Workers before use", d.Workers, 0)

		is(t, "Ready", w.Ready(context.Background()), nil)
		use(t, w, 10)
		synctest.Wait()
		d = pictured(t, sys)
		equal(t, "Kind", d.Kind, actor.KindWorker)
		equal(t, "State", d.State, actor.TaskRunning)
		equal(t, "Finished", d.Finished, 10)
		if engine != "Inline" {
			equal(t, "Workers", d.Workers, d.Size)
			equal(t, "Members", len(d.Members), d.Size)
			equal(t, "open states", s.opened.Load(), int64(d.Size))
		}
		var total uint64
		for i, m := range d.Members {
			equal(t, "member", m.Name, fmt.Sprint("worker-", i))
			equal(t, "State of a member", m.State, actor.WorkerIdle)
			equal(t, "PID of a member", m.PID, fmt.Sprintf("%s/worker-%d", d.PID, i))
			total += m.Total
		}
		if engine != "Inline" {
			equal(t, "calls of all members", total, 10)
		}
		w.Stop()
		equal(t, "pools after Stop", len(sys.Snapshot().Tasks), 0)
		st := w.Stats()
		equal(t, "Workers after Stop", st.Workers, 0)
		equal(t, "PerWorker after Stop", len(st.PerWorker), 0)
		equal(t, "Queued after Stop", st.Queued, 0)
		equal(t, "Finished after Stop", st.Finished, 10)
		s.settled()
	})
}

func TestSnapshotsTellWhatMembersDo(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys), task.Workers(2))
		keys := places(t, w, 2)
		before := w.Stats().Submitted
		f := task.AskKey(context.Background(), w, keys[1], (*till).Pass, 1)
		<-s.gate.started
		d := pictured(t, sys)
		equal(t, "Busy", d.Busy, 1)
		equal(t, "State of worker-0", d.Members[0].State, actor.WorkerIdle)
		equal(t, "State of worker-1", d.Members[1].State, actor.WorkerBusy)
		equal(t, "its call", d.Members[1].Call, before+1)
		equal(t, "Active", d.Members[1].Active, 1)
		close(s.gate.open)
		result(t, f)
		w.Stop()
		s.settled()
	})
}

func TestNamesInPerWorkerOutliveRestarts(t *testing.T) {
	t.Parallel()
	for _, balance := range []task.Balancing{task.Shared, task.RoundRobin} {
		t.Run(balance.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, task.System(sys), task.Workers(3), task.Balance(balance))
				keys := places(t, w, 3)
				count := make([]uint64, 3)
				for i, ws := range w.Stats().PerWorker {
					count[i] = ws.Total
				}
				for round := range 3 {
					for i, key := range keys {
						result(t, task.AskKey(context.Background(), w, key, (*till).Add, 1))
						count[i]++
					}
					is(t, "panic", crashOf(w, keys[round]), errBoom)
					count[round]++
					synctest.Wait()
					is(t, "Ready", w.Ready(context.Background()), nil)
					st := w.Stats()
					equal(t, "Restarts", st.Restarts, uint64(round+1))
					equal(t, "Workers", st.Workers, 3)
					if len(st.PerWorker) != 3 {
						t.Fatalf("got %+v, want three members", st.PerWorker)
					}
					for i, ws := range st.PerWorker {
						equal(t, "Name", ws.Name, fmt.Sprint("worker-", i))
						equal(t, "Active", ws.Active, 0)
						equal(t, fmt.Sprintf("Total of worker-%d", i), ws.Total, count[i])
					}
				}
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestQueuedCountsKeyedCallsThatWaitExactly(t *testing.T) {
	t.Parallel()
	for _, balance := range []task.Balancing{task.Shared, task.RoundRobin} {
		t.Run(balance.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, task.System(sys), task.Workers(3), task.Balance(balance))
				keys := places(t, w, 3)
				queued := func(what string, want int) {
					t.Helper()
					synctest.Wait()
					equal(t, what, w.Stats().Queued, want)
					equal(t, what+" in the snapshot", pictured(t, sys).Queued, want)
				}
				queued("nothing waits", 0)
				var running, waiting []*task.Future[int]
				for _, key := range keys {
					running = append(running, task.AskKey(context.Background(), w, key, (*till).Pass, 1))
				}
				queued("all run", 0)
				for i := range 10 {
					waiting = append(waiting, task.AskKey(context.Background(), w, keys[i%2], (*till).Add, 1))
				}
				queued("keyed ones wait", 10)
				for i := range 5 {
					waiting = append(waiting, task.Ask(context.Background(), w, (*till).Add, i))
				}
				queued("others, too", 15)
				waiting[0].Cancel()
				waiting[14].Cancel()
				queued("two are cancelled", 13)
				is(t, "QueueTimeout", failure(task.AskKey(context.Background(), w.With(task.QueueTimeout(time.Second)), keys[2], (*till).Add, 1)), context.DeadlineExceeded)
				queued("one has waited too long", 13)
				equal(t, "Busy", w.Stats().Busy, 3)
				close(s.gate.open)
				for _, f := range running {
					result(t, f)
				}
				for _, f := range waiting[1:14] {
					result(t, f)
				}
				queued("all are done", 0)
				st := w.Stats()
				equal(t, "Cancelled", st.Cancelled, 2)
				equal(t, "TimedOut", st.TimedOut, 1)
				equal(t, "calls that ended", st.Finished+st.Cancelled+st.TimedOut, st.Submitted)
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestQueuedCountsCallsThatWaitForAMemberToComeBack(t *testing.T) {
	t.Parallel()
	for _, balance := range []task.Balancing{task.Shared, task.RoundRobin} {
		t.Run(balance.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				free := make(chan struct{})
				s.onOpen = func(context.Context, *till) error { <-free; return nil }
				w := task.MustNewWorker(s.open, task.System(sys), task.Workers(2), task.Balance(balance))
				var fs []*task.Future[int]
				for i := range 7 {
					fs = append(fs, task.AskKey(context.Background(), w, fmt.Sprint(i), (*till).Add, 1))
				}
				synctest.Wait()
				st := w.Stats()
				equal(t, "calls that have not begun", st.Queued+st.Busy, 7)
				equal(t, "Finished", st.Finished, 0)
				close(free)
				for _, f := range fs {
					result(t, f)
				}
				synctest.Wait()
				equal(t, "Queued", w.Stats().Queued, 0)
				equal(t, "Submitted", w.Stats().Submitted, 7)
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestInfoTellsMethodsWhatTheyArePartOf(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, engine string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, append(opts, task.Name("tills"))...)
		ctx := context.Background()
		info := func(_ *till, ctx context.Context) (task.CallInfo, error) {
			below, cancel := context.WithCancel(ctx)
			defer cancel()
			equal(t, "Info of a ctx below", task.Info(below), task.Info(ctx))
			return task.Info(ctx), nil
		}
		place := ""
		for i := range 3 {
			got := result(t, task.AskKey(ctx, w, "a", func(k *till, ctx context.Context, _ int) (task.CallInfo, error) { return info(k, ctx) }, 0))
			if i == 0 {
				place = got.Worker
			}
			equal(t, "Info", got, task.CallInfo{Task: "tills", Call: uint64(i + 1), Attempt: 1, Worker: place})
		}
		equal(t, "a worker's name", len(place) > len("worker-") || engine == "Inline", true)
		got := result(t, task.Do(ctx, w, info))
		equal(t, "Call", got.Call, 4)
		equal(t, "Attempt", got.Attempt, 1)
		var attempts []task.CallInfo
		view := w.With(task.Retries(task.RetryPolicy{Max: 1, Backoff: task.Constant(0)}))
		result(t, task.Do(ctx, view, func(_ *till, ctx context.Context) (int, error) {
			attempts = append(attempts, task.Info(ctx))
			if len(attempts) == 1 {
				return 0, errBoom
			}
			return 0, nil
		}))
		equal(t, "attempts", len(attempts), 2)
		equal(t, "Attempt", attempts[1].Attempt, 2)
		equal(t, "Call of both", attempts[1].Call, attempts[0].Call)
		equal(t, "Worker of both", attempts[1].Worker, attempts[0].Worker)
		if engine != "limits" && engine != "interleave" {
			inner := result(t, task.AskKey(ctx, w, "a", func(k *till, ctx context.Context, _ int) (task.CallInfo, error) {
				return task.AskKey(ctx, w, "a", func(k *till, ctx context.Context, _ int) (task.CallInfo, error) { return info(k, ctx) }, 0).Await(ctx)
			}, 0))
			equal(t, "Task of a call below", inner.Task, "tills")
			equal(t, "Call of a call below", inner.Call > 5, true)
		}
		w.Stop()
		s.settled()
	})
}

func TestInfoTellsInitWhichMemberItIsFor(t *testing.T) {
	t.Parallel()
	someMembers(t, func(t *testing.T, _ *actor.System, engine string, opts []task.Option) {
		s := newShop(t)
		seen := make(chan task.CallInfo, 100)
		s.onOpen = func(ctx context.Context, _ *till) error { seen <- task.Info(ctx); return nil }
		w := task.MustNewWorker(s.open, append(opts, task.Name("tills"))...)
		is(t, "Ready", w.Ready(context.Background()), nil)
		use(t, w, 5)
		synctest.Wait()
		names := map[string]bool{}
		for range len(seen) {
			i := <-seen
			equal(t, "Task", i.Task, "tills")
			names[i.Worker] = true
		}
		equal(t, "different members", len(names), int(s.opened.Load()))
		for _, m := range w.Stats().PerWorker {
			if engine != "Inline" && !names[m.Name] {
				t.Errorf("no init was for %s: %v", m.Name, names)
			}
		}
		place := result(t, task.AskKey(context.Background(), w, "a", func(_ *till, ctx context.Context, _ int) (string, error) { return task.Info(ctx).Worker, nil }, 0))
		is(t, "panic", crashOf(w, "a"), errBoom)
		result(t, task.AskKey(context.Background(), w, "a", (*till).Add, 1))
		equal(t, "Worker of an init after a restart", (<-seen).Worker, place)
		w.Stop()
		s.settled()
	})
}
