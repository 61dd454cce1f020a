package task_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// ask requests an answer from a task as any actor does.
func ask[Out any](t *testing.T, sys *actor.System, to *actor.PID, message any) task.Result[Out] {
	t.Helper()
	got, err := sys.ActorSystem().Root.RequestFuture(to, message, time.Hour).Result()
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	r, ok := got.(task.Result[Out])
	if !ok {
		t.Fatalf("got an answer %#v, want a Result by value", got)
	}
	return r
}

func TestPIDTakesArgumentsAndAnswersResults(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := task.MustNew(func(_ context.Context, x int) (int, error) {
					switch x {
					case 0:
						return 0, errBoom
					case -1:
						panic(errBoom)
					}
					return x * x, nil
				}, append(opts, task.System(sys), task.Name("square"))...)
				pid := p.PID()
				equal(t, "PID", pid.Id, "task/square")
				equal(t, "PID again", p.PID(), pid)
				r := ask[int](t, sys, pid, 7)
				equal(t, "Value", r.Value, 49)
				equal(t, "Err", r.Err, nil)
				equal(t, "Err", ask[int](t, sys, pid, 0).Err, errBoom)
				is(t, "Err of a panic", ask[int](t, sys, pid, -1).Err, task.ErrPanicked)
				sys.ActorSystem().Root.Send(pid, 3) // nobody to answer
				sys.ActorSystem().Root.Send(pid, nil)
				synctest.Wait()
				equal(t, "Submitted", p.Stats().Submitted, 4)
				p.Stop()
			})
		})
	}
}

func TestMessageOfAnotherTypeIsAnsweredWithAnError(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *actor.System) {
		var log strings.Builder
		sys := actor.NewSystem(actor.Logger(slog.New(slog.NewTextHandler(&log, nil))))
		p := task.MustNew(sq, task.System(sys), task.Name("square"))
		for _, message := range []any{"text", int64(3), struct{}{}, (*int)(nil), task.Result[int]{Value: 3}} {
			e := as[*actor.MessageError](t, "Err", ask[int](t, sys, p.PID(), message).Err)
			equal(t, "Want", e.Want, "int")
			equal(t, "Got", e.Got, message)
		}
		equal(t, "Submitted", p.Stats().Submitted, 0)
		sys.ActorSystem().Root.Send(p.PID(), "nobody to answer")
		synctest.Wait()
		if !strings.Contains(log.String(), "square") || !strings.Contains(log.String(), "want a message of type int, got string") {
			t.Errorf("a wrong message without a sender leaves no trace in the log: %q", log.String())
		}
		equal(t, "the task goes on", ask[int](t, sys, p.PID(), 3).Value, 9)
		p.Stop()
	})
}

func TestTaskOfAnyTakesAnyMessage(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x any) (any, error) { return x, nil }, task.System(sys))
		for _, message := range []any{"text", 3, errBoom} {
			equal(t, "Value", ask[any](t, sys, p.PID(), message).Value, message)
		}
		p.Stop()
	})
}

func TestMessageToAFullQueueIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p, g, _ := stuck(t, sys, task.Queue(1))
		queued := p.Submit(context.Background(), 1)
		is(t, "Err", ask[int](t, sys, p.PID(), 2).Err, task.ErrQueueFull)
		equal(t, "Rejected", p.Stats().Rejected, 1)
		close(g.open)
		equal(t, "queued", result(t, queued), 1)
		p.Stop()
	})
}

func TestMessagesThatWaitAreAnsweredByStop(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p, g, _ := stuck(t, sys, task.StopGrace(time.Hour))
		answers := make(chan error, 1)
		go func() { answers <- ask[int](t, sys, p.PID(), 1).Err }()
		synctest.Wait()
		go p.Stop()
		isStopped(t, "Err", <-answers, false)
		synctest.Wait()
		isStopped(t, "Err while stopping", ask[int](t, sys, p.PID(), 1).Err, false)
		close(g.open)
		p.Stop()
	})
}

func TestActorsSendRequestsAndReceiveResults(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(sq, task.System(sys))
		got := make(chan any, 10)
		props := proto.PropsFromFunc(func(ctx proto.Context) {
			switch m := ctx.Message().(type) {
			case *proto.Started:
				ctx.Request(p.PID(), 5)
			case task.Result[int]:
				got <- m.Value
				if m.Value == 25 {
					p.Submit(context.Background(), 6).PipeTo(sys, ctx.Self())
				}
			}
		})
		pid := sys.ActorSystem().Root.Spawn(props)
		equal(t, "answer", <-got, any(25))
		equal(t, "piped", <-got, any(36))
		sys.ActorSystem().Root.StopFuture(pid).Wait()
		p.Stop()
	})
}

func TestGoexitOfAMessageLeavesTheTaskAlive(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			if x == 0 {
				runtime.Goexit()
			}
			return x, nil
		}, task.System(sys), task.Workers(1))
		is(t, "Err", ask[int](t, sys, p.PID(), 0).Err, task.ErrGoexit)
		r := ask[int](t, sys, p.PID(), 1)
		if r.Value != 1 || errors.Is(r.Err, task.ErrGoexit) {
			t.Errorf("got %v", r)
		}
		p.Stop()
	})
}
