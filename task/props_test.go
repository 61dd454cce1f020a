package task_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

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

func TestTaskGetsAnotherPIDIfItsOwnIsTaken(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		root := sys.ActorSystem().Root
		pid, err := root.SpawnNamed(proto.PropsFromFunc(func(proto.Context) {}), "task/square")
		if err != nil {
			t.Fatal(err)
		}
		p := task.MustNew(sq, task.System(sys), task.Name("square"))
		equal(t, "name", p.Name(), "square")
		equal(t, "PID", p.PID().Id, "task/square-2")
		equal(t, "result", result(t, p.Submit(context.Background(), 3)), 9)
		p.Stop()
		root.Stop(pid)
	})
}

func TestWorkersStoppedByOthersLoseNoCall(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}, "OnDemand": {task.OnDemand()}} {
		for how, stop := range map[string]func(*proto.RootContext, *actor.PID){"Stop": (*proto.RootContext).Stop, "Poison": (*proto.RootContext).Poison} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					g := newGate()
					p := task.MustNew(g.pass, append(opts, task.System(sys), task.Name("square"), task.Workers(2))...)
					var fs []*task.Future[int]
					for i := range 20 {
						fs = append(fs, p.Submit(context.Background(), i))
					}
					synctest.Wait()
					for _, w := range []string{"0", "1"} {
						stop(sys.ActorSystem().Root, proto.NewPID(sys.ActorSystem().ProcessRegistry.Address, "task/square/worker-"+w))
					}
					synctest.Wait()
					close(g.open)
					for i, f := range fs {
						equal(t, "result", result(t, f), i)
					}
					addsUp(t, p)
					equal(t, "report", p.Stop(), task.Report{})
				})
			})
		}
	}
}

func TestTaskWhoseActorIsStoppedByOthersIsStopped(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		before := registered(sys)
		g := newGate()
		p := task.MustNew(g.pass, task.System(sys), task.Workers(1), task.Name("square"))
		running, waiting := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
		synctest.Wait()
		sys.ActorSystem().Root.Stop(p.PID())
		isStopped(t, "running", failure(running), true)
		isStopped(t, "waiting", failure(waiting), false)
		synctest.Wait()
		isStopped(t, "later", failure(p.Submit(context.Background(), 3)), false)
		equal(t, "report", p.Stop(), task.Report{Cancelled: 1, NeverStarted: 1})
		equal(t, "registry entries beyond those before", registered(sys), before)
		again, err := task.New(sq, task.System(sys), task.Name("square"))
		if err != nil {
			t.Fatalf("the name is not free: %v", err)
		}
		again.Stop()
	})
}

func TestTaskWhoseActorIsPoisonedDrains(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		before := registered(sys)
		g := newGate()
		p := task.MustNew(g.pass, task.System(sys), task.Workers(1))
		running, waiting := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
		synctest.Wait()
		sys.ActorSystem().Root.Poison(p.PID())
		synctest.Wait()
		isStopped(t, "later", failure(p.Submit(context.Background(), 3)), false)
		close(g.open)
		equal(t, "running", result(t, running), 1)
		equal(t, "waiting", result(t, waiting), 2)
		synctest.Wait()
		equal(t, "report", p.Stop(), task.Report{Finished: 2})
		equal(t, "registry entries beyond those before", registered(sys), before)
	})
}
