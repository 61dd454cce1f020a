package task_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// Each of these has once hung, leaked or told the wrong thing.

func TestInlineRetriesOutlastATimeoutThatIsStillDeciding(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		runs := 0
		p := task.MustNew(func(context.Context, int) (int, error) {
			if runs++; runs == 1 {
				time.Sleep(3 * time.Second) // ignores its ctx, and returns while On is being asked
			}
			return runs, nil
		}, task.System(sys), task.Inline(), task.Timeout(time.Second), task.Retries(task.RetryPolicy{
			Max: 1, Backoff: task.Constant(time.Second).NoJitter(),
			On: func(task.Attempt) bool { time.Sleep(5 * time.Second); return true },
		}))
		v, err := p.Call(context.Background(), 0)
		if v != 2 || err != nil {
			t.Errorf("got %v, %v, want the second attempt's 2", v, err)
		}
		p.Stop()
	})
}

func TestACallWaitedForInsideSurvivesTheLossOfItsWorker(t *testing.T) {
	t.Parallel()
	for range 100 {
		var p *task.Task[int, int]
		p = task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				return 7, nil
			}
			f := p.Submit(ctx, 0) // wakes the other worker, which then has to go
			if err := p.Resize(1); err != nil {
				return 0, err
			}
			return f.Result()
		}, task.Workers(2), task.System(newSystem()))
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, "value", result(t, p.Submit(context.Background(), 1)), 7)
		p.Stop()
	}
}

func TestTheCtxOfAQuickCallEndsWithTheCall(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var kept []context.Context
		watch := false
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if watch {
				kept = append(kept, ctx)
				go func() { <-ctx.Done() }()
			}
			return x, nil
		}, task.System(sys), task.Workers(1))
		for i := range 1000 { // until the pool knows that they are quick
			if _, err := p.Call(context.Background(), i); err != nil {
				t.Fatal(err)
			}
		}
		watch = true
		for i := range 10 {
			if _, err := p.Call(context.Background(), i); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for _, ctx := range kept {
			if ctx.Err() == nil {
				t.Error("a ctx is open after its call")
			}
		}
		p.Stop() // the bubble finds goroutines that still wait
	})
}

func TestABlockedCallThatEndsIsTakenOffNobody(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.pass, task.System(sys), task.Workers(1), task.Balance(task.LeastActive), task.Queue(1))
		running, waiting := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		is(t, "blocked", failure(p.Submit(ctx, 3)), context.DeadlineExceeded)
		equal(t, "Active", p.Stats().PerWorker[0].Active, 2)
		close(g.open)
		equal(t, "running", result(t, running), 1)
		equal(t, "waiting", result(t, waiting), 2)
		p.Stop()
	})
}

func TestCallsThatAWorkerIsFreeForDoNotFillTheQueue(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.pass, task.System(sys), task.Workers(4), task.Queue(1), task.Reject())
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		var fs []*task.Future[int]
		for i := range 5 { // four run, one waits
			fs = append(fs, p.Submit(context.Background(), i))
		}
		is(t, "one too many", failure(p.Submit(context.Background(), 5)), task.ErrQueueFull)
		close(g.open)
		for i, f := range fs {
			equal(t, "value", result(t, f), i)
		}
		p.Stop()
	})
}

func TestAPoolSpawnedByPropsLivesInThatSystem(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, made *actor.System) {
		lives := newSystem()
		p := task.MustNew(sq, task.System(made), task.Name("pool"))
		root := lives.ActorSystem().Root
		if _, err := root.SpawnNamed(p.Props(), "here"); err != nil {
			t.Fatal(err)
		}
		equal(t, "tasks where it was made", len(made.Snapshot().Tasks), 0)
		equal(t, "tasks where it lives", len(lives.Snapshot().Tasks), 1)
		if err := lives.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		is(t, "after the stop of its system", failure(p.Submit(context.Background(), 1)), task.ErrStopped)
		if _, err := root.SpawnNamed(p.Props(), "again"); !errors.Is(err, task.ErrStopped) {
			t.Errorf("spawn after the stop: %v, want ErrStopped", err)
		}
	})
}

func TestThePIDOfATaskThatNeverStartedIsADeadLetter(t *testing.T) {
	t.Parallel()
	sys := newSystem()
	p := task.MustNew(sq, task.System(sys))
	p.Stop()
	_, err := sys.ActorSystem().Root.RequestFuture(p.PID(), 3, time.Minute).Result()
	is(t, "request", err, proto.ErrDeadLetter)
}

func TestDrainFromInsideIsRefused(t *testing.T) {
	t.Parallel()
	var p *task.Task[int, int]
	p = task.MustNew(func(ctx context.Context, _ int) (int, error) {
		_, err := p.Drain(ctx)
		return 0, err
	}, task.System(newSystem()))
	is(t, "drain", failure(p.Submit(context.Background(), 1)), task.ErrWouldDeadlock)
	p.Stop()
}

func TestPanicsOfCallbacksGoToTheLoggerOfTheSystem(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	sys := actor.NewSystem(actor.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	g := newGate()
	p := task.MustNew(g.pass, task.System(sys), task.Name("logged"))
	f := p.Submit(context.Background(), 1)
	f.OnDone(func(int, error) { panic("in OnDone") })
	close(g.open)
	equal(t, "value", result(t, f), 1)
	p.Stop()
	if text := log.String(); !strings.Contains(text, "in OnDone") || !strings.Contains(text, "task=logged") {
		t.Errorf("logged %q", text)
	}
}

// curious is a ctx whose Value asks the task, which must not hold its lock then.
type curious struct {
	context.Context
	ask func()
}

func (s curious) Value(key any) any { s.ask(); return s.Context.Value(key) }

func TestTheCallersCtxIsNotAskedUnderALock(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.pass, task.System(sys), task.Workers(1), task.Queue(1))
		ctx := curious{Context: context.Background(), ask: func() { p.Stats() }}
		done := make(chan *task.Future[int], 3)
		for i := range 3 { // one runs, one waits, one is blocked
			go func() { done <- p.Submit(ctx, i) }()
		}
		synctest.Wait()
		close(g.open)
		for range 3 {
			if _, err := (<-done).Await(ctx); err != nil {
				t.Error(err)
			}
		}
		p.Stop()
	})
}
