package task_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestAMemberThatIsRestartedWithAnotherServesNobodyMeanwhile(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		var slow atomic.Bool
		open := func(ctx context.Context) (*till, error) {
			if slow.Load() {
				time.Sleep(time.Second) // as a connection does
			}
			return s.open(ctx)
		}
		w := task.MustNewWorker(open, task.System(sys), task.Workers(2), task.Supervise(supervisor.Policy{Scope: supervisor.OneForAll}))
		ctx := context.Background()
		if err := w.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		for range 1000 { // from then on callers run calls themselves in idle members' places
			result(t, task.Do(ctx, w, (*till).Sum))
		}
		slow.Store(true)
		is(t, "panic", failure(task.Do(ctx, w, (*till).Crash)), errBoom)
		synctest.Wait()
		if id := result(t, task.Do(ctx, w, (*till).ID)); id < 3 {
			t.Errorf("served by state %d, want one of those after the restart", id)
		}
		time.Sleep(time.Second)
		equal(t, "states", s.opened.Load(), 4)
		w.Stop()
		s.settled()
	})
}
