package task_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestResizeTakesCallsBackFromTheGate(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("db", 8))
		held := hold(t, set, "db", 8)
		var now, most atomic.Int64
		tk := task.MustNew(func(context.Context, int) (int, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return 0, nil
		}, task.Workers(8), task.Limits(set), task.System(sys))
		defer tk.Stop()
		var fs []*task.Future[int]
		for i := range 20 {
			fs = append(fs, tk.Submit(context.Background(), i))
		}
		synctest.Wait()
		equal(t, "waiting", statOf(t, set, "db").Waiting, 8)
		if err := tk.Resize(2); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "waiting", statOf(t, set, "db").Waiting, 2)
		equal(t, "workers", tk.Stats().Workers, 2)
		equal(t, "queued", tk.Stats().Queued, 20)
		held.Release()
		if _, err := task.Gather(t.Context(), fs...); err != nil {
			t.Fatal(err)
		}
		equal(t, "most at once", most.Load(), 2)
		free(t, set, "db")
	})
}

func TestAnotherWorkerTakesOverTheCallOfOneThatIsStoppedAtTheGate(t *testing.T) {
	t.Parallel()
	for _, b := range []task.Balancing{task.Shared, task.RoundRobin} {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				set := limits.MustNew(limits.Resource("db", 1))
				held := hold(t, set, "db", 1)
				tk := task.MustNew(sq, task.Name("pool"), task.Workers(2), task.Balance(b), task.Limits(set), task.System(sys))
				defer tk.Stop()
				one, two := tk.Submit(context.Background(), 1), tk.Submit(context.Background(), 2)
				synctest.Wait()
				root, address := sys.ActorSystem().Root, sys.ActorSystem().Address()
				for range 3 {
					for _, worker := range []string{"worker-0", "worker-1"} {
						root.Stop(proto.NewPID(address, "task/pool/"+worker))
						synctest.Wait()
					}
				}
				equal(t, "waiting", statOf(t, set, "db").Waiting, 2)
				held.Release()
				equal(t, "one", result(t, one), 1)
				equal(t, "two", result(t, two), 4)
				free(t, set, "db")
			})
		})
	}
}

func TestARestartOfAllLeavesThoseAtTheGateWaiting(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("db", 1))
		tk := task.MustNew(func(_ context.Context, x int) (int, error) {
			if x == 0 {
				time.Sleep(time.Second)
				panic(errBoom)
			}
			return x, nil
		}, task.Workers(4), task.Limits(set), task.Supervise(supervisor.Policy{Scope: supervisor.OneForAll}), task.System(sys))
		defer tk.Stop()
		first := tk.Submit(context.Background(), 0)
		synctest.Wait()
		var fs []*task.Future[int]
		for i := range 3 {
			fs = append(fs, tk.Submit(context.Background(), i+1))
		}
		is(t, "the first", failure(first), task.ErrPanicked)
		values, err := task.Gather(t.Context(), fs...)
		if err != nil {
			t.Fatal(err)
		}
		equalSlices(t, "the others", values, []int{1, 2, 3})
		free(t, set, "db")
		synctest.Wait()
		equal(t, "restarts", tk.Stats().Restarts, 4)
	})
}

func TestStopEndsWhatWaitsInPlaceOfAWorker(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("db", 1))
		var tk *task.Task[int, int]
		tk = task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				return 0, nil
			}
			return tk.Submit(ctx, 0).Await(ctx)
		}, task.Workers(1), task.Limits(set), task.System(sys))
		f := tk.Submit(context.Background(), 1) // waits for itself: it holds the one connection
		synctest.Wait()
		equal(t, "waiting", statOf(t, set, "db").Waiting, 1)
		report := tk.Stop()
		equal(t, "abandoned", report.Abandoned, 0)
		is(t, "the call", failure(f), task.ErrStopped)
		free(t, set, "db")
	})
}
