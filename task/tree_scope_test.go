package task_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// A service fails in the middle of: out, a, w (worker), p (task), b.
func TestScopesHaltPoolsAndKeepTheirCalls(t *testing.T) {
	for _, scope := range []supervisor.Scope{supervisor.OneForAll, supervisor.RestForOne} {
		t.Run(scope.String(), func(t *testing.T) {
			inGrove(t, func(g *grove) {
				out, outShop := g.keeper("out")
				w, s := g.keeper("w")
				p, at := g.passer("p", task.Workers(1))
				a, b := g.fuse("a"), g.fuse("b")
				tree := g.grow("t", supervisor.Policy{Scope: scope, Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}, out, a, w, p, b)
				ctx := context.Background()
				outID := id(t, out)
				f1, f2 := task.Ask(ctx, w, (*till).Pass, 1), task.Ask(ctx, w, (*till).Add, 5)
				p1, p2 := p.Submit(ctx, 1), p.Submit(ctx, 2)
				equal(t, "at first", len(g.noted()) > 0, true)
				a.blow <- errBoom
				equal(t, "while p runs", g.noted(), "!a -b")
				at.open <- struct{}{}
				equal(t, "running call of p", result(t, p1), 1)
				equal(t, "while w runs", g.noted(), "")
				s.gate.open <- struct{}{}
				equal(t, "running call of w", result(t, f1), 1)
				later := task.Ask(ctx, w, (*till).Add, 1)
				want := "-w"
				if scope == supervisor.OneForAll {
					want = "-w -out"
				}
				equal(t, "during the delay", g.noted(), want)
				for _, f := range []*task.Future[int]{f2, p2, later} {
					equal(t, "waiting call done", done(f), false)
				}
				if scope == supervisor.RestForOne {
					equal(t, "pool out of scope", id(t, out), outID)
				}
				time.Sleep(time.Hour)
				back := strings.Fields(g.noted()) // they start side by side
				slices.Sort(back)
				equal(t, "after the delay", strings.Join(back, " "), "+a +b +w")
				equal(t, "waiting call of w, on a fresh state", result(t, f2), 5)
				equal(t, "later one", result(t, later), 6)
				close(at.open)
				equal(t, "waiting call of p", result(t, p2), 2)
				equalSlices(t, "calls of p", at.ran(), []int{1, 2})
				equal(t, "states of w", s.opened.Load(), 2)
				if scope == supervisor.OneForAll {
					g.looks(tree, "t running [out running 1, a running 1, w running 1, p running 1, b running 1]")
				} else {
					g.looks(tree, "t running [out running, a running 1, w running 1, p running 1, b running 1]")
					equal(t, "pool out of scope", id(t, out), outID)
				}
				trees := g.sys.Snapshot().Trees
				equal(t, "restarts of w in the System's snapshot", trees[0].Children[2].Restarts, 1)
				equal(t, "last error there", trees[0].Children[1].LastError, "boom")
				g.stop(tree)
				s.settled()
				outShop.settled()
			})
		})
	}
}

func TestStatesAreOpenedOnlyWhenWhatTheyNeedRunsAgain(t *testing.T) {
	inGrove(t, func(g *grove) {
		var up atomic.Bool
		g.sys.ActorSystem().EventStream.Subscribe(func(e any) {
			if e, ok := e.(supervisor.Event); ok && e.Child == "base" {
				up.Store(e.Kind == supervisor.EventStarted || e.Kind == supervisor.EventRestarted)
			}
		})
		base := g.fuse("base")
		w, s := g.keeper("w", task.Workers(3))
		s.onOpen = func(context.Context, *till) error {
			if !up.Load() {
				t.Error("a state is opened before the service is back")
			}
			return nil
		}
		tree := g.grow("t", supervisor.Policy{Scope: supervisor.RestForOne, MaxRestarts: -1, Backoff: supervisor.Backoff{Initial: time.Second, Max: time.Second}}, base, w)
		var fs []*task.Future[int]
		for range 20 {
			for range 5 {
				fs = append(fs, task.Ask(context.Background(), w, (*till).Add, 1))
			}
			synctest.Wait()
			base.blow <- errBoom
			synctest.Wait()
			for range 5 {
				fs = append(fs, task.Ask(context.Background(), w, (*till).Add, 1))
			}
			time.Sleep(1500 * time.Millisecond)
		}
		for _, f := range fs {
			result(t, f)
		}
		g.stop(tree)
		s.settled()
	})
}

func TestNestedTreesInScopeBringTheirPoolsBack(t *testing.T) {
	inGrove(t, func(g *grove) {
		w, s := g.keeper("w")
		p, at := g.passer("p", task.Workers(1))
		a := g.fuse("a")
		low := g.tree("low", supervisor.Policy{}, w, p)
		mid := g.tree("mid", supervisor.Policy{}, low)
		tree := g.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, a, mid)
		ctx := context.Background()
		for i := range 3 {
			running, waiting := p.Submit(ctx, 1), p.Submit(ctx, 2)
			<-at.started
			first := id(t, w)
			equal(t, "state", first, int64(i+1))
			a.blow <- errBoom
			synctest.Wait()
			isStopped(t, "running call of a nested tree", failure(running), true)
			isStopped(t, "waiting call of a nested tree", failure(waiting), false)
		}
		equal(t, "state", id(t, w), 4)
		g.looks(tree, "t running [a running 3, mid running 3 [low running [w running, p running]]]")
		g.stop(tree)
		s.settled()
	})
}

// A worker's restart that is due later must not reach whoever has its name
// then, be it because its pool was halted meanwhile or restarted.
func TestRestartOfAWorkerDoesNotOutliveTheHaltOfItsPool(t *testing.T) {
	for _, how := range []string{"service", "name", "escalation"} {
		t.Run(how, func(t *testing.T) {
			inGrove(t, func(g *grove) {
				w, s := g.keeper("w", task.Workers(2), task.Supervise(supervisor.Policy{
					MaxRestarts: 1, Within: 24 * time.Hour, Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour},
				}))
				a := g.fuse("a")
				tree := g.grow("t", supervisor.Policy{Scope: supervisor.RestForOne}, a, w)
				ctx := context.Background()
				is(t, "Ready", w.Ready(ctx), nil)
				is(t, "crash", failure(task.Do(ctx, w, (*till).Crash)), errBoom)
				synctest.Wait()
				switch how {
				case "service":
					a.blow <- errBoom
				case "name":
					is(t, "Restart", tree.Restart(ctx, "w"), nil)
				case "escalation":
					is(t, "second crash", failure(task.Do(ctx, w, (*till).Crash)), errBoom)
				}
				synctest.Wait()
				s.settled()
				is(t, "Ready", w.Ready(ctx), nil)
				opened := s.opened.Load()
				for i := range 10 {
					result(t, task.AskKey(ctx, w, string(rune('a'+i)), (*till).Add, 1))
				}
				time.Sleep(2 * time.Hour)
				equal(t, "states opened", s.opened.Load(), opened)
				equal(t, "states open", s.opened.Load()-s.closed.Load(), 2)
				sum := 0
				for i := range 10 {
					sum += result(t, task.AskKey(ctx, w, string(rune('a'+i)), (*till).Add, 0))
				}
				equal(t, "sums are kept", sum >= 10, true)
				g.stop(tree)
				s.settled()
			})
		})
	}
}
