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

// failing returns a player whose first spawns fail.
func (r *rig) failing(name string, times int) supervisor.Child {
	return r.player(name, proto.WithSpawnFunc(
		func(as *proto.ActorSystem, id string, p *proto.Props, parent proto.SpawnerContext) (*proto.PID, error) {
			if times--; times >= 0 {
				return nil, errBoom
			}
			return proto.DefaultSpawner(as, id, p, parent)
		}))
}

func TestLaterChildrenWaitForOneWhoseSpawnFailed(t *testing.T) {
	for scope := supervisor.OneForOne; scope <= supervisor.RestForOne; scope++ {
		t.Run(scope.String(), func(t *testing.T) {
			fake(t, func(r *rig) {
				p := supervisor.Policy{Scope: scope, Backoff: supervisor.Backoff{Initial: time.Second, Factor: 1, Max: time.Second}}
				low := r.tree("low", p, r.player("a"), r.failing("b", 2), r.failing("c", 1), r.player("d"))
				top := r.grow("top", supervisor.Policy{}, low)
				r.sleep(3*time.Second - 1)
				if got := low.Snapshot().Children; got[1].State == supervisor.StateIdle || got[3].State != supervisor.StateIdle {
					r.t.Errorf("%+v", got)
				}
				for _, line := range r.told(false) {
					if line == "+d" {
						r.t.Error("d has started before c")
					}
				}
				r.sleep(time.Second)
				for i, n := range low.Snapshot().Children {
					if n.State != supervisor.StateRunning {
						r.t.Errorf("child %d: %+v", i, n)
					}
				}
				r.stop(top)
			})
		})
	}
}

func TestLaterChildrenStartAfterOneThatIsNotRestarted(t *testing.T) {
	fake(t, func(r *rig) {
		p := supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Stop }}
		low := r.tree("low", p, r.failing("a", 1), r.player("b"))
		r.grow("top", supervisor.Policy{}, low)
		r.expectTree(low, `low running [a stopped "boom", b running]`)
	})
}

// holds is a service that goes on for a while after it was told to stop.
func (r *rig) holds(name string, d time.Duration) supervisor.Child {
	return supervisor.Service(name, func(ctx context.Context) error {
		<-ctx.Done()
		r.note("!" + name)
		time.Sleep(d)
		r.note("-" + name)
		return nil
	})
}

func TestNestedTreeInScopeStopsInOrder(t *testing.T) {
	fake(t, func(r *rig) {
		deep := r.tree("deep", supervisor.Policy{}, r.holds("c", time.Hour), r.holds("d", time.Second))
		low := r.tree("low", supervisor.Policy{}, r.holds("a", time.Second), deep, r.holds("b", time.Minute))
		top := r.grow("top", supervisor.Policy{Scope: supervisor.OneForAll}, r.player("x"), low)
		r.send("top/x", errBoom)
		synctest.Wait()
		r.expectTree(top, `top running [x restarting "boom", low restarting [a running, deep running [c running, d running], b stopping]]`)
		r.sleep(2 * time.Hour)
		r.expectDone("!b", "-b", "!d", "-d", "!c", "-c", "!a", "-a", "-x", "+x")
		r.expectTree(top, `top running [x running 1 "boom", low running 1 [a running, deep running [c running, d running], b running]]`)
	})
}

func TestNestedTreeThatIsStoppingInOrderCanBeForced(t *testing.T) {
	fake(t, func(r *rig) {
		low := r.tree("low", supervisor.Policy{}, r.holds("a", time.Second), r.holds("b", time.Hour))
		top := r.grow("top", supervisor.Policy{Scope: supervisor.OneForAll}, r.player("x"), low)
		r.send("top/x", errBoom)
		r.expectDone("!b")
		if err := top.Stop(r.within(time.Second)); !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "low/b") {
			r.t.Errorf("Stop: %v", err)
		}
		r.expectSet("-x !a")
		r.stop(top)
		r.sleep(time.Hour)
	})
}

// Its failure comes to a parent that has told it to stop: nobody restarts it.
func TestNestedTreeThatFailsWhileItIsStoppedInOrder(t *testing.T) {
	for name, delay := range map[string]time.Duration{"before": 0, "meanwhile": time.Minute} {
		t.Run(name, func(t *testing.T) {
			fake(t, func(r *rig) {
				release := make(wait)
				low := r.tree("low", supervisor.Policy{Decide: byText}, r.player("a"), r.player("b"))
				top := r.grow("top", supervisor.Policy{Scope: supervisor.OneForAll}, r.player("x"), low)
				r.send("top/low/b", release)
				synctest.Wait()
				fail := func() { r.send("top/low/a", errEscalate) }
				if delay == 0 {
					fail()
					synctest.Wait()
				}
				r.send("top/x", errBoom)
				if delay > 0 {
					synctest.Wait()
					fail()
				}
				r.sleep(time.Second)
				close(release)
				r.sleep(time.Minute)
				r.expectSet("-b -a -x +x +a +b")
				r.expectTree(top, `top running [x running 1 "boom", low running 1 [a running, b running]]`)
			})
		})
	}
}

func TestTreeThatGivesUpTellsAllBelowBeforeItReportsThat(t *testing.T) {
	fake(t, func(r *rig) {
		low := r.tree("low", supervisor.Policy{}, r.holds("a", 0), r.holds("stuck", time.Hour))
		top := r.grow("top", supervisor.Policy{Decide: byText}, low, r.player("x"))
		start := time.Now()
		r.send("top/x", errEscalate)
		if err := top.Wait(context.Background()); !isFailed(err) || time.Since(start) != 5*time.Second {
			r.t.Errorf("got %v after %v", err, time.Since(start))
		}
		r.expectDone("-x", "!stuck", "!a", "-a")
		r.stop(top)
	})
}
