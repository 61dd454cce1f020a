package task_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

func TestACallTakesItsPermitWhenAWorkerIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Rate("api", 1, time.Second))
		tk := task.MustNew(sq, task.Workers(4), task.Limits(set),
			task.Cost(func(int) limits.Request { return limits.Request{"api": 1} }))
		start := time.Now()
		fs := make([]*task.Future[int], 4)
		for i := range fs {
			fs[i] = tk.Submit(context.Background(), i)
		}
		if _, err := task.Gather(t.Context(), fs...); err != nil {
			t.Fatal(err)
		}
		if got, want := time.Since(start), 3*time.Second; got != want {
			t.Errorf("four calls took %v, want %v", got, want)
		}
		tk.Stop()
	})
}

func TestAResourceIsNeverOverHeldByATask(t *testing.T) {
	set := limits.MustNew(limits.Resource("db", 2))
	var now, most atomic.Int64
	tk := task.MustNew(func(_ context.Context, x int) (int, error) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond)
		now.Add(-1)
		if x%3 == 0 {
			panic("boom")
		}
		return x, nil
	}, task.Workers(8), task.Limits(set))
	for i := range 100 {
		f := tk.Submit(context.Background(), i)
		if i%7 == 0 {
			f.Cancel()
		}
	}
	if _, err := tk.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if most.Load() > 2 {
		t.Errorf("%d at once, want at most 2", most.Load())
	}
	if s := set.Stats()[0]; s.Used != 0 || s.Available != 2 {
		t.Errorf("after the drain: %+v", s)
	}
}

func TestACallThatEndsAtTheGateTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Resource("db", 1))
		held, err := set.Acquire(t.Context(), limits.Request{"db": 1})
		if err != nil {
			t.Fatal(err)
		}
		tk := task.MustNew(sq, task.Workers(2), task.Limits(set))
		cancelled := tk.Submit(context.Background(), 1)
		late := tk.With(task.QueueTimeout(time.Second)).Submit(context.Background(), 2)
		stopped := tk.Submit(context.Background(), 3)
		synctest.Wait()
		cancelled.Cancel()
		if _, err := late.Await(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("late: %v", err)
		}
		synctest.Wait()
		if s := set.Stats()[0]; s.Waiting != 1 {
			t.Errorf("waiting %d, want 1", s.Waiting)
		}
		tk.Stop()
		if _, err := stopped.Result(); !errors.Is(err, task.ErrStopped) {
			t.Errorf("stopped: %v", err)
		}
		held.Release()
		if s := set.Stats()[0]; s.Available != 1 || s.Waiting != 0 {
			t.Errorf("after all: %+v", s)
		}
	})
}
