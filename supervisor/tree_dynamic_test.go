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

func TestAddStartsAtOnceAndLast(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.tree("t", supervisor.Policy{Scope: supervisor.RestForOne}, r.players("b")...)
		if err := tree.Add(r.player("c")); err != nil { // before Start
			r.t.Error(err)
		}
		if err := tree.Start(r.sys); err != nil {
			r.t.Fatal(err)
		}
		if err := tree.Add(r.player("a")); err != nil {
			r.t.Error(err)
		}
		r.expectEvents("t/b started", "t/c started", "t/ started", "t/a started")
		r.send("t/c", errBoom)
		r.expectEvents("t/c failed", "t/c restarting", "t/a restarting", "t/c restarted", "t/a restarted")
		r.stop(tree)
		r.expectDone("-a", "-c", "-b")
	})
}

func TestAddRefusesWhatNewRefuses(t *testing.T) {
	fake(t, func(r *rig) {
		low := r.tree("low", supervisor.Policy{})
		tree := r.tree("t", supervisor.Policy{}, r.player("a"), low)
		check := func(when string) {
			for name, c := range map[string]supervisor.Child{
				"nil": nil, "taken": r.player("a"), "empty": r.player(""), "slash": r.player("x/y"), "itself": tree,
			} {
				if err := tree.Add(c); err == nil {
					r.t.Errorf("%s, %s: no error", when, name)
				}
			}
			if err := low.Add(tree); err == nil || !strings.Contains(err.Error(), "contains") {
				r.t.Errorf("%s, a circle: %v", when, err)
			}
		}
		check("idle")
		if err := tree.Start(r.sys); err != nil {
			r.t.Fatal(err)
		}
		check("running")
		bad := supervisor.Actor("bad", proto.PropsFromProducer(func() proto.Actor { panic(errBoom) }))
		if err := tree.Add(bad); !errors.Is(err, errBoom) {
			r.t.Errorf("bad: %v", err)
		}
		r.expectTree(tree, "t running [a running, low running]")
		r.stop(tree)
		if err := tree.Add(r.player("late")); !errors.Is(err, supervisor.ErrStopped) {
			r.t.Errorf("after Stop: %v", err)
		}
	})
}

func TestAddDuringARestartWaitsForItsTurn(t *testing.T) {
	fake(t, func(r *rig) {
		p := supervisor.Policy{Scope: supervisor.OneForAll, Backoff: supervisor.Backoff{Initial: time.Second}}
		tree := r.grow("t", p, r.players("a", "b")...)
		r.send("t/a", errBoom)
		synctest.Wait()
		if err := tree.Add(r.player("c")); err != nil {
			r.t.Error(err)
		}
		r.expectTree(tree, `t running [a restarting "boom", b restarting, c idle]`)
		r.sleep(time.Second)
		r.expectEvents("t/a failed", "t/a restarting", "t/b restarting", "t/a restarted", "t/b restarted", "t/c started")
	})
}

func TestRemoveDrainsAndForgets(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{}, r.players("a", "b")...)
		release := make(wait)
		r.send("t/a", release)
		r.send("t/a", "last")
		removed := make(chan error, 1)
		go func() { removed <- tree.Remove(context.Background(), "a") }()
		r.expectTree(tree, "t running [a stopping, b running]")
		close(release)
		if err := <-removed; err != nil {
			r.t.Error(err)
		}
		r.expectDone("a:last", "-a")
		r.expectTree(tree, "t running [b running]")
		if err := tree.Remove(context.Background(), "a"); !errors.Is(err, supervisor.ErrNoChild) {
			r.t.Errorf("second time: %v", err)
		}
		if err := tree.Add(r.player("a")); err != nil {
			r.t.Errorf("the name is not free: %v", err)
		}
		r.stop(tree)
		if err := tree.Remove(context.Background(), "b"); err != nil {
			r.t.Errorf("after Stop: %v", err)
		}
	})
}

func TestRemoveStopsWhatDrainsTooLong(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{}, r.players("a")...)
		release := make(wait)
		r.send("t/a", release)
		r.send("t/a", "never")
		if err := tree.Remove(r.within(time.Second), "a"); !errors.Is(err, errEnded) {
			r.t.Errorf("got %v, want the cause", err)
		}
		synctest.Wait()
		close(release)
		r.expectDone("-a")
		r.expectTree(tree, "t running")
	})
}

func TestFailedChildCanBeRemovedAndRestarted(t *testing.T) {
	for scope := supervisor.OneForOne; scope <= supervisor.RestForOne; scope++ {
		t.Run(scope.String(), func(t *testing.T) {
			fake(t, func(r *rig) {
				p := supervisor.Policy{Scope: scope, Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}
				tree := r.grow("t", p, r.players("a", "b", "c")...)
				r.send("t/b", errBoom)
				synctest.Wait()
				if err := tree.Remove(context.Background(), "b"); err != nil {
					r.t.Error(err)
				}
				r.sleep(time.Hour)
				if scope == supervisor.OneForOne {
					r.send("t/c", errBoom)
					synctest.Wait()
					if err := tree.Restart(context.Background(), "c"); err != nil {
						r.t.Error(err)
					}
					r.expectDone("-b", "-c", "+c")
				}
				for _, n := range tree.Snapshot().Children {
					if n.State != supervisor.StateRunning {
						r.t.Errorf("%+v", n)
					}
				}
			})
		})
	}
}

func TestRestartByNameIsOneChildsAndFree(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{Scope: supervisor.OneForAll, MaxRestarts: 1}, r.players("a", "b")...)
		for range 5 {
			r.send("t/a", "last")
			if err := tree.Restart(context.Background(), "a"); err != nil {
				r.t.Error(err)
			}
			r.expectDone("a:last", "-a", "+a")
		}
		r.expectTree(tree, "t running [a running 5, b running]")
		if err := tree.Restart(context.Background(), "c"); !errors.Is(err, supervisor.ErrNoChild) {
			r.t.Errorf("unknown: %v", err)
		}
		r.stop(tree)
		if err := tree.Restart(context.Background(), "a"); !errors.Is(err, supervisor.ErrStopped) {
			r.t.Errorf("after Stop: %v", err)
		}
	})
}

func TestRestartByNameStartsWhatHasEnded(t *testing.T) {
	fake(t, func(r *rig) {
		s := make(script)
		tree := r.grow("t", supervisor.Policy{}, r.service("s", s))
		s <- nil
		r.expectTree(tree, "t running [s done]")
		if err := tree.Restart(context.Background(), "s"); err != nil {
			r.t.Error(err)
		}
		r.expectTree(tree, "t running [s running 1]")
	})
}

func TestRestartByNameEndsWithItsContext(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{}, r.players("a")...)
		release := make(wait)
		r.send("t/a", release)
		if err := tree.Restart(r.within(time.Second), "a"); !errors.Is(err, errEnded) {
			r.t.Errorf("got %v, want the cause", err)
		}
		close(release)
		r.expectDone("-a", "+a")
	})
}

func TestStopAnswersCommandsThatWait(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{}, r.players("a", "b")...)
		release := make(wait)
		r.send("t/a", release)
		r.send("t/b", release)
		removed, restarted := make(chan error, 1), make(chan error, 1)
		go func() { removed <- tree.Remove(context.Background(), "a") }()
		go func() { restarted <- tree.Restart(context.Background(), "b") }()
		synctest.Wait()
		if err := tree.Stop(r.ended()); err == nil {
			r.t.Error("Stop did not tell of its ctx")
		}
		if err := <-restarted; !errors.Is(err, supervisor.ErrStopped) {
			r.t.Errorf("Restart: %v", err)
		}
		close(release)
		if err := <-removed; err != nil {
			r.t.Errorf("Remove: %v", err)
		}
		r.stop(tree)
		r.expectTree(tree, "t stopped [b stopped]")
	})
}

func TestStopFindsWhatACommandAndAFailureLeftDown(t *testing.T) {
	fake(t, func(r *rig) {
		p := supervisor.Policy{Scope: supervisor.OneForAll, Backoff: supervisor.Backoff{Initial: time.Second}}
		tree := r.grow("t", p, r.players("a", "b")...)
		release := make(wait)
		r.send("t/b", release)
		restarted := make(chan error, 1)
		go func() { restarted <- tree.Restart(context.Background(), "b") }()
		synctest.Wait()
		r.send("t/a", errBoom)
		synctest.Wait()
		close(release)
		r.expectTree(tree, `t running [a restarting "boom", b restarting]`)
		r.stop(tree)
		if err := <-restarted; !errors.Is(err, supervisor.ErrStopped) {
			r.t.Errorf("Restart: %v", err)
		}
		r.expectTree(tree, `t stopped [a stopped "boom", b stopped]`)
	})
}

func TestFailureTakesOverWhatACommandHasBegun(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, r.players("a", "b", "c")...)
		release := make(wait)
		r.send("t/b", release)
		restarted := make(chan error, 1)
		go func() { restarted <- tree.Restart(context.Background(), "b") }()
		synctest.Wait()
		r.send("t/c", errBoom)
		r.expectDone() // b is first to go
		close(release)
		if err := <-restarted; err != nil {
			r.t.Error(err)
		}
		r.expectSet("-a -b -c +a +b +c")
		r.expectTree(tree, `t running [a running 1, b running 1, c running 1 "boom"]`)
	})
}

func TestConcurrentAddsMakeNoCircle(t *testing.T) {
	r := newRig(t)
	for i := range 300 {
		a, b := r.tree("a", supervisor.Policy{}), r.tree("b", supervisor.Policy{})
		if i%2 == 1 {
			if err := a.Start(r.sys); err != nil {
				t.Fatal(err)
			}
		}
		added := make(chan error, 2)
		go func() { added <- a.Add(b) }()
		go func() { added <- b.Add(a) }()
		if first, second := <-added, <-added; first == nil && second == nil {
			t.Fatal("each is below the other")
		}
		r.stop(a)
		r.stop(b)
	}
}

func TestRestartByNameEndsTheDelayOfARound(t *testing.T) {
	fake(t, func(r *rig) {
		p := supervisor.Policy{Scope: supervisor.OneForAll, Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}
		tree := r.grow("t", p, r.players("a", "b", "c")...)
		r.send("t/a", errBoom)
		r.expectDone("-c", "-b", "-a")
		start := time.Now()
		if err := tree.Restart(context.Background(), "b"); err != nil || time.Since(start) > 0 {
			r.t.Errorf("got %v after %v", err, time.Since(start))
		}
		r.expectEvents("t/a restarted", "t/b restarted", "t/c restarted")
		r.expectTree(tree, `t running [a running 1 "boom", b running 1, c running 1]`)

		release := make(wait) // and of one that has not got to its delay
		r.send("t/b", release)
		r.send("t/a", errBoom)
		synctest.Wait()
		restarted := make(chan error, 1)
		go func() { restarted <- tree.Restart(context.Background(), "c") }()
		synctest.Wait()
		close(release)
		if err := <-restarted; err != nil || time.Since(start) > 0 {
			r.t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestRestartIsToldThatTheChildStaysDown(t *testing.T) {
	for name, c := range map[string]struct {
		overtake func(r *rig, tree *supervisor.Tree)
		want     error
	}{
		"Remove": {func(r *rig, tree *supervisor.Tree) { go func() { _ = tree.Remove(context.Background(), "b") }() }, supervisor.ErrNoChild},
		"Stop":   {func(r *rig, _ *supervisor.Tree) { r.send("t/a", errStop) }, supervisor.ErrStopped},
	} {
		t.Run(name, func(t *testing.T) {
			fake(t, func(r *rig) {
				tree := r.grow("t", supervisor.Policy{Scope: supervisor.OneForAll, Decide: byText}, r.players("a", "b")...)
				release := make(wait)
				r.send("t/b", release)
				restarted := make(chan error, 1)
				go func() { restarted <- tree.Restart(context.Background(), "b") }()
				synctest.Wait()
				c.overtake(r, tree)
				synctest.Wait()
				close(release)
				if err := <-restarted; !errors.Is(err, c.want) {
					r.t.Errorf("got %v, want %v", err, c.want)
				}
			})
		})
	}
}

func TestAddToATreeThatIsGivingUpIsKeptForItsNextStart(t *testing.T) {
	fake(t, func(r *rig) {
		low := r.tree("low", supervisor.Policy{Decide: byText}, r.players("a", "b")...)
		r.grow("top", supervisor.Policy{}, low)
		release := make(wait)
		r.send("top/low/a", release)
		synctest.Wait()
		r.send("top/low/b", errEscalate)
		synctest.Wait()
		if err := low.Add(r.player("c")); err != nil {
			r.t.Error(err)
		}
		close(release)
		r.expectTree(low, `low running 1 [a running, b running, c running]`)
		r.stop(low)
		if err := low.Add(r.player("d")); !errors.Is(err, supervisor.ErrStopped) {
			r.t.Errorf("after Stop: %v", err)
		}
	})
}
