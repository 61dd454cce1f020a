package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/supervisor"
)

// byText decides by the error: for tests of a single policy.
func byText(err error) supervisor.Directive {
	switch {
	case strings.Contains(err.Error(), "resume"):
		return supervisor.Resume
	case strings.Contains(err.Error(), "stop"):
		return supervisor.Stop
	case strings.Contains(err.Error(), "escalate"):
		return supervisor.Escalate
	}
	return supervisor.Restart
}

var (
	errResume   = errors.New("resume")
	errStop     = errors.New("stop")
	errEscalate = errors.New("escalate")
)

func TestRestartInPlaceKeepsNameAndMail(t *testing.T) {
	fake(t, func(r *rig) {
		p := supervisor.Policy{Backoff: supervisor.Backoff{Initial: time.Second}}
		tree := r.grow("t", p, r.players("a", "b")...)
		r.send("t/a", errBoom)
		r.send("t/a", "kept")
		r.expectTree(tree, `t running [a restarting "boom", b running]`)
		r.send("t/b", "meanwhile")
		r.expectDone("b:meanwhile")
		r.sleep(time.Second - 1)
		r.expectDone()
		r.sleep(1)
		r.expectDone("-a", "+a", "a:kept")
		r.expectTree(tree, `t running [a running 1 "boom", b running]`)
	})
}

func TestEventsTellEveryStep(t *testing.T) {
	fake(t, func(r *rig) {
		var got []supervisor.Event
		var engine []string
		r.sys.ActorSystem().EventStream.Subscribe(func(e any) {
			switch e := e.(type) {
			case supervisor.Event:
				got = append(got, e)
			case *proto.SupervisorEvent:
				engine = append(engine, fmt.Sprint(e.Child.Id, " ", e.Directive, " ", e.Reason))
			}
		})
		tree := r.tree("t", supervisor.Policy{}, r.players("a")...)
		start := time.Now()
		if err := tree.Start(r.sys); err != nil {
			r.t.Fatal(err)
		}
		r.send("t/a", errBoom)
		r.expectEvents("t/a started", "t/ started", "t/a failed", "t/a restarting", "t/a restarted")
		if e := got[2]; !errors.Is(e.Err, errBoom) || !e.Time.Equal(start) || e.Restarts != 0 {
			r.t.Errorf("failed: %+v", e)
		}
		if e := got[4]; e.Err != nil || e.Restarts != 1 {
			r.t.Errorf("restarted: %+v", e)
		}
		if want := "tree/t/a RestartDirective boom"; len(engine) != 1 || engine[0] != want {
			r.t.Errorf("the engine's event is %q, want %q", engine, want)
		}
		r.stop(tree)
		r.expectEvents("t/a stopped", "t/ stopped")
	})
}

func TestPanickingSubscriberDoesNotHurtTheTree(t *testing.T) {
	fake(t, func(r *rig) {
		r.sys.ActorSystem().EventStream.Subscribe(func(e any) {
			switch e.(type) {
			case supervisor.Event, *proto.SupervisorEvent:
				panic("subscriber")
			}
		})
		tree := r.grow("t", supervisor.Policy{}, r.players("a")...)
		r.send("t/a", errBoom)
		r.expectDone("-a", "+a")
		r.stop(tree)
	})
}

func TestSpentBudgetStopsTheRootInOrder(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{MaxRestarts: 2, Within: time.Minute}, r.players("a", "b", "c")...)
		waited := make(chan error, 1)
		go func() { waited <- tree.Wait(context.Background()) }()
		for range 3 {
			r.send("t/b", errBoom)
		}
		err := <-waited
		if !isFailed(err) || !errors.Is(err, errBoom) {
			r.t.Errorf("Wait: %v", err)
		}
		const want = `supervisor: gave up restarting child "b" of tree "t" after 2 restarts in 1m0s: boom`
		if err.Error() != want {
			r.t.Errorf("got  %v\nwant %s", err, want)
		}
		r.expectDone("-b", "+b", "-b", "+b", "-c", "-b", "-a")
		r.expectTree(tree, fmt.Sprintf(`t failed %q [a stopped, b stopped 2 "boom", c stopped]`, want))
		r.stop(tree)
		if err := tree.Wait(r.ended()); !isFailed(err) {
			r.t.Errorf("Wait after Stop: %v", err)
		}
	})
}

func TestFailedTreeCanBeStartedAgain(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{Decide: byText}, r.players("a")...)
		r.send("t/a", errEscalate)
		r.expectTree(tree, `t failed "supervisor: child \"a\" of tree \"t\" failed: escalate" [a stopped "escalate"]`)
		if err := tree.Start(r.sys); err != nil {
			r.t.Fatal(err)
		}
		r.expectTree(tree, `t running [a running]`)
		r.stop(tree)
	})
}

func TestGivingUpWaitsForNobodyForEver(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{Decide: byText}, r.players("a", "stuck", "c")...)
		release := make(wait)
		r.send("t/stuck", release)
		r.send("t/c", errEscalate)
		start := time.Now()
		if err := tree.Wait(context.Background()); !isFailed(err) || time.Since(start) != 5*time.Second {
			r.t.Errorf("got %v after %v, want a failure after the grace of one child", err, time.Since(start))
		}
		r.expectDone("-c", "-a")
		if err := tree.Stop(r.ended()); err == nil || !strings.Contains(err.Error(), "stuck") {
			r.t.Errorf("Stop: %v, want the name of what runs", err)
		}
		close(release)
		r.stop(tree)
	})
}

func TestStopVerdictStopsForGood(t *testing.T) {
	for scope, want := range map[supervisor.Scope]struct{ done, tree string }{
		supervisor.OneForOne:  {"-b", `t running [a running, b stopped "stop", c running]`},
		supervisor.RestForOne: {"-c -b", `t running [a running, b stopped "stop", c stopped]`},
		supervisor.OneForAll:  {"-c -a -b", `t running [a stopped, b stopped "stop", c stopped]`},
	} {
		t.Run(scope.String(), func(t *testing.T) {
			fake(t, func(r *rig) {
				tree := r.grow("t", supervisor.Policy{Decide: byText, Scope: scope}, r.players("a", "b", "c")...)
				r.send("t/b", errStop)
				r.expectDone(strings.Fields(want.done)...)
				r.expectTree(tree, want.tree)
				if err := tree.Restart(context.Background(), "b"); err != nil {
					r.t.Error(err)
				}
				r.expectDone("+b")
			})
		})
	}
}

func TestResumeSpendsNothing(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{Decide: byText, MaxRestarts: 1, Scope: supervisor.OneForAll}, r.players("a", "b")...)
		for range 5 {
			r.send("t/a", errResume)
		}
		r.send("t/a", "alive")
		r.expectDone("a:alive")
		r.expectTree(tree, `t running [a running "resume", b running]`)
	})
}

func TestScopesRestartInStrictOrder(t *testing.T) {
	for scope, want := range map[supervisor.Scope]struct{ down, up, tree string }{
		supervisor.OneForOne:  {"", "-c +c", `t running [a running, b running, c running 1 "boom", d running, e running]`},
		supervisor.RestForOne: {"-e -d -c", "+c +d +e", `t running [a running, b running, c running 1 "boom", d running 1, e running 1]`},
		supervisor.OneForAll:  {"-e -d -b -a -c", "+a +b +c +d +e", `t running [a running 1, b running 1, c running 1 "boom", d running 1, e running 1]`},
	} {
		t.Run(scope.String(), func(t *testing.T) {
			fake(t, func(r *rig) {
				p := supervisor.Policy{Scope: scope, MaxRestarts: 1, Backoff: supervisor.Backoff{Initial: time.Second}}
				tree := r.grow("t", p, r.players("a", "b", "c", "d", "e")...)
				r.send("t/c", errBoom)
				r.expectDone(strings.Fields(want.down)...)
				r.sleep(time.Second - 1)
				r.expectDone()
				r.sleep(1)
				r.expectSet(want.up)
				r.expectTree(tree, want.tree) // within a budget of one
			})
		})
	}
}

func TestSlowChildHoldsUpTheNextInScope(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, r.players("a", "b", "c")...)
		release := make(wait)
		r.send("t/c", release)
		synctest.Wait()
		r.send("t/b", errBoom)
		r.expectDone()
		r.expectTree(tree, `t running [a restarting, b restarting "boom", c restarting]`)
		close(release)
		r.expectEvents("t/a restarted", "t/b restarted", "t/c restarted")
	})
}

// While others are on their way down, the rest may fail, too.
func TestFailureInTheMiddleOfARestartIsPartOfIt(t *testing.T) {
	fake(t, func(r *rig) {
		p := supervisor.Policy{Scope: supervisor.OneForAll, MaxRestarts: 1}
		tree := r.grow("t", p, r.players("a", "b", "c")...)
		release := make(wait)
		r.send("t/c", release)
		synctest.Wait()
		r.send("t/b", errBoom)
		synctest.Wait()
		r.send("t/a", errBoom)
		synctest.Wait()
		close(release)
		r.expectSet("-c -b -a +a +b +c")
		r.expectTree(tree, `t running [a running 1 "boom", b running 1 "boom", c running 1]`)
	})
}

// An earlier child fails while later ones wait for their delay.
func TestFailureBeforeTheRestartedRestWidensTheRestart(t *testing.T) {
	fake(t, func(r *rig) {
		p := supervisor.Policy{Scope: supervisor.RestForOne, MaxRestarts: 2, Backoff: supervisor.Backoff{Initial: time.Second}}
		tree := r.grow("t", p, r.players("a", "b", "c")...)
		r.send("t/b", errBoom)
		r.expectDone("-c", "-b")
		r.sleep(time.Second / 2)
		r.send("t/a", errBoom) // the second of a row: 2 s
		r.expectDone("-a")
		r.sleep(2*time.Second - 1)
		r.expectDone()
		r.sleep(1)
		r.expectSet("+a +b +c")
		r.expectTree(tree, `t running [a running 1 "boom", b running 1 "boom", c running 1]`)
		r.send("t/a", errBoom)
		if err := tree.Wait(context.Background()); !isFailed(err) {
			r.t.Errorf("got %v, want that both restarts were counted", err)
		}
	})
}

func TestChildThatFailsAtItsStartSpendsTheBudget(t *testing.T) {
	fake(t, func(r *rig) {
		bad := supervisor.Actor("bad", proto.PropsFromFunc(func(ctx proto.Context) {
			if _, ok := ctx.Message().(*proto.Started); ok {
				panic(errBoom)
			}
		}))
		for scope := supervisor.OneForOne; scope <= supervisor.RestForOne; scope++ {
			tree := r.tree("t", supervisor.Policy{Scope: scope, MaxRestarts: 3}, r.player("a"), bad, r.player("b"))
			if err := tree.Start(r.sys); err != nil {
				r.t.Fatal(err)
			}
			if err := tree.Wait(context.Background()); !isFailed(err) || !errors.Is(err, errBoom) {
				r.t.Errorf("%v: got %v", scope, err)
			}
			synctest.Wait()
			if n := tree.Snapshot().Children[1]; n.Restarts != 3 || n.LastError != "boom" {
				r.t.Errorf("%v: %+v", scope, n)
			}
		}
	})
}

func TestFailedSpawnOfARestartIsAFailure(t *testing.T) {
	fake(t, func(r *rig) {
		spawns := 0
		flaky := supervisor.Actor("flaky", proto.PropsFromFunc(func(proto.Context) {}, proto.WithSpawnFunc(
			func(as *proto.ActorSystem, id string, p *proto.Props, parent proto.SpawnerContext) (*proto.PID, error) {
				if spawns++; spawns == 2 || spawns == 3 {
					return nil, fs.ErrExist
				}
				return proto.DefaultSpawner(as, id, p, parent)
			})))
		tree := r.grow("t", supervisor.Policy{Scope: supervisor.OneForAll, MaxRestarts: 3}, r.player("a"), flaky, r.player("b"))
		r.send("t/a", errBoom)
		r.sleep(time.Second)
		r.expectTree(tree, `t running [a running 3 "boom", flaky running 1 "file already exists", b running 1]`)
		r.send("t/a", errBoom)
		if err := tree.Wait(context.Background()); !isFailed(err) {
			r.t.Errorf("got %v, want three restarts counted", err)
		}
	})
}

func TestChildThatEndsByItselfStaysStopped(t *testing.T) {
	fake(t, func(r *rig) {
		p := supervisor.Policy{Scope: supervisor.OneForAll, Backoff: supervisor.Backoff{Initial: time.Second}}
		tree := r.grow("t", p, r.players("a", "b", "c")...)
		r.send("t/b", func(ctx proto.Context) { ctx.Stop(ctx.Self()) })
		r.expectEvents("t/b stopped")
		r.send("t/a", errBoom)
		r.sleep(time.Second)
		r.expectTree(tree, `t running [a running 1 "boom", b stopped, c running 1]`)
	})
}

func TestChildStoppedByOthersBeforeItsRestartStaysStopped(t *testing.T) {
	for scope := supervisor.OneForOne; scope <= supervisor.RestForOne; scope++ {
		t.Run(scope.String(), func(t *testing.T) {
			fake(t, func(r *rig) {
				p := supervisor.Policy{Scope: scope, Backoff: supervisor.Backoff{Initial: time.Second}}
				tree := r.grow("t", p, r.players("a", "b")...)
				r.send("t/b", errBoom)
				r.sys.ActorSystem().Root.Stop(r.pid("t/b"))
				r.sleep(time.Minute)
				if got := tree.Snapshot().Children[1].State; scope != supervisor.OneForAll && got != supervisor.StateStopped {
					r.t.Errorf("b is %s", got)
				}
				r.stop(tree)
			})
		})
	}
}

// expectSet is expectDone where the children do things side by side.
func (r *rig) expectSet(want string) {
	r.t.Helper()
	got := r.told(false)
	sortedEqual(r.t, got, strings.Fields(want))
}
