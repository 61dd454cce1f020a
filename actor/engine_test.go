package actor_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// The tests of this file show that what is wrong with the engine cannot be
// reached through a task.

// ask sends message to pid and returns the answer.
func ask[T any](sys *actor.System, pid *actor.PID, message any) *actor.Future[T] {
	f, _ := actor.NewFuture[T]()
	sys.ActorSystem().Root.RequestWithCustomSender(pid, message, f.PID(sys))
	return f
}

// members returns the PIDs of a task's workers.
func members(sys *actor.System) (pids []*actor.PID) {
	for _, m := range sys.Snapshot().Tasks[0].Members {
		pids = append(pids, sys.ActorSystem().NewLocalPID(m.PID[strings.Index(m.PID, "/")+1:]))
	}
	return pids
}

func TestANilMessageDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem()
		square := task.MustNew(sq, task.System(sys), task.Workers(2))
		if err := square.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		root := sys.ActorSystem().Root
		for _, pid := range append(members(sys), square.PID()) {
			root.Send(pid, nil)
		}
		synctest.Wait() // a goroutine that spins would keep this from returning
		v, err := ask[int](sys, square.PID(), 5).Result()
		equal(t, "value", v, 25)
		equal(t, "error", err, nil)
		_, err = ask[int](sys, square.PID(), nil).Result()
		var wrong *actor.MessageError
		if !errors.As(err, &wrong) {
			t.Errorf("asking nil: got error %v, want a *MessageError", err)
		}
		stop(t, sys)
	})
}

func TestOtherMessagesToWorkersAreNoHarm(t *testing.T) {
	sys := newSystem()
	square := task.MustNew(sq, task.System(sys), task.Workers(2))
	if err := square.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, pid := range members(sys) {
		sys.ActorSystem().Root.Send(pid, "hello")
		sys.ActorSystem().Root.Send(pid, 7)
	}
	v, err := square.Call(context.Background(), 7)
	equal(t, "value", v, 49)
	equal(t, "error", err, nil)
	stop(t, sys)
}

func TestGoexitWedgesNeitherRouterNorWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem()
		exit := task.MustNew(func(_ context.Context, x int) (int, error) {
			if x < 0 {
				runtime.Goexit()
			}
			return x, nil
		}, task.System(sys), task.Workers(1))
		for i := range 20 {
			_, err := ask[int](sys, exit.PID(), -1).Result()
			is(t, "asking for Goexit", err, task.ErrGoexit)
			_, err = exit.Submit(t.Context(), -1).Result()
			is(t, "submitting Goexit", err, task.ErrGoexit)
			v, err := ask[int](sys, exit.PID(), i).Result()
			equal(t, "value", v, i)
			equal(t, "error", err, nil)
		}
		equal(t, "workers", exit.Stats().Workers, 1)
		stop(t, sys)
	})
}

func TestAPanicAnswersTheSender(t *testing.T) {
	for name, policy := range map[string]supervisor.Policy{
		"resume":  {Decide: func(error) supervisor.Directive { return supervisor.Resume }},
		"restart": {MaxRestarts: -1},
	} {
		t.Run(name, func(t *testing.T) {
			sys := newSystem()
			crash := task.MustNew(func(_ context.Context, x int) (int, error) {
				if x < 0 {
					panic(errOwn)
				}
				return x, nil
			}, task.System(sys), task.Workers(1), task.Supervise(policy))
			for i := range 50 {
				_, err := ask[int](sys, crash.PID(), -1).Result()
				is(t, "asking for a panic", err, errOwn)
				v, err := ask[int](sys, crash.PID(), i).Result()
				equal(t, "value", v, i)
				equal(t, "error", err, nil)
			}
			stop(t, sys)
		})
	}
}

// The engine registers an actor before it is ready for messages.
func TestAMessageMayComeWhileATaskStarts(t *testing.T) {
	sys := newSystem()
	as := sys.ActorSystem()
	for range 100 {
		square := task.MustNew(sq, task.System(sys), task.Name("early"), task.Workers(2))
		var answered atomic.Int32
		early := func() {
			pid := as.NewLocalPID("task/early")
			for answered.Load() == 0 {
				v, err := ask[int](sys, pid, 3).Result()
				switch {
				case err == nil && v == 9:
					answered.Add(1)
				case !errors.Is(err, proto.ErrDeadLetter):
					t.Errorf("got %v, %v, want 9 or a dead letter", v, err)
					return
				}
			}
		}
		race(early, early, func() { square.PID() })
		stop(t, sys)
	}
}

// The engine discards what is queued when an actor is stopped.
func TestStopAnswersWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem()
		block := task.MustNew(func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}, task.System(sys), task.Workers(1))
		var fs []*actor.Future[int]
		for range 10 {
			fs = append(fs, ask[int](sys, block.PID(), 1))
		}
		synctest.Wait()
		stop(t, sys)
		for _, f := range fs {
			_, err, done := f.Poll()
			equal(t, "answered", done, true)
			is(t, "answer", err, task.ErrStopped)
		}
	})
}

func TestStoppingTheRouterOrAWorkerFromOutsideIsSafe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem()
		square := task.MustNew(sq, task.System(sys), task.Workers(2))
		if err := square.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		root := sys.ActorSystem().Root
		for _, pid := range members(sys) {
			root.Stop(pid)
			root.Poison(pid)
		}
		v, err := square.Submit(t.Context(), 4).Result()
		equal(t, "value after the workers were stopped", v, 16)
		equal(t, "error", err, nil)
		root.Poison(square.PID())
		synctest.Wait()
		_, err = square.Submit(t.Context(), 4).Result()
		is(t, "a call after the router was stopped", err, task.ErrStopped)
		equal(t, "tasks left", len(sys.Snapshot().Tasks), 0)
		stop(t, sys)
		time.Sleep(time.Second) // nothing stirs later
		equal(t, "actors left", registered(sys.ActorSystem(), "task/"), 0)
	})
}

// The engine holds a goroutine for a while after a dead letter.
func TestAnAnswerToNobodyLeavesNothingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem()
		square := task.MustNew(sq, task.System(sys))
		nobody := sys.ActorSystem().NewLocalPID("nobody")
		sys.ActorSystem().Root.RequestWithCustomSender(square.PID(), 3, nobody)
		sys.ActorSystem().Root.Send(nobody, "hello")
		if _, err := square.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		stop(t, sys)
		time.Sleep(time.Millisecond)
	}) // whatever still runs now fails the test
}
