package task_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestInlineIsDoneWhenSubmitReturns(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		before := registered(sys)
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			time.Sleep(time.Second)
			return x * x, nil
		}, task.System(sys), task.Inline())
		start := time.Now()
		f := p.Submit(context.Background(), 3)
		equal(t, "done", done(f), true)
		equal(t, "after", time.Since(start), time.Second)
		equal(t, "result", result(t, f), 9)
		f, ok := p.TrySubmit(context.Background(), 4)
		equal(t, "TrySubmit", ok && done(f), true)
		equal(t, "result", result(t, f), 16)
		equal(t, "SubmitFuture", result(t, p.SubmitFuture(context.Background(), f)), 256)
		equal(t, "Workers", p.Stats().Workers, 0)
		p.Stop()
		equal(t, "registry entries beyond those before", registered(sys), before)
	})
}

func TestInlineRunsInTheCallersGoroutine(t *testing.T) {
	t.Parallel()
	stack := func() string {
		pc := make([]uintptr, 50)
		frames := runtime.CallersFrames(pc[:runtime.Callers(1, pc)])
		for {
			f, more := frames.Next()
			if f.Function == "testing.tRunner" {
				return f.Function
			}
			if !more {
				return ""
			}
		}
	}
	p := task.MustNew(func(context.Context, int) (string, error) { return stack(), nil }, task.Inline())
	defer p.Stop()
	equal(t, "a frame of the caller", result(t, p.Submit(context.Background(), 1)), "testing.tRunner")
	v, err := p.Call(context.Background(), 1)
	equal(t, "a frame of the caller of Call", v, "testing.tRunner")
	equal(t, "error", err, nil)
}

func TestInlineGoexitEndsTheCallerAndCompletesTheCall(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var p *task.Task[int, int]
		outcome := make(chan error, 1)
		p = task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				runtime.Goexit()
			}
			return x, nil
		}, task.System(sys), task.Inline())
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			in, complete := actor.NewFuture[int]()
			f := p.SubmitFuture(context.Background(), in)
			f.OnDone(func(_ int, err error) { outcome <- err })
			complete(0, nil)
			t.Error("Goexit did not end the caller")
		}()
		<-gone
		is(t, "outcome", <-outcome, task.ErrGoexit)
		equal(t, "a later call", result(t, p.Submit(context.Background(), 1)), 1)
		addsUp(t, p)
		equal(t, "report", p.Stop(), task.Report{})
	})
}

func TestInlineTimeoutsAndInfo(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(ctx context.Context, wait time.Duration) (task.CallInfo, error) {
			select {
			case <-time.After(wait):
				return task.Info(ctx), nil
			case <-ctx.Done():
				return task.Info(ctx), ctx.Err()
			}
		}, task.System(sys), task.Inline(), task.Name("desk"), task.Timeout(time.Second), task.QueueTimeout(time.Nanosecond))
		info, err := p.Call(context.Background(), time.Millisecond)
		equal(t, "error", err, nil)
		equal(t, "Task", info.Task, "desk")
		equal(t, "Call", info.Call, 1)
		equal(t, "Attempt", info.Attempt, 1)
		_, err = p.Call(context.Background(), time.Hour)
		equal(t, "kind", as[*task.TimeoutError](t, "outcome", err).Kind, task.AttemptRun)
		addsUp(t, p)
		p.Stop()
	})
}

func TestInlineCallsFromManyGoroutinesRunBesideEachOther(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) { time.Sleep(time.Second); return x, nil }, task.System(sys), task.Inline())
		start := time.Now()
		ended := make(chan int)
		for i := range 10 {
			go func() {
				v, _ := p.Call(context.Background(), i)
				ended <- v
			}()
		}
		for range 10 {
			<-ended
		}
		equal(t, "after", time.Since(start), time.Second)
		equal(t, "Finished", p.Stats().Finished, 10)
		p.Stop()
	})
}
