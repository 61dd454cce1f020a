package task_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

var once = task.Supervise(supervisor.Policy{MaxRestarts: 1, Within: time.Hour})

// spend crashes a worker made with once until its pool gives up.
func spend(t *testing.T, w *task.Worker[*till]) {
	t.Helper()
	ctx := context.Background()
	is(t, "first crash", failure(task.Do(ctx, w, (*till).Crash)), task.ErrPanicked)
	result(t, task.Do(ctx, w, (*till).Sum))
	bad, waiting := task.Do(ctx, w, (*till).Crash), task.Do(ctx, w, (*till).Sum)
	is(t, "last crash", failure(bad), task.ErrPanicked)
	is(t, "call that waits", failure(waiting), task.ErrFailed)
	is(t, "its cause", failure(waiting), errBoom)
	synctest.Wait()
}

func TestFailedPoolIsRestartedByItsTree(t *testing.T) {
	for _, scope := range []supervisor.Scope{supervisor.OneForOne, supervisor.OneForAll, supervisor.RestForOne} {
		for _, delay := range []time.Duration{0, time.Second} {
			t.Run(scope.String()+delay.String(), func(t *testing.T) {
				inGrove(t, func(g *grove) {
					w, s := g.keeper("w", once)
					other, otherShop := g.keeper("other")
					tree := g.grow("t", supervisor.Policy{Scope: scope, Backoff: supervisor.Backoff{Initial: delay, Max: delay}}, g.fuse("a"), w, other)
					for range 3 {
						otherID := id(t, other)
						spend(t, w)
						if delay > 0 {
							is(t, "during the delay", failure(task.Do(context.Background(), w, (*till).Sum)), task.ErrFailed)
							time.Sleep(delay)
							synctest.Wait()
						}
						equal(t, "a fresh state", result(t, task.Ask(context.Background(), w, (*till).Add, 1)), 1)
						equal(t, "the other has its state", id(t, other) == otherID, scope == supervisor.OneForOne)
					}
					switch scope {
					case supervisor.OneForOne:
						g.looks(tree, "t running [a running, w running 3, other running]")
					case supervisor.OneForAll:
						g.looks(tree, "t running [a running 3, w running 3, other running 3]")
					default:
						g.looks(tree, "t running [a running, w running 3, other running 3]")
					}
					g.stop(tree)
					s.settled()
					otherShop.settled()
				})
			})
		}
	}
}

func TestFailedTaskIsRestartedByItsTree(t *testing.T) {
	inGrove(t, func(g *grove) {
		p := task.MustNew(fragile, task.System(g.sys), task.Name("p"), task.Workers(2), once)
		tree := g.grow("t", supervisor.Policy{}, p)
		for range 3 {
			for range 2 {
				is(t, "panic", failure(p.Submit(context.Background(), -1)), errBoom)
				synctest.Wait()
			}
			equal(t, "result", result(t, p.Submit(context.Background(), 2)), 2)
		}
		g.looks(tree, "t running [p running 3]")
		g.stop(tree)
	})
}

func TestFailedPoolIsStoppedByItsTree(t *testing.T) {
	inGrove(t, func(g *grove) {
		w, s := g.keeper("w", once)
		other, otherShop := g.keeper("other")
		tree := g.grow("t", supervisor.Policy{Decide: func(err error) supervisor.Directive {
			is(t, "what the tree hears", err, task.ErrFailed)
			is(t, "its cause", err, errBoom)
			return supervisor.Stop
		}}, w, other)
		spend(t, w)
		is(t, "later", failure(task.Do(context.Background(), w, (*till).Sum)), task.ErrFailed)
		equal(t, "the other", result(t, task.Ask(context.Background(), other, (*till).Add, 1)), 1)
		g.looks(tree, "t running [w stopped, other running]")
		s.settled()
		is(t, "Restart", tree.Restart(context.Background(), "w"), nil)
		equal(t, "after that", result(t, task.Ask(context.Background(), w, (*till).Add, 1)), 1)
		g.looks(tree, "t running [w running 1, other running]")
		g.stop(tree)
		s.settled()
		otherShop.settled()
	})
}

func TestFailedPoolIsResumedByItsTree(t *testing.T) {
	inGrove(t, func(g *grove) {
		w, s := g.keeper("w", once)
		tree := g.grow("t", supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Resume }}, w)
		spend(t, w)
		equal(t, "later", result(t, task.Ask(context.Background(), w, (*till).Add, 1)), 1)
		g.looks(tree, "t running [w running]")
		g.stop(tree)
		s.settled()
	})
}

func TestSpentBudgetOfATreeStopsEverythingInOrder(t *testing.T) {
	inGrove(t, func(g *grove) {
		w, s := g.keeper("w", once)
		first, firstShop := g.keeper("first")
		p, at := g.passer("p", task.Workers(1))
		tree := g.grow("t", supervisor.Policy{MaxRestarts: 2, Within: time.Hour}, first, g.fuse("a"), w, p, g.fuse("b"))
		id(t, first)
		running, waiting := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
		<-at.started
		spend(t, w)
		spend(t, w)
		g.noted()
		spend(t, w)
		err := tree.Wait(context.Background())
		is(t, "Wait", err, supervisor.ErrFailed)
		is(t, "its cause", err, errBoom)
		isStopped(t, "running call of p", failure(running), true)
		isStopped(t, "waiting call of p", failure(waiting), false)
		got := g.noted()
		if !strings.HasSuffix(got, "-b -w -a -first") {
			t.Errorf("order: got %q", got)
		}
		is(t, "later", failure(task.Do(context.Background(), w, (*till).Sum)), task.ErrFailed)
		is(t, "later", failure(task.Do(context.Background(), first, (*till).Sum)), task.ErrStopped)
		g.looks(tree, "t failed [first stopped, a stopped, w stopped 2, p stopped, b stopped]")
		s.settled()
		firstShop.settled()
		is(t, "Start again", tree.Start(g.sys), nil)
		equal(t, "after that", result(t, task.Ask(context.Background(), w, (*till).Add, 1)), 1)
		equal(t, "after that", result(t, task.Ask(context.Background(), first, (*till).Add, 1)), 1)
		g.stop(tree)
		s.settled()
		firstShop.settled()
	})
}

func TestFailedPoolThreeTreesDeep(t *testing.T) {
	inGrove(t, func(g *grove) {
		w, s := g.keeper("w", once)
		calm, calmShop := g.keeper("calm")
		p, _ := g.passer("p")
		policy := supervisor.Policy{MaxRestarts: 1, Within: time.Hour}
		low := g.tree("low", policy, calm, w)
		mid := g.tree("mid", policy, p, low)
		top := g.grow("top", policy, g.fuse("a"), mid)
		for i, want := range []string{
			"top running [a running, mid running [p running, low running [calm running, w running 1]]]",
			"top running [a running, mid running [p running, low running 1 [calm running, w running]]]",
			"top running [a running, mid running [p running, low running 1 [calm running, w running 1]]]",
			"top running [a running, mid running 1 [p running, low running [calm running, w running]]]",
		} {
			calmID := id(t, calm)
			spend(t, w)
			g.looks(top, want)
			equal(t, "the pool beside it was restarted", id(t, calm) != calmID, i%2 == 1)
			equal(t, "a fresh state", result(t, task.Ask(context.Background(), w, (*till).Add, 1)), 1)
		}
		for range 4 {
			spend(t, w)
		}
		err := top.Wait(context.Background())
		is(t, "Wait", err, supervisor.ErrFailed)
		is(t, "its cause", err, errBoom)
		for _, f := range []error{
			failure(task.Do(context.Background(), w, (*till).Sum)), failure(task.Do(context.Background(), calm, (*till).Sum)), failure(p.Submit(context.Background(), 1)),
		} {
			if !errors.Is(f, task.ErrStopped) && !errors.Is(f, task.ErrFailed) {
				t.Errorf("later: %v", f)
			}
		}
		s.settled()
		calmShop.settled()
	})
}

func TestInitThatFailsForGoodIsTheTreesToDecide(t *testing.T) {
	inGrove(t, func(g *grove) {
		w, s := g.keeper("w", once)
		tree := g.grow("t", supervisor.Policy{MaxRestarts: 1, Within: time.Hour}, w)
		s.broken.Store(2)
		for range 2 {
			is(t, "call", failure(task.Do(context.Background(), w, (*till).Sum)), errBoom)
			synctest.Wait()
		}
		equal(t, "after the tree's restart", result(t, task.Ask(context.Background(), w, (*till).Add, 1)), 1)
		g.looks(tree, "t running [w running 1]")
		is(t, "crash", failure(task.Do(context.Background(), w, (*till).Crash)), errBoom)
		synctest.Wait()
		s.broken.Store(1)
		is(t, "second failure", failure(task.Do(context.Background(), w, (*till).Crash)), errBoom)
		is(t, "Wait", tree.Wait(context.Background()), errBoom)
		s.settled()
	})
}

// In each mode of running members, a spent budget reaches the tree.
func TestEveryKindOfPoolHandsItsFailureUp(t *testing.T) {
	for name, opts := range memberEngines() {
		if name == "limits" || name == "Inline" { // an Inline worker has no actor that could fail
			continue
		}
		t.Run(name, func(t *testing.T) {
			inGrove(t, func(g *grove) {
				w, s := g.keeper("w", append(opts, once)...)
				tree := g.grow("t", supervisor.Policy{}, w)
				for i := range 3 {
					for range 2 {
						is(t, "crash", failure(task.AskKey(context.Background(), w, "k", func(k *till, _ context.Context, _ int) (int, error) { panic(errBoom) }, 0)), errBoom)
						synctest.Wait()
					}
					equal(t, "restarts", tree.Snapshot().Children[0].Restarts, i+1)
					equal(t, "a fresh state", result(t, task.AskKey(context.Background(), w, "k", (*till).Add, 1)), 1)
				}
				g.stop(tree)
				s.settled()
			})
		})
	}
}

func TestEventsAndLogOfAPoolInATree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		sys := actor.NewSystem(actor.Logger(slog.New(slog.NewTextHandler(&log, nil))))
		g := &grove{T: t, sys: sys}
		events, dog := listen(sys), watch(sys)
		w, s := g.keeper("w", once)
		tree := g.grow("t", supervisor.Policy{MaxRestarts: 1, Within: time.Hour}, w)
		spend(t, w)
		spend(t, w)
		is(t, "Wait", tree.Wait(context.Background()), supervisor.ErrFailed)
		synctest.Wait()
		equalSlices(t, "events", events.seen(), []string{
			"t/w started", "t/ started", "t/w failed", "t/w restarting", "t/w restarted", "t/w failed", "t/w stopped", "t/ gave up", "t/ stopped",
		})
		is(t, "errors of the events", events.failures(), task.ErrFailed)
		is(t, "errors of the events", events.failures(), errBoom)
		equal(t, "the engine's events", len(dog.seen()), 6) // 2 of the worker each time, 1 of the pool
		for _, line := range []string{
			`level=WARN msg="supervisor: failed" tree=t child=w error="`,
			`level=INFO msg="supervisor: restarting" tree=t child=w error="`,
			`level=INFO msg="supervisor: restarted" tree=t child=w restarts=1`,
			`level=ERROR msg="supervisor: gave up" tree=t error="`,
			`level=ERROR msg="troupe: a pool gave up" worker=w error="`,
		} {
			if !strings.Contains(log.String(), line) {
				t.Errorf("%s is missing in\n%s", line, log.String())
			}
		}
		s.settled()
		time.Sleep(time.Millisecond)
	})
}
