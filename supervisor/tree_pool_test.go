package supervisor_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/supervisor"
)

// pool is what a tree may see of a task: an actor that records what happens to
// it, behind a unit that can be halted.
type pool struct {
	*rig
	child supervisor.Child
	work  time.Duration // that a halt has to wait for

	mu     sync.Mutex
	id     string
	halted int
}

// never is the work of a pool that does not halt.
const never = 1000 * time.Hour

func (r *rig) pool(name string, work time.Duration) *pool {
	p := &pool{rig: r, work: work, child: r.player(name)}
	if _, err := r.sys.Units().Add(name, "", true, p); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.sys.Units().Remove(name, p) })
	p.child.Props().Configure(proto.WithOnInit(func(ctx proto.Context) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.id = ctx.Self().Id
	}))
	return p
}

func (p *pool) Name() string        { return p.child.Name() }
func (p *pool) Props() *proto.Props { return p.child.Props() }
func (p *pool) Describe() any       { return nil }

func (p *pool) Stop(context.Context) error {
	p.sys.Units().Remove(p.Name(), p)
	return nil
}

func (p *pool) Owns(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.id == id
}

func (p *pool) Halt(done func()) {
	p.note("halt:" + p.Name())
	p.mu.Lock()
	p.halted++
	p.mu.Unlock()
	if p.work == 0 {
		done() // on the caller's goroutine
		return
	}
	time.AfterFunc(p.work, func() { p.note("halted:" + p.Name()); done() })
}

func (p *pool) Continue() {
	p.mu.Lock()
	p.halted--
	p.mu.Unlock()
	p.note("continue:" + p.Name())
}

func (p *pool) check() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.halted != 0 {
		p.t.Errorf("%s is halted %d times", p.Name(), p.halted)
	}
}

func TestPoolsInScopeAreHaltedNotStopped(t *testing.T) {
	fake(t, func(r *rig) {
		policy := supervisor.Policy{Scope: supervisor.OneForAll, Backoff: supervisor.Backoff{Initial: time.Second}}
		p, q := r.pool("p", 4*time.Second), r.pool("q", 0)
		tree := r.grow("t", policy, r.player("a"), p, r.player("b"), q)
		r.send("t/b", errBoom)
		r.sleep(4*time.Second - 1)
		r.expectDone("halt:q", "halt:p")
		r.sleep(1)
		r.expectDone("halted:p", "-a", "-b")
		r.sleep(time.Second)
		r.expectSet("+a continue:p +b continue:q")
		r.expectTree(tree, `t running [a running 1, p running 1, b running 1 "boom", q running 1]`)
		p.check()
		q.check()
	})
}

func TestFailedPoolIsRestartedInPlace(t *testing.T) {
	fake(t, func(r *rig) {
		p := r.pool("p", 0)
		tree := r.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, r.player("a"), p, r.player("b"))
		r.send("t/p", errBoom)
		r.send("t/p", "kept")
		r.expectSet("-b -a +a -p +p +b p:kept")
		r.expectTree(tree, `t running [a running 1, p running 1 "boom", b running 1]`)
	})
}

func TestPoolThatFailsWhileItHalts(t *testing.T) {
	fake(t, func(r *rig) {
		p := r.pool("p", time.Hour)
		tree := r.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, r.player("a"), p)
		r.send("t/a", errBoom)
		synctest.Wait()
		r.send("t/p", errBoom)
		r.expectSet("halt:p -a +a -p +p continue:p")
		r.sleep(time.Hour) // its late answer means nothing
		r.expectTree(tree, `t running [a running 1 "boom", p running 1 "boom"]`)
		p.check()
	})
}

func TestHaltedPoolIsDrainedAtStop(t *testing.T) {
	fake(t, func(r *rig) {
		policy := supervisor.Policy{Scope: supervisor.OneForAll, Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}
		p, slow := r.pool("p", 0), r.pool("slow", time.Hour)
		tree := r.grow("t", policy, r.player("a"), slow, p)
		r.send("t/a", errBoom)
		r.expectDone("halt:p", "halt:slow")
		r.stop(tree)
		r.expectDone("continue:p", "-p", "continue:slow", "-slow", "-a")
		r.expectTree(tree, `t stopped [a stopped "boom", slow stopped, p stopped]`)
		r.sleep(time.Hour)
		p.check()
		slow.check()
	})
}

func TestPoolIsRestartedByNameWithoutAStop(t *testing.T) {
	fake(t, func(r *rig) {
		p := r.pool("p", time.Minute)
		tree := r.grow("t", supervisor.Policy{}, p)
		if err := tree.Restart(context.Background(), "p"); err != nil {
			r.t.Error(err)
		}
		r.expectDone("halt:p", "halted:p", "continue:p")
		r.expectTree(tree, `t running [p running 1]`)
		p.check()
	})
}

func TestHaltedPoolCanBeRemoved(t *testing.T) {
	fake(t, func(r *rig) {
		policy := supervisor.Policy{Scope: supervisor.OneForAll, Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}
		p := r.pool("p", 0)
		tree := r.grow("t", policy, r.player("a"), p)
		r.send("t/a", errBoom)
		r.expectDone("halt:p", "-a")
		if err := tree.Remove(context.Background(), "p"); err != nil {
			r.t.Error(err)
		}
		r.expectDone("continue:p", "-p")
		r.sleep(time.Hour)
		r.expectTree(tree, `t running [a running 1 "boom"]`)
	})
}

// As b waits for a call of a that waits for b, which goes on only after a.
func TestPoolThatHaltsTooLongIsStopped(t *testing.T) {
	fake(t, func(r *rig) {
		warned := r.warnings()
		policy := supervisor.Policy{Scope: supervisor.OneForAll, Backoff: supervisor.Backoff{Initial: time.Second}}
		a, b := r.pool("a", never), r.pool("b", 0)
		tree := r.grow("t", policy, r.player("x"), a, b)
		r.send("t/x", errBoom)
		r.sleep(5*time.Second - 1)
		r.expectDone("halt:b", "halt:a")
		if n := len(warned()); n > 0 {
			r.t.Errorf("%d warnings before the time", n)
		}
		r.sleep(1)
		r.expectSet("-a continue:a -x")
		if got := warned(); len(got) != 1 || !strings.Contains(got[0], "child=a") {
			r.t.Errorf("warnings: %q", got)
		}
		r.sleep(time.Second)
		r.expectSet("+x +a continue:b")
		r.expectTree(tree, `t running [x running 1 "boom", a running 1, b running 1]`)
		a.check()
		b.check()
	})
}

func TestRestartByNameOfAPoolIsBoundedWhenItsScopeTakesItOver(t *testing.T) {
	fake(t, func(r *rig) {
		a := r.pool("a", never)
		tree := r.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, r.player("x"), a)
		restarted := make(chan error, 1)
		go func() { restarted <- tree.Restart(context.Background(), "a") }()
		r.sleep(time.Hour)
		r.expectDone("halt:a") // only its ctx bounds a command
		r.send("t/x", errBoom)
		r.sleep(5 * time.Second)
		r.expectSet("-a continue:a -x +x +a")
		if err := <-restarted; err != nil {
			r.t.Error(err)
		}
		r.expectTree(tree, `t running [x running 1 "boom", a running 1]`)
	})
}

func TestPoolUnderAnotherNameIsHalted(t *testing.T) {
	fake(t, func(r *rig) {
		p := r.pool("p", 0)
		tree := r.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, supervisor.Actor("other", p.Props()), r.player("x"))
		r.send("t/x", errBoom)
		r.expectSet("halt:p -x continue:p +x")
		r.expectTree(tree, `t running [other running 1, x running 1 "boom"]`)
	})
}

// warnings records what the system logs at Warn from now on, and returns how to
// get it.
func (r *rig) warnings() func() []string {
	var (
		mu    sync.Mutex
		lines []string
	)
	r.log.Store(slog.NewTextHandler(writer(func(line []byte) {
		mu.Lock()
		defer mu.Unlock()
		if !strings.Contains(string(line), "supervisor: failed") {
			lines = append(lines, string(line))
		}
	}), &slog.HandlerOptions{Level: slog.LevelWarn}))
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(lines)
	}
}

type writer func(line []byte)

func (w writer) Write(line []byte) (int, error) {
	w(line)
	return len(line), nil
}
