package task_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestThenRunsWithTheValue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, complete := actor.NewFuture[int]()
		g := task.Then(f, func(ctx context.Context, x int) (string, error) {
			if ctx.Err() != nil {
				t.Error("the ctx has ended before fn began")
			}
			time.Sleep(time.Second)
			return "value", errors.Join(nil)
		})
		h := task.Then(g, func(_ context.Context, s string) (int, error) { return len(s), nil })
		synctest.Wait()
		equal(t, "done before", done(h), false)
		start := time.Now()
		complete(1, nil)
		equal(t, "completing took", time.Since(start), 0) // fn runs elsewhere
		equal(t, "value", result(t, g), "value")
		equal(t, "value", result(t, h), 5)
		equal(t, "of a Future that is done", result(t, task.Then(f, func(_ context.Context, x int) (int, error) { return x + 1, nil })), 2)
	})
}

func TestFailureOfTheSourceBecomesTheResultOfThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		never := func(context.Context, int) (int, error) {
			t.Error("fn is run")
			return 0, nil
		}
		f, complete := actor.NewFuture[int]()
		g, h := task.Then(f, never), task.Then(actor.Completed(1, errBoom), never)
		complete(1, errCause)
		equal(t, "error", failure(g), errCause)
		equal(t, "error", failure(h), errBoom)
		f, _ = actor.NewFuture[int]()
		g = task.Then(f, never)
		f.Cancel()
		is(t, "error", failure(g), context.Canceled)
	})
}

func TestErrorOfFnIsTheResultOfThen(t *testing.T) {
	t.Parallel()
	_, err := task.Then(actor.Completed(1, nil), func(context.Context, int) (int, error) { return 7, errBoom }).Result()
	equal(t, "error", err, errBoom)
}

func TestPanicInThenIsAPanicError(t *testing.T) {
	t.Parallel()
	one := actor.Completed(1, nil)
	err := failure(task.Then(one, func(context.Context, int) (int, error) { panic(errBoom) }))
	is(t, "error", err, task.ErrPanicked)
	is(t, "error", err, errBoom)
	p := as[*task.PanicError](t, "error", err)
	equal(t, "value", p.Value, any(errBoom))
	if !containsText(errors.New(string(p.Stack)), "TestPanicInThenIsAPanicError") {
		t.Error("the stack is not that of the panic")
	}
	is(t, "nil panic", failure(task.Then(one, func(context.Context, int) (int, error) { panic(nil) })), task.ErrPanicked) //nolint:govet // on purpose
	is(t, "Goexit", failure(task.Then(one, func(context.Context, int) (int, error) {
		runtime.Goexit()
		return 0, nil
	})), task.ErrGoexit)
}

func TestNilArgumentsOfThenAreErrors(t *testing.T) {
	t.Parallel()
	fn := func(_ context.Context, x int) (int, error) { return x, nil }
	if err := failure(task.Then(nil, fn)); !containsText(err, "nil future") {
		t.Errorf("got error %v", err)
	}
	if err := failure(task.Then[int, int](actor.Completed(1, nil), nil)); !containsText(err, "nil function") {
		t.Errorf("got error %v", err)
	}
}

func TestCancellingTheResultOfThenLeavesTheSourceAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, complete := actor.NewFuture[int]()
		ran := false
		g := task.Then(f, func(context.Context, int) (int, error) { ran = true; return 0, nil })
		equal(t, "Cancel", g.Cancel(), true)
		is(t, "result", failure(g), context.Canceled)
		equal(t, "source is done", done(f), false)
		complete(1, nil)
		equal(t, "source", result(t, f), 1)
		synctest.Wait()
		equal(t, "ran", ran, false)
	})
}

func TestCtxOfThenEndsWhenItsResultIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cause error
		began := make(chan struct{})
		g := task.Then(actor.Completed(1, nil), func(ctx context.Context, _ int) (int, error) {
			close(began)
			<-ctx.Done()
			cause = context.Cause(ctx)
			return 5, nil
		})
		<-began
		g.Cancel()
		synctest.Wait()
		is(t, "cause", cause, context.Canceled)
		is(t, "result", failure(g), context.Canceled) // the late 5 counts for nothing
		var kept context.Context
		g = task.Then(actor.Completed(1, nil), func(ctx context.Context, _ int) (int, error) {
			kept = ctx
			return 5, nil
		})
		equal(t, "value", result(t, g), 5)
		synctest.Wait()
		is(t, "ctx after success", kept.Err(), context.Canceled)
	})
}

func TestSubmitFutureRunsWhenItsInputIsThere(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		f, complete := actor.NewFuture[int]()
		g := p.SubmitFuture(t.Context(), f)
		h := p.SubmitFuture(context.Background(), g)
		synctest.Wait()
		equal(t, "done before", done(g), false)
		equal(t, "Submitted", p.Stats().Submitted, 0)
		complete(3, nil)
		equal(t, "value", result(t, g), 9)
		equal(t, "value", result(t, h), 81)
		equal(t, "of a Future that is done", result(t, p.SubmitFuture(t.Context(), g)), 81)
		p.Stop()
	})
}

func TestFailureOfTheInputBecomesTheResultOfSubmitFuture(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		f, complete := actor.NewFuture[int]()
		g := p.SubmitFuture(t.Context(), f)
		complete(0, errBoom)
		equal(t, "error", failure(g), errBoom)
		equal(t, "error", failure(p.SubmitFuture(t.Context(), f)), errBoom)
		equal(t, "Submitted", p.Stats().Submitted, 0)
		p.Stop()
	})
}

func TestFailureOfTheCallIsTheResultOfSubmitFuture(t *testing.T) {
	t.Parallel()
	p := task.MustNew(func(_ context.Context, x int) (int, error) {
		switch x {
		case 1:
			return 0, errBoom
		case 2:
			panic("two")
		}
		runtime.Goexit()
		return 0, nil
	}, task.System(newSystem()))
	defer p.Stop()
	in := func(x int) *task.Future[int] { return actor.Completed(x, nil) }
	equal(t, "error", failure(p.SubmitFuture(t.Context(), in(1))), errBoom)
	is(t, "panic", failure(p.SubmitFuture(t.Context(), in(2))), task.ErrPanicked)
	is(t, "Goexit", failure(p.SubmitFuture(t.Context(), in(3))), task.ErrGoexit)
}

func TestMistakesInACallOfSubmitFutureAreItsResult(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq, task.System(newSystem()))
	defer p.Stop()
	var noCtx context.Context
	if err := failure(p.SubmitFuture(noCtx, actor.Completed(1, nil))); !containsText(err, "nil context") {
		t.Errorf("got error %v", err)
	}
	if err := failure(p.SubmitFuture(t.Context(), nil)); !containsText(err, "nil future") {
		t.Errorf("got error %v", err)
	}
	open, _ := actor.NewFuture[int]()
	if err := failure(p.With(task.Timeout(-1)).SubmitFuture(t.Context(), open)); !containsText(err, "Timeout(-1ns)") {
		t.Errorf("got error %v", err)
	}
}

func TestCancellingTheResultOfSubmitFutureLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.pass, task.Workers(1), task.System(sys))
		defer p.Stop()
		// Before the input is there.
		f, complete := actor.NewFuture[int]()
		derived := p.SubmitFuture(t.Context(), f)
		equal(t, "Cancel", derived.Cancel(), true)
		is(t, "result", failure(derived), context.Canceled)
		equal(t, "input is done", done(f), false)
		complete(1, nil)
		equal(t, "input", result(t, f), 1)
		synctest.Wait()
		equalSlices(t, "ran", g.ran(), nil)
		// While the call runs, and while it waits.
		running, waiting := p.SubmitFuture(t.Context(), f), p.SubmitFuture(t.Context(), f)
		synctest.Wait()
		equal(t, "ran", len(g.ran()), 1)
		waiting.Cancel()
		running.Cancel()
		synctest.Wait()
		equalSlices(t, "ran after Cancel", g.ran(), nil)
		equal(t, "Busy", p.Stats().Busy, 0)
		equal(t, "Cancelled", p.Stats().Cancelled, 2)
	})
}

func TestEndOfCtxEndsSubmitFuture(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		ctx, cancel := context.WithCancelCause(t.Context())
		f, complete := actor.NewFuture[int]()
		g := p.SubmitFuture(ctx, f)
		cancel(errCause)
		is(t, "result", failure(g), errCause)
		is(t, "under a ctx that has ended", failure(p.SubmitFuture(ctx, f)), errCause)
		complete(1, nil)
		is(t, "under a ctx that has ended", failure(p.SubmitFuture(ctx, f)), errCause)
		synctest.Wait()
		equal(t, "Finished", p.Stats().Finished, 0)
		p.Stop()
	})
}

func TestStopEndsSubmitFuture(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		g := newGate()
		p := task.MustNew(g.pass, opts...)
		open, _ := actor.NewFuture[int]()
		never := p.SubmitFuture(t.Context(), open) // its input is never there
		var running *task.Future[int]
		if kind != "inline" {
			running = p.SubmitFuture(t.Context(), actor.Completed(1, nil))
			synctest.Wait()
		}
		p.Stop()
		is(t, "that waits for its input", failure(never), task.ErrStopped)
		if running != nil {
			is(t, "that runs", failure(running), task.ErrStopped)
		}
		is(t, "after Stop", failure(p.SubmitFuture(t.Context(), open)), task.ErrStopped)
		is(t, "after Stop", failure(p.SubmitFuture(t.Context(), actor.Completed(1, nil))), task.ErrStopped)
	})
}

func TestDrainRefusesSubmitFuturesWhoseInputComesLater(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.pass, task.Workers(1), task.System(sys))
		f, complete := actor.NewFuture[int]()
		late := p.SubmitFuture(t.Context(), f)
		early := p.SubmitFuture(t.Context(), actor.Completed(1, nil))
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := p.Drain(t.Context())
			equal(t, "error of Drain", err, nil)
		})
		synctest.Wait()
		complete(2, nil)
		is(t, "late", failure(late), task.ErrStopped)
		close(g.open)
		equal(t, "early", result(t, early), 1)
		wg.Wait()
	})
}

func TestSubmitFutureIntoAFullQueueHoldsNobodyUp(t *testing.T) {
	// Not parallel: it counts goroutines.
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.pass, task.Workers(1), task.Queue(1), task.System(sys))
		p.Submit(t.Context(), 0)
		synctest.Wait()
		p.Submit(t.Context(), 1)
		before := runtime.NumGoroutine()
		f, complete := actor.NewFuture[int]()
		var fs []*task.Future[int]
		for range 100 {
			fs = append(fs, p.SubmitFuture(t.Context(), f))
		}
		complete(7, nil) // would block here
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > before+10 {
			t.Errorf("%d goroutines wait for room", n-before)
		}
		equalSlices(t, "ran", g.ran(), []int{0})
		for i := 0; i < 100; i += 2 {
			fs[i].Cancel()
		}
		close(g.open)
		for i, f := range fs {
			if i%2 == 1 {
				equal(t, "value", result(t, f), 7)
			} else {
				is(t, "cancelled", failure(f), context.Canceled)
			}
		}
		equal(t, "ran", len(g.ran()), 51)
		s := p.Stats()
		equal(t, "Submitted", s.Submitted, 102)
		equal(t, "Finished", s.Finished, 52)
		equal(t, "Cancelled", s.Cancelled, 50)
		equal(t, "Rejected", s.Rejected, 0)
		p.Stop()
	})
}

func TestSubmitFutureThatWaitsForRoomEndsWithTheTask(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.pass, task.Workers(1), task.Queue(1), task.System(sys))
		p.Submit(t.Context(), 0)
		synctest.Wait()
		p.Submit(t.Context(), 1)
		f := p.SubmitFuture(t.Context(), actor.Completed(2, nil))
		p.Stop()
		is(t, "result", failure(f), task.ErrStopped)
		equalSlices(t, "ran", g.ran(), []int{0})
	})
}

func TestSubmitFutureIntoAQueueThatRejects(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.pass, task.Workers(1), task.Queue(1), task.Reject(), task.System(sys))
		p.Submit(t.Context(), 0)
		synctest.Wait()
		p.Submit(t.Context(), 1)
		is(t, "result", failure(p.SubmitFuture(t.Context(), actor.Completed(2, nil))), task.ErrQueueFull)
		equal(t, "Rejected", p.Stats().Rejected, 1)
		p.Stop()
	})
}

func TestChainsOfFuturesAcrossTasks(t *testing.T) {
	t.Parallel()
	a := task.MustNew(sq, task.Workers(2), task.System(newSystem()))
	b := task.MustNew(sq, task.Workers(1), task.Queue(1), task.System(newSystem()))
	defer a.Stop()
	defer b.Stop()
	var ran atomic.Int64
	var fs []*task.Future[int]
	for i := range 300 {
		f := b.SubmitFuture(t.Context(), a.Submit(t.Context(), i))
		fs = append(fs, task.Then(f, func(_ context.Context, x int) (int, error) {
			ran.Add(1)
			return x + 1, nil
		}))
	}
	vs, err := task.Gather(t.Context(), fs...)
	equal(t, "error", err, nil)
	for i, v := range vs {
		equal(t, "value", v, i*i*i*i+1)
	}
	equal(t, "ran", ran.Load(), 300)
}
