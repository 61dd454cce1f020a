package task_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestTreeUnderAParentThatRestartsBringsItsPoolsBack(t *testing.T) {
	inGrove(t, func(g *grove) {
		w, s := g.keeper("w")
		p, at := g.passer("p", task.Workers(1))
		low := g.tree("low", supervisor.Policy{}, w)
		tree := g.tree("t", supervisor.Policy{}, p, low)
		child := make(chan *actor.PID, 1)
		grandparent := g.sys.ActorSystem().Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
			if _, ok := ctx.Message().(*proto.Started); !ok {
				return
			}
			ctx.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
				switch ctx.Message().(type) {
				case *proto.Started:
					pid, err := ctx.SpawnNamed(tree.Props(), "t")
					if err != nil {
						t.Error(err)
					}
					child <- pid
				case string:
					panic(errBoom)
				}
			}))
		}))
		for i := range 3 {
			pid := <-child
			synctest.Wait()
			equal(t, "state", id(t, w), int64(i+1))
			running, waiting := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
			<-at.started
			g.sys.ActorSystem().Root.Send(proto.NewPID(pid.Address, strings.TrimSuffix(pid.Id, "/t")), "fail")
			isStopped(t, "running call", failure(running), true)
			isStopped(t, "waiting call", failure(waiting), false)
		}
		<-child
		g.looks(tree, "t running [p running, low running [w running]]")
		equal(t, "state", id(t, w), 4)
		equal(t, "tasks", len(g.sys.Snapshot().Tasks), 2)
		equal(t, "trees", len(g.sys.Snapshot().Trees), 1)
		g.sys.ActorSystem().Root.Stop(grandparent)
		is(t, "Wait", tree.Wait(context.Background()), nil)
		synctest.Wait()
		isStopped(t, "call at the end", failure(p.Submit(context.Background(), 1)), false)
		s.settled()
	})
}

// Pools in a tree are stopped by it, in its order, drained, whenever they were
// made.
func TestSystemStopDrainsTreesInTheirOrder(t *testing.T) {
	for _, again := range []string{"", "restarted", "added"} {
		t.Run(again, func(t *testing.T) {
			inGrove(t, func(g *grove) {
				var children []supervisor.Child
				var db *task.Worker[*till]
				var s *shop
				if again != "added" {
					db, s = g.keeper("db")
				}
				if again != "added" {
					children = append(children, db)
				}
				low := g.tree("low", supervisor.Policy{}, children...)
				a := g.fuse("a")
				user := supervisor.Service("user", func(ctx context.Context) error {
					<-ctx.Done()
					// It depends on db, to the last.
					if _, err := task.Ask(context.Background(), db, (*till).Add, 1).Result(); err != nil {
						t.Errorf("a child was used after what it depends on had ended: %v", err)
					}
					g.note("-user")
					return nil
				})
				tree := g.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, a, low, user)
				switch again {
				case "restarted":
					a.blow <- errBoom
					synctest.Wait()
				case "added":
					db, s = g.keeper("db")
					is(t, "Add", low.Add(db), nil)
				}
				id(t, db)
				g.noted()
				is(t, "Stop", g.sys.Stop(context.Background()), nil)
				equal(t, "order", g.noted(), "-user -db -a")
				is(t, "Wait", tree.Wait(context.Background()), nil)
				s.settled()
			})
		})
	}
}

func TestSystemStopBoundsTheDrain(t *testing.T) {
	inGrove(t, func(g *grove) {
		f := newForest(g)
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Minute, errCause)
		defer cancel()
		start := time.Now()
		is(t, "Stop", g.sys.Stop(ctx), errCause)
		equal(t, "after", time.Since(start), time.Minute)
		is(t, "Wait", f.top.Wait(context.Background()), nil)
		is(t, "Stop again", g.sys.Stop(context.Background()), nil)
		for _, name := range f.pools {
			for _, c := range f.calls[name] {
				is(t, "call of "+name, failure(c), task.ErrStopped)
			}
		}
		f.settled()
	})
}
