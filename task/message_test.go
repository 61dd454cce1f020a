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
	"github.com/troupe-go/troupe/supervisor"
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

func TestPIDOfATaskNeverUsedAndStopped(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq, task.System(newSystem()))
	p.Stop()
	if pid := p.PID(); pid != nil {
		t.Errorf("got %v, want none", pid)
	}
}

func TestPIDsOfATaskAndItsWorkersSpeak(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := task.MustNew(sq, append(opts, task.System(sys), task.Name("square"), task.Workers(3))...)
				if err := p.Ready(context.Background()); err != nil {
					t.Fatal(err)
				}
				registry := sys.ActorSystem().ProcessRegistry
				for _, id := range []string{"task/square", "task/square/worker-0", "task/square/worker-1", "task/square/worker-2"} {
					if _, ok := registry.GetLocal(id); !ok {
						t.Errorf("there is no %s", id)
					}
				}
				if _, ok := registry.GetLocal("task/square/worker-3"); ok {
					t.Error("there is a worker-3 of three")
				}
				// Somebody else's actor may watch a worker, and stop it; it is replaced.
				worker := proto.NewPID(registry.Address, "task/square/worker-1")
				gone := make(chan string, 1)
				watcher := sys.ActorSystem().Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
					switch m := ctx.Message().(type) {
					case *proto.Started:
						ctx.Watch(worker)
					case *proto.Terminated:
						gone <- m.Who.Id
					}
				}))
				synctest.Wait()
				sys.ActorSystem().Root.Stop(worker)
				equal(t, "gone", <-gone, "task/square/worker-1")
				var fs []*task.Future[int]
				for i := range 30 {
					fs = append(fs, p.Submit(context.Background(), i))
				}
				for i, f := range fs {
					equal(t, "result", result(t, f), i*i)
				}
				if err := p.Ready(context.Background()); err != nil {
					t.Fatal(err)
				}
				equal(t, "Workers", p.Stats().Workers, 3)
				sys.ActorSystem().Root.Stop(watcher)
				p.Stop()
			})
		})
	}
}

func TestWorkersIgnoreMessagesThatAreNotTheirs(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(sq, task.System(sys), task.Name("square"), task.Workers(1))
		result(t, p.Submit(context.Background(), 1))
		worker := proto.NewPID(sys.ActorSystem().ProcessRegistry.Address, "task/square/worker-0")
		for _, m := range []any{"text", 3, nil, &proto.Restarting{}} {
			sys.ActorSystem().Root.Send(worker, m)
		}
		equal(t, "result", result(t, p.Submit(context.Background(), 3)), 9)
		sys.ActorSystem().Root.Poison(worker)
		synctest.Wait()
		equal(t, "result after poison", result(t, p.Submit(context.Background(), 4)), 16)
		p.Stop()
	})
}

// family spawns props under a parent of its own.
type family struct {
	sys    *actor.System
	parent *actor.PID
	child  *actor.PID
	err    error
}

func adopt(sys *actor.System, props *proto.Props, name string) *family {
	f := &family{sys: sys}
	spawned := make(chan struct{})
	f.parent = sys.ActorSystem().Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		if _, ok := ctx.Message().(*proto.Started); ok {
			f.child, f.err = ctx.SpawnNamed(props, name)
			close(spawned)
		}
	}))
	<-spawned
	return f
}

func TestPropsPutThePoolUnderAnyActor(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				before := registered(sys)
				p := task.MustNew(sq, append(opts, task.System(sys))...)
				f := adopt(sys, p.Props(), "pool")
				if f.err != nil {
					t.Fatal(f.err)
				}
				equal(t, "PID", f.child.Id, f.parent.Id+"/pool")
				equal(t, "PID of the handle", p.PID().Id, f.child.Id)
				equal(t, "result through the handle", result(t, p.Submit(context.Background(), 3)), 9)
				equal(t, "result by message", ask[int](t, sys, f.child, 4).Value, 16)
				for range 3 {
					if g := adopt(sys, p.Props(), "again"); g.err == nil || g.child != nil {
						t.Errorf("second spawn: got %v, %v, want an error", g.child, g.err)
					} else {
						sys.ActorSystem().Root.Stop(g.parent)
					}
				}
				equal(t, "the first goes on", result(t, p.Submit(context.Background(), 5)), 25)
				sys.ActorSystem().Root.Stop(f.parent)
				synctest.Wait()
				isStopped(t, "after the parent's stop", failure(p.Submit(context.Background(), 3)), false)
				equal(t, "registry entries beyond those before", registered(sys), before)
				equal(t, "report", p.Stop(), task.Report{})
			})
		})
	}
}

func TestPropsOfATaskInUseCannotBeSpawned(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(sq, task.System(sys))
		props := p.Props()
		result(t, p.Submit(context.Background(), 1))
		f := adopt(sys, props, "pool")
		if f.err == nil {
			t.Error("a task that is in use was spawned")
		}
		p.Stop()
		f2 := adopt(sys, p.Props(), "pool")
		if f2.err == nil {
			t.Error("a stopped task was spawned")
		}
		sys.ActorSystem().Root.Stop(f.parent)
		sys.ActorSystem().Root.Stop(f2.parent)
	})
}

func TestStopOfTheParentStopsTheTask(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		if name == "inline" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				before := registered(sys)
				g := newGate()
				p := task.MustNew(func(ctx context.Context, x int) (int, error) {
					if x == 0 {
						return g.ignore(ctx, x)
					}
					return g.pass(ctx, x)
				}, append(append([]task.Option{}, opts...), task.System(sys), task.Workers(2), task.StopGrace(time.Minute))...)
				f := adopt(sys, p.Props(), "pool")
				a, b, c := p.Submit(context.Background(), 0), p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
				synctest.Wait()
				start := time.Now()
				stopped := make(chan struct{})
				go func() {
					defer close(stopped)
					sys.ActorSystem().Root.StopFuture(f.parent).Wait()
				}()
				isStopped(t, "running", failure(a), true)
				isStopped(t, "running", failure(b), true)
				isStopped(t, "waiting", failure(c), false)
				equal(t, "outcomes after", time.Since(start), 0)
				time.AfterFunc(time.Second, func() { close(g.open) })
				r := p.Stop()
				equal(t, "Abandoned", r.Abandoned, 0)
				equal(t, "NeverStarted", r.NeverStarted, 1)
				equal(t, "Cancelled", r.Cancelled, 2)
				equal(t, "Stop returns after", time.Since(start), time.Second)
				<-stopped
				equal(t, "the parent is gone after", time.Since(start), time.Second)
				equal(t, "registry entries beyond those before", registered(sys), before)
			})
		})
	}
}

func TestParentIsGoneAfterTheGraceAtTheLatest(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.ignore, task.System(sys), task.Workers(1), task.StopGrace(time.Second))
		f := adopt(sys, p.Props(), "pool")
		p.Submit(context.Background(), 1)
		synctest.Wait()
		start := time.Now()
		if err := sys.ActorSystem().Root.StopFuture(f.parent).Wait(); err != nil {
			t.Errorf("the parent does not end: %v", err)
		}
		equal(t, "after", time.Since(start), time.Second)
		equal(t, "Abandoned", p.Stop().Abandoned, 1)
		close(g.open)
	})
}

func TestStopOfATaskUnderAParentLeavesTheParentAlive(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(sq, task.System(sys))
		f := adopt(sys, p.Props(), "pool")
		result(t, p.Submit(context.Background(), 1))
		p.Stop()
		registry := sys.ActorSystem().ProcessRegistry
		if _, ok := registry.Get(f.child); ok {
			t.Error("the task's actor lives after Stop")
		}
		if _, ok := registry.Get(f.parent); !ok {
			t.Error("the parent is gone with the task")
		}
		sys.ActorSystem().Root.Stop(f.parent)
	})
}

func TestTaskSpawnedInAnotherSystemLivesThere(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, home *actor.System) {
		theirs := proto.NewActorSystem(
			proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
			proto.WithDeadLetterThrottleInterval(1))
		sys := actor.Wrap(theirs)
		p := task.MustNew(sq, task.System(home), task.Name("guest"))
		f := adopt(sys, p.Props(), "pool")
		if f.err != nil {
			t.Fatal(f.err)
		}
		equal(t, "result", ask[int](t, sys, f.child, 4).Value, 16)
		if _, ok := theirs.ProcessRegistry.GetLocal(f.child.Id); !ok {
			t.Error("the task is not in the system of its parent")
		}
		theirs.Root.Stop(f.parent)
		synctest.Wait()
		isStopped(t, "after the parent's stop", failure(p.Submit(context.Background(), 1)), false)
		again, err := task.New(sq, task.System(home), task.Name("guest"))
		if err != nil {
			t.Errorf("the name is not free at home: %v", err)
		}
		again.Stop()
	})
}

func TestWrappedSystemsDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *actor.System) {
		var systems []*actor.System
		var tasks []*task.Task[int, int]
		for range 2 {
			as := proto.NewActorSystem(
				proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
				proto.WithDeadLetterThrottleInterval(1))
			sys := actor.Wrap(as)
			equal(t, "Wrap of the same", actor.Wrap(as), sys)
			systems = append(systems, sys)
			tasks = append(tasks, task.MustNew(sq, task.System(sys), task.Name("square")))
		}
		for i, p := range tasks {
			equal(t, "result", ask[int](t, systems[i], p.PID(), 3).Value, 9)
		}
		if err := systems[0].Stop(context.Background()); err != nil {
			t.Error(err)
		}
		isStopped(t, "in the stopped one", failure(tasks[0].Submit(context.Background(), 1)), false)
		equal(t, "in the other", ask[int](t, systems[1], tasks[1].PID(), 4).Value, 16)
		tasks[1].Stop()
	})
}

func TestFailedPoolEndsUnderItsParentAndSparesIt(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(fragile, task.System(sys), task.Workers(1),
			task.Supervise(supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Escalate }}))
		gone := make(chan struct{})
		spawned := make(chan *actor.PID, 1)
		parent := sys.ActorSystem().Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
			switch ctx.Message().(type) {
			case *proto.Started:
				child, _ := ctx.SpawnNamed(p.Props(), "pool")
				spawned <- child
			case *proto.Terminated:
				close(gone)
			}
		}))
		<-spawned
		is(t, "panic", failure(p.Submit(context.Background(), -1)), errBoom)
		<-gone // the parent hears of it
		is(t, "later", failure(p.Submit(context.Background(), 1)), task.ErrFailed)
		if _, ok := sys.ActorSystem().ProcessRegistry.Get(parent); !ok {
			t.Error("the parent is gone with the task")
		}
		sys.ActorSystem().Root.Stop(parent)
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
