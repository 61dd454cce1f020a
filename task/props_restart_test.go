package task_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestFailedPoolIsItsParentsToStop(t *testing.T) {
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
		}, proto.WithSupervisor(supervisor.Policy{Decide: func(err error) supervisor.Directive {
			is(t, "what the parent hears", err, errBoom)
			return supervisor.Stop
		}}.Strategy())))
		<-spawned
		is(t, "panic", failure(p.Submit(context.Background(), -1)), errBoom)
		<-gone
		is(t, "later", failure(p.Submit(context.Background(), 1)), task.ErrFailed)
		if _, ok := sys.ActorSystem().ProcessRegistry.Get(parent); !ok {
			t.Error("the parent is gone with the task")
		}
		sys.ActorSystem().Root.Stop(parent)
	})
}

func TestPoolWhoseLastWorkerIsStoppedIsItsParentsToRestart(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"shared": {task.Workers(2)}, "RoundRobin": {task.Workers(2), task.Balance(task.RoundRobin)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := task.MustNew(fragile, append(opts, task.System(sys),
					task.Supervise(supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Stop }}))...)
				f := adopt(sys, p.Props(), "pool") // under the engine's own strategy
				for range 3 {
					for range 2 {
						is(t, "panic", failure(p.Submit(context.Background(), -1)), errBoom)
						synctest.Wait()
					}
					for range 4 {
						equal(t, "after the restart", result(t, p.Submit(context.Background(), 2)), 2)
					}
				}
				sys.ActorSystem().Root.Stop(f.parent)
				synctest.Wait()
				isStopped(t, "after the parent's stop", failure(p.Submit(context.Background(), 3)), false)
			})
		})
	}
}

func TestFailedPoolComesBackIfItsParentRestartsIt(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		fn := func(ctx context.Context, x int) (int, error) {
			if x < 0 {
				panic(errBoom)
			}
			return g.pass(ctx, x)
		}
		p := task.MustNew(fn, task.System(sys), task.Workers(1),
			task.Supervise(supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Escalate }}))
		f := adopt(sys, p.Props(), "pool") // under the engine's own strategy
		for range 3 {
			bad, waiting := p.Submit(context.Background(), -1), p.Submit(context.Background(), 1)
			is(t, "panic", failure(bad), errBoom)
			is(t, "call that waited", failure(waiting), task.ErrFailed)
			is(t, "cause of the call that waited", failure(waiting), errBoom)
			synctest.Wait()
			good := p.Submit(context.Background(), 2)
			<-g.started
			g.open <- struct{}{}
			equal(t, "after the restart", result(t, good), 2)
			equal(t, "PID", p.PID().Id, f.child.Id)
		}
		sys.ActorSystem().Root.Stop(f.parent)
		synctest.Wait()
		isStopped(t, "after the parent's stop", failure(p.Submit(context.Background(), 3)), false)
	})
}

func TestPoolOfAParentThatRestartsComesBack(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				before := registered(sys)
				p := task.MustNew(sq, append(opts, task.System(sys), task.Name("square"))...)
				child := make(chan *actor.PID, 1)
				grandparent := sys.ActorSystem().Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
					if _, ok := ctx.Message().(*proto.Started); !ok {
						return
					}
					ctx.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
						switch ctx.Message().(type) {
						case *proto.Started:
							pid, err := ctx.SpawnNamed(p.Props(), "pool")
							if err != nil {
								t.Error(err)
							}
							child <- pid
						case string:
							panic(errBoom)
						}
					}))
				}))
				for range 3 {
					pid := <-child
					equal(t, "result", result(t, p.Submit(context.Background(), 3)), 9)
					equal(t, "PID of the handle", p.PID().Id, pid.Id)
					parent := proto.NewPID(pid.Address, strings.TrimSuffix(pid.Id, "/pool"))
					sys.ActorSystem().Root.Send(parent, "fail")
					synctest.Wait()
				}
				<-child
				equal(t, "tasks in the snapshot", len(sys.Snapshot().Tasks), 1)
				sys.ActorSystem().Root.Stop(grandparent)
				synctest.Wait()
				isStopped(t, "after the end of its parent", failure(p.Submit(context.Background(), 3)), false)
				equal(t, "registry entries beyond those before", registered(sys), before)
				p.Stop()
				g := adopt(sys, p.Props(), "pool")
				is(t, "spawn after its own Stop", g.err, task.ErrStopped)
				sys.ActorSystem().Root.Stop(g.parent)
			})
		})
	}
}
