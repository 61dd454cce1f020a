package supervisor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/supervisor"
)

func (f *family) spawnService(c supervisor.Child) (pid *proto.PID) {
	f.inside(f.parent, func(ctx proto.Context) {
		var err error
		if pid, err = ctx.SpawnNamed(c.Props(), c.Name()); err != nil {
			f.t.Error(err)
		}
	})
	return pid
}

// threeDeep is a tree of trees: top [a, mid [b, low [x, y], c], d], where a
// failure below is handed up at the second time.
func (r *rig) threeDeep(scope supervisor.Scope) *supervisor.Tree {
	p := supervisor.Policy{Scope: scope, MaxRestarts: 1}
	low := r.tree("low", p, r.players("x", "y")...)
	mid := r.tree("mid", p, r.player("b"), low, r.player("c"))
	return r.grow("top", p, r.player("a"), mid, r.player("d"))
}

func TestScopesHoldThreeTreesDeep(t *testing.T) {
	for scope, want := range map[supervisor.Scope][]string{ // what each failure of y restarts
		supervisor.OneForOne:  {"y", "x y", "y", "b x y c"},
		supervisor.RestForOne: {"y", "x y c", "y", "b x y c d"},
		supervisor.OneForAll:  {"x y", "b x y c", "x y", "a b x y c d"},
	} {
		t.Run(scope.String(), func(t *testing.T) {
			fake(t, func(r *rig) {
				top := r.threeDeep(scope)
				for i, restarted := range want {
					r.send("top/mid/low/y", errBoom)
					var both []string
					for _, name := range strings.Fields(restarted) {
						both = append(both, "-"+name, "+"+name)
					}
					sortedEqual(r.t, r.told(false), both)
					if i == 3 {
						break
					}
				}
				if n := top.Snapshot().Children[1]; n.Restarts != 1 || n.State != supervisor.StateRunning || !strings.Contains(n.LastError, "boom") {
					r.t.Errorf("mid is %+v", n)
				}
				for range 3 { // 1 by low, 1 by mid: the third is top's, which has spent its own
					r.send("top/mid/low/y", errBoom)
					synctest.Wait()
				}
				r.send("top/mid/low/y", errBoom)
				err := top.Wait(context.Background())
				if !isFailed(err) || !errors.Is(err, errBoom) {
					r.t.Errorf("Wait: %v", err)
				}
				for _, deep := range []string{`child "mid" of tree "top"`, `child "low" of tree "mid"`, `child "y" of tree "low"`} {
					if !strings.Contains(err.Error(), deep) {
						r.t.Errorf("%q is missing in %v", deep, err)
					}
				}
			})
		})
	}
}

func TestNestedTreesStopInOrder(t *testing.T) {
	fake(t, func(r *rig) {
		top := r.threeDeep(supervisor.OneForOne)
		release := make(wait)
		r.send("top/mid/low/x", release)
		r.send("top/mid/low/x", "last")
		time.AfterFunc(time.Second, func() { close(release) })
		r.stop(top)
		r.expectDone("-d", "-c", "-y", "x:last", "-x", "-b", "-a")
		r.expectTree(top, "top stopped [a stopped, mid stopped [b stopped, low stopped [x stopped, y stopped], c stopped], d stopped]")
	})
}

func TestNestedTreeThatIsStoppedStaysStopped(t *testing.T) {
	fake(t, func(r *rig) {
		low := r.tree("low", supervisor.Policy{}, r.players("x", "y")...)
		top := r.grow("top", supervisor.Policy{}, r.player("a"), low)
		r.stop(low)
		r.expectDone("-y", "-x")
		r.expectTree(top, "top running [a running, low stopped [x stopped, y stopped]]")
		if err := top.Restart(context.Background(), "low"); !errors.Is(err, supervisor.ErrStopped) {
			r.t.Errorf("Restart: %v", err)
		}
	})
}

func TestWaitOfANestedTreeOutlastsItsRestart(t *testing.T) {
	fake(t, func(r *rig) {
		low := r.tree("low", supervisor.Policy{Decide: byText}, r.players("x")...)
		top := r.grow("top", supervisor.Policy{MaxRestarts: 1, Backoff: supervisor.Backoff{Initial: time.Second}}, low)
		waited := make(chan error, 1)
		go func() { waited <- low.Wait(context.Background()) }()
		r.send("top/low/x", errEscalate)
		synctest.Wait()
		if s := low.Snapshot().State; s != supervisor.StateFailed {
			r.t.Errorf("low is %s before its restart", s)
		}
		r.sleep(time.Second)
		if n := low.Snapshot(); n.State != supervisor.StateRunning || n.Restarts != 1 || n.Children[0].State != supervisor.StateRunning {
			r.t.Errorf("low is %+v after its restart", n)
		}
		select {
		case err := <-waited:
			r.t.Fatalf("Wait returned %v", err)
		default:
		}
		r.send("top/low/x", errEscalate)
		if err := <-waited; !isFailed(err) || !errors.Is(err, errEscalate) {
			r.t.Errorf("Wait of low: %v", err)
		}
		if err := top.Wait(context.Background()); !isFailed(err) {
			r.t.Errorf("Wait of top: %v", err)
		}
	})
}

func TestNestedTreeStartsItsChildrenAgainWhenResumed(t *testing.T) {
	fake(t, func(r *rig) {
		low := r.tree("low", supervisor.Policy{MaxRestarts: 1}, r.players("x", "y")...)
		resume := func(error) supervisor.Directive { return supervisor.Resume }
		top := r.grow("top", supervisor.Policy{Decide: resume}, low)
		for range 6 {
			r.send("top/low/x", errBoom)
			synctest.Wait()
		}
		if n := top.Snapshot().Children[0]; n.State != supervisor.StateRunning || n.Children[0].State != supervisor.StateRunning || n.Restarts != 0 {
			r.t.Errorf("low is %+v", n)
		}
	})
}

func TestStopReachesATreeThatWaitsForItsParent(t *testing.T) {
	fake(t, func(r *rig) {
		low := r.tree("low", supervisor.Policy{Decide: byText}, r.players("x")...)
		top := r.grow("top", supervisor.Policy{Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}, low)
		r.send("top/low/x", errEscalate)
		synctest.Wait()
		if err := low.Add(r.player("late")); err != nil {
			r.t.Errorf("Add: %v", err)
		}
		if err := low.Restart(context.Background(), "x"); !errors.Is(err, supervisor.ErrStopped) {
			r.t.Errorf("Restart: %v", err)
		}
		r.stop(low)
		r.expectTree(top, `top running [low stopped "escalate" [x stopped "escalate", late idle]]`)
		if err := low.Wait(r.ended()); !isFailed(err) {
			r.t.Errorf("Wait: %v", err)
		}
		r.forget()
		r.sleep(2 * time.Hour)
		r.expectDone()
	})
}

// A tree under a protoactor parent of anybody's.
func TestTreeUnderAForeignActor(t *testing.T) {
	for name, strategy := range map[string]proto.PropsOption{
		"engine's one for one": proto.WithSupervisor(proto.NewOneForOneStrategy(10, time.Minute, proto.DefaultDecider)),
		"engine's all for one": proto.WithSupervisor(proto.NewAllForOneStrategy(10, time.Minute, proto.DefaultDecider)),
		"ours":                 with(supervisor.Policy{}),
	} {
		t.Run(name, func(t *testing.T) {
			fake(t, func(r *rig) {
				f := newFamily(t, r.sys.ActorSystem(), strategy)
				tree := r.tree("t", supervisor.Policy{Decide: byText}, r.players("a", "b")...)
				pid := f.spawnService(tree)
				r.expectSet("+a +b")
				root := r.sys.ActorSystem().Root
				root.Send(r.sys.ActorSystem().NewLocalPID(pid.Id+"/b"), errEscalate)
				r.expectSet("-a -b +a +b")
				sibling := f.spawn("sibling")[0]
				f.crash(sibling, errBoom)
				f.expect("-sibling", "+sibling")
				if strings.Contains(name, "all") {
					r.expectSet("-a -b +a +b")
				}
				r.forget()
				root.Poison(pid)
				r.expectDone("-b", "-a")
				if err := tree.Wait(r.ended()); err != nil {
					r.t.Errorf("Wait: %v", err)
				}
				f.spawnService(tree) // stopped by others: it may live again
				r.expectSet("+a +b")
				f.stop(f.parent)
				r.expectSet("-a -b")
				r.stop(tree)
			})
		})
	}
}

func TestParentThatStopsAFailedTreeEndsItsWait(t *testing.T) {
	fake(t, func(r *rig) {
		f := newFamily(t, r.sys.ActorSystem(), proto.WithSupervisor(proto.NewOneForOneStrategy(1, 0, func(any) proto.Directive { return proto.StopDirective })))
		tree := r.tree("t", supervisor.Policy{Decide: byText}, r.players("a")...)
		pid := f.spawnService(tree)
		synctest.Wait()
		r.sys.ActorSystem().Root.Send(r.sys.ActorSystem().NewLocalPID(pid.Id+"/a"), errEscalate)
		if err := tree.Wait(context.Background()); !isFailed(err) || !errors.Is(err, errEscalate) {
			r.t.Errorf("Wait: %v", err)
		}
		f.stop(f.parent)
	})
}
