package task_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestResultReachesEveryWayToAskForIt(t *testing.T) {
	t.Parallel()
	bg := context.Background()
	p := task.MustNew(sq, task.Workers(2))
	defer p.Stop()
	if v, err := p.Call(bg, 3); v != 9 || err != nil {
		t.Errorf("Call: got %v, %v", v, err)
	}
	f := p.Submit(bg, 4)
	if v, err := f.Await(bg); v != 16 || err != nil {
		t.Errorf("Await: got %v, %v", v, err)
	}
	if v, err := f.Result(); v != 16 || err != nil {
		t.Errorf("Result: got %v, %v", v, err)
	}
	if v, err, ok := f.Poll(); v != 16 || err != nil || !ok {
		t.Errorf("Poll: got %v, %v, %v", v, err, ok)
	}
	<-f.Done()
	got := make(chan int, 1)
	f.OnDone(func(v int, err error) { got <- v })
	equal(t, "OnDone", <-got, 16)
	f, ok := p.TrySubmit(bg, 5)
	equal(t, "TrySubmit", ok, true)
	equal(t, "TrySubmit", result(t, f), 25)
	equal(t, "SubmitFuture", result(t, p.SubmitFuture(bg, f)), 625)
}

func TestManyCallsAllReturnTheirOwnResult(t *testing.T) {
	t.Parallel()
	bg := context.Background()
	const n = 5_000
	for name, opts := range map[string][]task.Option{
		"shared":     {task.Workers(4)},
		"roundrobin": {task.Workers(4), task.Balance(task.RoundRobin)},
		"ranked":     {task.Workers(4), task.Priority(func(x int) int { return x % 3 })},
		"bounded":    {task.Workers(4), task.Queue(8)},
		"retries":    {task.Workers(4), task.Retries(task.RetryPolicy{Max: 1})},
		"on demand":  {task.Workers(4), task.OnDemand()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(sq, opts...)
			defer p.Stop()
			fs := make([]*task.Future[int], n)
			for i := range fs {
				fs[i] = p.Submit(bg, i)
			}
			for i, f := range fs {
				if v, err := f.Await(bg); v != i*i || err != nil {
					t.Fatalf("call %d: got %v, %v", i, v, err)
				}
			}
		})
	}
}

func TestInfoTellsWhatTheCallIsPartOf(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		info := func(ctx context.Context, _ int) (task.CallInfo, error) {
			ctx, cancel := context.WithCancel(ctx) // asked below the function's own
			defer cancel()
			return task.Info(ctx), nil
		}
		p := task.MustNew(info, task.System(sys), task.Name("shop"), task.Workers(1))
		for i := range 3 {
			got := result(t, p.Submit(context.Background(), 0))
			equal(t, "info", got, task.CallInfo{Task: "shop", Call: uint64(i + 1), Attempt: 1, Worker: "worker-0"})
		}
		got := result(t, p.With(task.Timeout(time.Hour)).Submit(context.Background(), 0))
		equal(t, "info under a Timeout", got, task.CallInfo{Task: "shop", Call: 4, Attempt: 1, Worker: "worker-0"})
		p.Stop()
		equal(t, "outside of a task", task.Info(context.Background()), task.CallInfo{})
	})
}

func TestInfoInTheCallersPlaceIsTheWorkers(t *testing.T) {
	t.Parallel()
	p := task.MustNew(func(ctx context.Context, _ int) (task.CallInfo, error) { return task.Info(ctx), nil },
		task.Name("quick calls"), task.Workers(1))
	defer p.Stop()
	for i := range 2000 {
		got, err := p.Call(context.Background(), 0)
		want := task.CallInfo{Task: "quick calls", Call: uint64(i + 1), Attempt: 1, Worker: "worker-0"}
		if got != want || err != nil {
			t.Fatalf("call %d: got %v, %v, want %v", i+1, got, err, want)
		}
	}
}

func TestSubmitFutureQueuesNothingUntilItsInputIsThere(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(sq, task.System(sys))
		bg := context.Background()
		in, complete := actor.NewFuture[int]()
		f := p.SubmitFuture(bg, in)
		synctest.Wait()
		equal(t, "done before its input", done(f), false)
		equal(t, "Submitted before its input", p.Stats().Submitted, 0)
		complete(3, nil)
		equal(t, "result", result(t, f), 9)

		in, complete = actor.NewFuture[int]()
		f = p.SubmitFuture(bg, in)
		complete(0, errBoom)
		equal(t, "failure of the input", failure(f), errBoom)

		in, complete = actor.NewFuture[int]()
		f = p.SubmitFuture(bg, in)
		equal(t, "Cancel", f.Cancel(), true)
		equal(t, "cancelled", failure(f), context.Canceled)
		equal(t, "the input is done", done(in), false)
		equal(t, "the input can be completed", complete(4, nil), true)

		in, _ = actor.NewFuture[int]()
		ctx, cancel := context.WithCancelCause(bg)
		f = p.SubmitFuture(ctx, in)
		cancel(errCause)
		equal(t, "end of ctx while the input is awaited", failure(f), errCause)
		equal(t, "the input is done", done(in), false)
		equal(t, "Submitted in all", p.Stats().Submitted, 1)
		p.Stop()
	})
}

func TestCancelOfASubmitFutureCancelsItsCall(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		ended := make(chan error, 1)
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return 0, nil
		}, task.System(sys))
		f := p.SubmitFuture(context.Background(), actor.Completed(1, nil))
		synctest.Wait()
		f.Cancel()
		is(t, "cause that the function sees", <-ended, context.Canceled)
		p.Stop()
	})
}

func TestSubmitFutureOnAFullQueueWaitsAndDoesNotBlock(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p, g, _ := stuck(t, sys, task.Queue(1))
		queued := p.Submit(context.Background(), 1)
		in, complete := actor.NewFuture[int]()
		f := p.SubmitFuture(context.Background(), in)
		complete(2, nil) // must not block
		close(g.open)
		equal(t, "queued", result(t, queued), 1)
		equal(t, "result", result(t, f), 2)
		equal(t, "Rejected", p.Stats().Rejected, 0)
		p.Stop()
	})
}

func TestDefaultSystemWorksInsideAndOutsideOfBubbles(t *testing.T) {
	t.Parallel()
	bg := context.Background()
	inside := func(t *testing.T) {
		p := task.MustNew(sq, task.Workers(2), task.Timeout(time.Hour))
		equal(t, "in a bubble", result(t, p.Submit(bg, 3)), 9)
		_, err := p.With(task.Until(func(int) error { return errBoom }), task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(time.Hour)})).Call(bg, 1)
		is(t, "in a bubble", err, errBoom)
		p.Stop()
	}
	synctest.Test(t, inside)
	p := task.MustNew(sq)
	if v, err := p.Call(bg, 3); v != 9 || err != nil {
		t.Error(v, err)
	}
	synctest.Test(t, inside)
	if v, err := p.Call(bg, 4); v != 16 || err != nil {
		t.Error(v, err)
	}
	p.Stop()
}
