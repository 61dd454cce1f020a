package task_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// grove is a System in which trees are tried, with a record of what their
// children do.
type grove struct {
	*testing.T
	sys *actor.System

	mu    sync.Mutex
	lines []string
}

// inGrove runs body in a bubble. Nothing may be left in the System after it.
func inGrove(t *testing.T, body func(g *grove)) {
	t.Helper()
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		before := registered(sys)
		body(&grove{T: t, sys: sys})
		time.Sleep(time.Second)
		snap := sys.Snapshot()
		equal(t, "tasks left", len(snap.Tasks), 0)
		equal(t, "trees left", len(snap.Trees), 0)
		equal(t, "units left", len(sys.Units().Units()), 0)
		equal(t, "registry entries left", registered(sys)-before, 0)
	})
}

func (g *grove) note(line string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines = append(g.lines, line)
}

// noted returns what was noted since the last time, when all is still.
func (g *grove) noted() string {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	s := strings.Join(g.lines, " ")
	g.lines = nil
	return s
}

func (g *grove) tree(name string, p supervisor.Policy, children ...supervisor.Child) *supervisor.Tree {
	g.Helper()
	tree, err := supervisor.New(name, p, children...)
	if err != nil {
		g.Fatal(err)
	}
	return tree
}

func (g *grove) grow(name string, p supervisor.Policy, children ...supervisor.Child) *supervisor.Tree {
	g.Helper()
	tree := g.tree(name, p, children...)
	if err := tree.Start(g.sys); err != nil {
		g.Fatal(err)
	}
	return tree
}

func (g *grove) stop(tree *supervisor.Tree) {
	g.Helper()
	is(g.T, "Stop", tree.Stop(context.Background()), nil)
	is(g.T, "Wait after Stop", tree.Wait(context.Background()), nil)
}

// fuse is a service that fails when it is blown.
type fuse struct {
	supervisor.Child
	blow chan error
}

func (g *grove) fuse(name string) *fuse {
	f := &fuse{blow: make(chan error)}
	f.Child = supervisor.Service(name, func(ctx context.Context) error {
		g.note("+" + name)
		select {
		case err := <-f.blow:
			g.note("!" + name)
			return err
		case <-ctx.Done():
			g.note("-" + name)
			return nil
		}
	})
	return f
}

// player is an actor that notes its lives, and panics at errors.
func (g *grove) player(name string) supervisor.Child {
	return supervisor.Actor(name, proto.PropsFromFunc(func(ctx proto.Context) {
		switch m := ctx.Message().(type) {
		case *proto.Started:
			g.note("+" + name)
		case *proto.Stopped, *proto.Restarting:
			g.note("-" + name)
		case error:
			panic(m)
		}
	}))
}

// keeper is a worker that notes when states are opened and closed.
func (g *grove) keeper(name string, opts ...task.Option) (*task.Worker[*till], *shop) {
	s := newShop(g.T)
	s.onOpen = func(context.Context, *till) error { g.note("+" + name); return nil }
	s.onClose = func(*till) error { g.note("-" + name); return nil }
	return task.MustNewWorker(s.open, append(opts, task.System(g.sys), task.Name(name))...), s
}

// passer is a task that waits at a gate.
func (g *grove) passer(name string, opts ...task.Option) (*task.Task[int, int], *gate) {
	at := newGate()
	return task.MustNew(at.pass, append(opts, task.System(g.sys), task.Name(name))...), at
}

// shape is a tree as text: "top running [a running 1, b stopped]".
func shape(n supervisor.Node) string {
	s := n.Name + " " + n.State
	if n.Restarts > 0 {
		s += fmt.Sprint(" ", n.Restarts)
	}
	var below []string
	for _, c := range n.Children {
		below = append(below, shape(c))
	}
	if len(below) > 0 {
		s += " [" + strings.Join(below, ", ") + "]"
	}
	return s
}

func (g *grove) looks(tree *supervisor.Tree, want string) {
	g.Helper()
	synctest.Wait()
	equal(g.T, "tree", shape(tree.Snapshot()), want)
}

func id(t *testing.T, w *task.Worker[*till]) int64 {
	t.Helper()
	return result(t, task.Do(context.Background(), w, (*till).ID))
}

// forest is a tree of everything, three deep: top [a, db, mid [calc, b, low
// [keep, p]], last], with a running and a waiting call in each pool.
type forest struct {
	*grove
	top   *supervisor.Tree
	pools []string // in start order
	shops []*shop
	gates map[string]*gate
	calls map[string][]*task.Future[int]
}

func newForest(g *grove) *forest {
	f := &forest{grove: g, gates: make(map[string]*gate), calls: make(map[string][]*task.Future[int])}
	db, dbShop := g.keeper("db")
	keep, keepShop := g.keeper("keep")
	calc, calcGate := g.passer("calc", task.Workers(1))
	last, lastGate := g.passer("last", task.Workers(1), task.OnDemand())
	low := g.tree("low", supervisor.Policy{}, keep, g.player("p"))
	mid := g.tree("mid", supervisor.Policy{}, calc, g.fuse("b"), low)
	f.top = g.grow("top", supervisor.Policy{}, g.fuse("a"), db, mid, last)
	f.pools, f.shops = []string{"db", "calc", "keep", "last"}, []*shop{dbShop, keepShop}
	f.gates["db"], f.gates["keep"], f.gates["calc"], f.gates["last"] = dbShop.gate, keepShop.gate, calcGate, lastGate
	ctx := context.Background()
	for i := range 2 {
		f.calls["db"] = append(f.calls["db"], task.Ask(ctx, db, (*till).Pass, i))
		f.calls["keep"] = append(f.calls["keep"], task.Ask(ctx, keep, (*till).Pass, i))
		f.calls["calc"] = append(f.calls["calc"], calc.Submit(ctx, i))
		f.calls["last"] = append(f.calls["last"], last.Submit(ctx, i))
	}
	return f
}

func (f *forest) settled() {
	f.Helper()
	for _, s := range f.shops {
		equal(f.T, "states opened", s.opened.Load(), 1)
		s.settled()
	}
}

func TestTreeOfEverythingServesAndDrainsInReverseOrder(t *testing.T) {
	inGrove(t, func(g *grove) {
		events := listen(g.sys)
		f := newForest(g)
		synctest.Wait()
		equalSlices(t, "starts", events.seen(), []string{
			"top/a started", "top/db started", "mid/calc started", "mid/b started", "low/keep started", "low/p started",
			"low/ started", "mid/low started", "mid/ started", "top/mid started", "top/last started", "top/ started",
		})
		stopped := make(chan error, 1)
		f.noted()
		go func() { stopped <- f.top.Stop(context.Background()) }()
		for _, want := range []struct{ pool, noted string }{{"last", ""}, {"keep", "-p"}, {"calc", "-keep -b"}, {"db", ""}} {
			equal(t, "before "+want.pool, f.noted(), want.noted)
			for i, c := range f.calls[want.pool] {
				equal(t, fmt.Sprintf("call %d of %s done", i, want.pool), done(c), false)
			}
			close(f.gates[want.pool].open)
			for i, c := range f.calls[want.pool] {
				equal(t, "result of "+want.pool, result(t, c), i)
			}
		}
		is(t, "Stop", <-stopped, nil)
		equal(t, "at the end", f.noted(), "-db -a")
		f.settled()
		f.looks(f.top, "top stopped [a stopped, db stopped, mid stopped [calc stopped, b stopped, low stopped [keep stopped, p stopped]], last stopped]")
	})
}

func TestTreeStopEndsCallsWhenItsCtxDoes(t *testing.T) {
	inGrove(t, func(g *grove) {
		f := newForest(g)
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Minute, errCause)
		defer cancel()
		start := time.Now()
		err := f.top.Stop(ctx)
		is(t, "Stop", err, errCause)
		for _, name := range []string{"a", "db", "mid/calc", "mid/b", "mid/low/keep", "mid/low/p", "last"} {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%s is missing in %v", name, err)
			}
		}
		equal(t, "after", time.Since(start), time.Minute)
		for _, name := range f.pools {
			isStopped(t, "running call of "+name, failure(f.calls[name][0]), true)
			if name == "last" {
				isStopped(t, "second call of "+name, failure(f.calls[name][1]), false)
				continue
			}
			isStopped(t, "waiting call of "+name, failure(f.calls[name][1]), false)
		}
		is(t, "Wait", f.top.Wait(context.Background()), nil)
		equal(t, "all over after", time.Since(start), time.Minute)
		f.settled()
	})
}

func TestTaskInUseCannotBeGivenToATree(t *testing.T) {
	inGrove(t, func(g *grove) {
		used := task.MustNew(sq, task.System(g.sys), task.Name("used"))
		equal(t, "result", result(t, used.Submit(context.Background(), 3)), 9)
		w, s := g.keeper("first")
		tree := g.tree("t", supervisor.Policy{}, g.fuse("a"), w, used, g.fuse("b"))
		err := tree.Start(g.sys)
		if err == nil || !strings.Contains(err.Error(), `"used"`) || !strings.Contains(err.Error(), "lives already") {
			t.Errorf("Start: got %v", err)
		}
		equal(t, "what happened", g.noted(), "+a -a")
		equal(t, "the task in use", result(t, used.Submit(context.Background(), 4)), 16)
		is(t, "the other", failure(task.Do(context.Background(), w, (*till).Sum)), task.ErrStopped)
		equal(t, "trees", len(g.sys.Snapshot().Trees), 0)
		used.Stop()
		err = tree.Start(g.sys)
		is(t, "Start with a stopped task", err, task.ErrStopped)
		w.Stop()
		s.settled()
	})
}

func TestTreeWorksWithEveryKindOfPool(t *testing.T) {
	for name, opts := range memberEngines() {
		if name == "limits" {
			continue // the Set outlives the tree
		}
		t.Run(name, func(t *testing.T) {
			inGrove(t, func(g *grove) {
				w, s := g.keeper("w", opts...)
				a := g.fuse("a")
				tree := g.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, a, w)
				for range 3 {
					ids := id(t, w)
					a.blow <- errBoom
					synctest.Wait()
					if id(t, w) == ids {
						t.Error("the state is that of before")
					}
				}
				g.looks(tree, "t running [a running 3, w running 3]")
				g.stop(tree)
				s.settled()
			})
		})
	}
}

// listener notes the events of trees.
type listener struct {
	mu    sync.Mutex
	lines []string
	errs  []error
}

func listen(sys *actor.System) *listener {
	l := &listener{}
	sys.ActorSystem().EventStream.Subscribe(func(e any) {
		if e, ok := e.(supervisor.Event); ok {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.lines = append(l.lines, fmt.Sprintf("%s/%s %v", e.Tree, e.Child, e.Kind))
			l.errs = append(l.errs, e.Err)
		}
	})
	return l
}

func (l *listener) seen() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

func (l *listener) failures() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.errs...)
}

func TestTaskNamedAfterItsFunctionCanBeInATree(t *testing.T) {
	inGrove(t, func(g *grove) {
		p := task.MustNew(sq, task.System(g.sys))
		if !strings.Contains(p.Name(), "/") {
			t.Fatalf("name %q", p.Name())
		}
		a := g.fuse("a")
		tree := g.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, a, p)
		for i := range 3 {
			equal(t, "result", result(t, p.Submit(context.Background(), 3)), 9)
			a.blow <- errBoom
			synctest.Wait()
			equal(t, "restarts", tree.Snapshot().Children[1].Restarts, i+1)
		}
		equal(t, "PID", p.PID().Id, "tree/t/"+strings.ReplaceAll(p.Name(), "/", "."))
		is(t, "Restart", tree.Restart(context.Background(), p.Name()), nil)
		is(t, "Remove", tree.Remove(context.Background(), p.Name()), nil)
		g.stop(tree)
	})
}
