package task_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestRestartOfAPoolByNameKeepsWhatWaits(t *testing.T) {
	inGrove(t, func(g *grove) {
		w, s := g.keeper("w")
		other, otherShop := g.keeper("other")
		tree := g.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, other, w)
		ctx := context.Background()
		otherID := id(t, other)
		running, waiting := task.Ask(ctx, w, (*till).Pass, 7), task.Do(ctx, w, (*till).ID)
		<-s.gate.started
		restarted := make(chan error, 1)
		go func() { restarted <- tree.Restart(ctx, "w") }()
		synctest.Wait()
		equal(t, "Restart has returned", len(restarted), 0)
		s.gate.open <- struct{}{}
		equal(t, "running call", result(t, running), 7)
		is(t, "Restart", <-restarted, nil)
		equal(t, "state of the waiting call", result(t, waiting), 2)
		equal(t, "state of the other", id(t, other), otherID)
		g.looks(tree, "t running [other running, w running 1]")
		g.stop(tree)
		s.settled()
		otherShop.settled()
	})
}

func TestRestartOfAPoolStopsWhatRunsWhenItsCtxEnds(t *testing.T) {
	inGrove(t, func(g *grove) {
		w, s := g.keeper("w")
		tree := g.grow("t", supervisor.Policy{}, w)
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Minute, errCause)
		defer cancel()
		running := task.Ask(context.Background(), w, (*till).Pass, 7)
		<-s.gate.started
		is(t, "Restart", tree.Restart(ctx, "w"), errCause)
		synctest.Wait()
		equal(t, "running call ended", done(running), true)
		isStopped(t, "running call", failure(running), true)
		equal(t, "state", id(t, w), 2)
		g.looks(tree, "t running [w running 1]")
		g.stop(tree)
		s.settled()
	})
}

func TestRestartOfANestedTreeByNameBringsItsPoolsBack(t *testing.T) {
	inGrove(t, func(g *grove) {
		w, s := g.keeper("w")
		p, _ := g.passer("p", task.Workers(1))
		low := g.tree("low", supervisor.Policy{}, w, p, g.fuse("a"))
		tree := g.grow("t", supervisor.Policy{}, low)
		for i := range 3 {
			equal(t, "state", id(t, w), int64(i+1))
			waiting := task.Ask(context.Background(), w, (*till).Pass, i)
			<-s.gate.started
			restarted := make(chan error, 1)
			go func() { restarted <- tree.Restart(context.Background(), "low") }()
			synctest.Wait()
			s.gate.open <- struct{}{}
			is(t, "Restart", <-restarted, nil)
			equal(t, "call that ran", result(t, waiting), i)
		}
		equal(t, "state", id(t, w), 4)
		g.looks(tree, "t running [low running 3 [w running, p running, a running]]")
		g.stop(tree)
		s.settled()
	})
}

func TestPoolsAreRemovedAndAddedWhileTheTreeRuns(t *testing.T) {
	inGrove(t, func(g *grove) {
		tree := g.grow("t", supervisor.Policy{}, g.fuse("a"))
		ctx := context.Background()
		var shops []*shop
		for range 3 {
			w, s := g.keeper("w")
			shops = append(shops, s)
			is(t, "Add", tree.Add(w), nil)
			equal(t, "result", result(t, task.Ask(ctx, w, (*till).Add, 3)), 3)
			running, waiting := task.Ask(ctx, w, (*till).Pass, 7), task.Ask(ctx, w, (*till).Add, 4)
			<-s.gate.started
			removed := make(chan error, 1)
			go func() { removed <- tree.Remove(ctx, "w") }()
			synctest.Wait()
			isStopped(t, "new call", failure(task.Ask(ctx, w, (*till).Add, 1)), false)
			s.gate.open <- struct{}{}
			equal(t, "running call", result(t, running), 7)
			equal(t, "waiting call", result(t, waiting), 7)
			is(t, "Remove", <-removed, nil)
			g.looks(tree, "t running [a running]")
			isStopped(t, "later call", failure(task.Ask(ctx, w, (*till).Add, 1)), false)
			s.settled()
		}
		w, s := g.keeper("w")
		is(t, "Add", tree.Add(w), nil)
		running := task.Ask(ctx, w, (*till).Pass, 7)
		<-s.gate.started
		short, cancel := context.WithTimeoutCause(ctx, time.Second, errCause)
		defer cancel()
		is(t, "Remove with a ctx that ends", tree.Remove(short, "w"), errCause)
		isStopped(t, "running call", failure(running), true)
		g.stop(tree)
		s.settled()
		for _, s := range shops {
			s.settled()
		}
	})
}

func TestPoolStoppedByItsOwnerIsNotRestarted(t *testing.T) {
	for name, end := range map[string]func(*task.Worker[*till]){
		"Stop":  func(w *task.Worker[*till]) { w.Stop() },
		"Drain": func(w *task.Worker[*till]) { _, _ = w.Drain(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			inGrove(t, func(g *grove) {
				w, s := g.keeper("w")
				other, otherShop := g.keeper("other")
				a := g.fuse("a")
				low := g.tree("low", supervisor.Policy{Scope: supervisor.OneForAll, MaxRestarts: 3, Within: time.Hour}, other, w, a)
				b := g.fuse("b")
				tree := g.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, b, low)
				id(t, w)
				end(w)
				g.looks(tree, "t running [b running, low running [other running, w stopped, a running]]")
				a.blow <- errBoom // a restart of its scope leaves it alone
				g.looks(tree, "t running [b running, low running [other running 1, w stopped, a running 1]]")
				is(t, "Restart by name", low.Restart(context.Background(), "w"), task.ErrStopped)
				g.looks(tree, "t running [b running, low running [other running 1, w stopped, a running 1]]")
				b.blow <- errBoom // so does one of its tree
				synctest.Wait()
				equal(t, "the other", result(t, task.Ask(context.Background(), other, (*till).Add, 1)), 1)
				g.looks(tree, "t running [b running 1, low running 1 [other running, w stopped, a running]]")
				isStopped(t, "call", failure(task.Do(context.Background(), w, (*till).Sum)), false)
				g.stop(tree)
				s.settled()
				otherShop.settled()
			})
		})
	}
}

func TestPoolDrainedByItsOwnerDuringARestart(t *testing.T) {
	inGrove(t, func(g *grove) {
		w, s := g.keeper("w")
		a := g.fuse("a")
		tree := g.grow("t", supervisor.Policy{Scope: supervisor.OneForAll, Backoff: supervisor.Backoff{Initial: time.Minute, Max: time.Minute}}, a, w)
		id(t, w)
		a.blow <- errBoom
		synctest.Wait()
		waiting := task.Ask(context.Background(), w, (*till).Add, 1)
		start := time.Now()
		r, err := w.Drain(context.Background())
		is(t, "Drain", err, nil)
		equal(t, "report", r, task.Report{Finished: 1})
		equal(t, "Drain returns after", time.Since(start), time.Minute)
		equal(t, "call that waited", result(t, waiting), 1)
		g.looks(tree, "t running [a running 1, w stopped 1]")
		a.blow <- errBoom
		synctest.Wait()
		time.Sleep(time.Minute)
		g.looks(tree, "t running [a running 2, w stopped 1]")
		g.stop(tree)
		s.settled()
	})
}

func TestPoolStoppedByItsOwnerDuringARestart(t *testing.T) {
	inGrove(t, func(g *grove) {
		w, s := g.keeper("w")
		a := g.fuse("a")
		tree := g.grow("t", supervisor.Policy{Scope: supervisor.OneForAll, Backoff: supervisor.Backoff{Initial: time.Minute, Max: time.Minute}}, a, w)
		running := task.Ask(context.Background(), w, (*till).Pass, 1)
		<-s.gate.started
		a.blow <- errBoom
		synctest.Wait()
		waiting := task.Ask(context.Background(), w, (*till).Add, 1)
		w.Stop()
		isStopped(t, "running call", failure(running), true)
		isStopped(t, "waiting call", failure(waiting), false)
		time.Sleep(time.Minute)
		g.looks(tree, "t running [a running 1, w stopped]")
		g.stop(tree)
		s.settled()
	})
}

// In real time: when the tree says that a pool is gone, all of it is.
func TestNameOfARemovedPoolIsFreeAtOnce(t *testing.T) {
	t.Parallel()
	for name, opts := range memberEngines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sys := newSystem()
			tree, err := supervisor.New("t", supervisor.Policy{})
			is(t, "New", err, nil)
			is(t, "Start", tree.Start(sys), nil)
			s := newShop(t)
			for range 100 {
				w, err := task.NewWorker(s.open, append(opts, task.System(sys), task.Name("w"))...)
				if err != nil {
					t.Fatal(err)
				}
				is(t, "Add", tree.Add(w), nil)
				result(t, task.Ask(context.Background(), w, (*till).Add, 1))
				is(t, "Remove", tree.Remove(context.Background(), "w"), nil)
				s.settled()
			}
			is(t, "Stop", sys.Stop(context.Background()), nil)
		})
	}
}

// In real time: a pool that is stopped hard makes no worker any more, which
// nobody would tell to stop.
func TestPoolThatIsStoppedWhileItMakesWorkersEnds(t *testing.T) {
	t.Parallel()
	sys := newSystem()
	tree, err := supervisor.New("t", supervisor.Policy{})
	is(t, "New", err, nil)
	is(t, "Start", tree.Start(sys), nil)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for i := range 300 {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys), task.Workers(4), task.Name("w"))
		is(t, "Add", tree.Add(w), nil)
		for j := range 1 + i%8 {
			task.Ask(context.Background(), w, (*till).Add, j)
		}
		_ = tree.Remove(over, "w")
		for tree.Snapshot().Children != nil {
			task.Ask(context.Background(), w, (*till).Add, 1)
			runtime.Gosched()
		}
		s.settled()
	}
	is(t, "Stop", tree.Stop(context.Background()), nil)
}
