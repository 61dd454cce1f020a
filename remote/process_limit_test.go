package remote_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// metered takes n seats of the parent's set, and dies with them if n is 3.
var metered = task.MustNewLimited(func(ctx context.Context, n int, l limits.Limiter) (int, error) {
	permit, err := l.Acquire(ctx, limits.Request{"seats": n})
	if err != nil {
		return 0, err
	}
	defer permit.Release()
	if n == 3 {
		os.Exit(3)
	}
	return n, nil
}, task.Name("metered"))

func TestChildrenTakeFromTheLimitsOfTheParent(t *testing.T) {
	t.Parallel()
	set := limits.MustNew(limits.Resource("seats", 3))
	far := metered.On(remote.Processes(2), task.Limits(set))
	defer far.Stop()
	var futures []*task.Future[int]
	for range 20 {
		futures = append(futures, far.Submit(t.Context(), 2))
	}
	if _, err := task.Gather(t.Context(), futures...); err != nil {
		t.Fatal(err)
	}
	_, err := far.Call(t.Context(), 3)
	wantCrash(t, err, func(e *task.CrashError) bool { return e.ExitCode == 3 })
	if v, err := far.Call(t.Context(), 2); v != 2 || err != nil { // what the dead one held has come back
		t.Errorf("got %d, %v", v, err)
	}
	if s := set.Stats()[0]; s.Granted != 22 || s.Used != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestPermitsBoundWhatChildrenRun(t *testing.T) {
	t.Parallel()
	set := limits.MustNew(limits.Resource("seats", 1))
	far, j := inChildren(t, 2, nil, task.Limits(set))
	first := far.Submit(t.Context(), order{Do: "block", N: 1})
	j.await("begun 1")
	second := far.Submit(t.Context(), order{Do: "block", N: 2})
	// There is a child for it, and no permit.
	_, err := far.With(task.QueueTimeout(100*time.Millisecond)).Call(t.Context(), order{Do: "echo"})
	var late *task.TimeoutError
	if !errors.As(err, &late) || late.Kind != task.QueueWait || j.count("begun 2") > 0 {
		t.Errorf("a third call beside one permit: %v", err)
	}
	first.Cancel()
	j.await("begun 2")
	second.Cancel()
	far.Stop()
	if s := set.Stats()[0]; s.Used != 0 || s.Waiting != 0 {
		t.Errorf("stats: %+v", s)
	}
}
