package supervisor_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
)

// rig is a system with a record of what trees in it tell and children do.
type rig struct {
	t   testing.TB
	sys *actor.System
	log swap // where the system logs

	mu    sync.Mutex
	lines []string
}

// swap is a log handler that can be exchanged.
type swap struct{ to atomic.Pointer[slog.Handler] }

func (s *swap) Store(h slog.Handler) { s.to.Store(&h) }
func (s *swap) now() slog.Handler    { return *s.to.Load() }

func (s *swap) Enabled(ctx context.Context, l slog.Level) bool { return s.now().Enabled(ctx, l) }

func (s *swap) Handle(ctx context.Context, r slog.Record) error { return s.now().Handle(ctx, r) }

func (s *swap) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s *swap) WithGroup(string) slog.Handler      { return s }

// fake runs a test in fake time. The record begins empty, and nothing may
// be left in the system at the end.
func fake(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		test(r)
		r.checkEmpty()
	})
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t}
	r.log.Store(slog.DiscardHandler)
	r.sys = actor.NewSystem(actor.Logger(slog.New(&r.log)))
	r.sys.ActorSystem().EventStream.Subscribe(func(e any) {
		if e, ok := e.(supervisor.Event); ok {
			r.note(fmt.Sprintf("%s/%s %v", e.Tree, e.Child, e.Kind))
		}
	})
	return r
}

// checkEmpty stops the system and looks for what should not be there.
func (r *rig) checkEmpty() {
	r.t.Helper()
	if err := r.sys.Stop(context.Background()); err != nil {
		r.t.Errorf("system: %v", err)
	}
	r.sleep(time.Millisecond) // a dead letter holds a goroutine for a moment
	for _, bucket := range r.sys.ActorSystem().ProcessRegistry.LocalPIDs.LocalPIDs {
		bucket.IterCb(func(id string, _ any) {
			if strings.Contains(id, "/") {
				r.t.Errorf("process %q is left", id)
			}
		})
	}
	if n := len(r.sys.Units().Units()); n > 0 {
		r.t.Errorf("%d units are left", n)
	}
}

func (r *rig) note(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

// told returns, when all is still, what was recorded since the last time: of
// the tree's events ("tree/child kind") or of what the children did ("+a").
func (r *rig) told(events bool) []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(r.lines), func(l string) bool { return strings.Contains(l, "/") != events })
	r.lines = nil
	return kept
}

func (r *rig) forget() { r.told(true) }

func (r *rig) expectEvents(want ...string) {
	r.t.Helper()
	r.expect(true, want)
}

func (r *rig) expectDone(want ...string) {
	r.t.Helper()
	r.expect(false, want)
}

func (r *rig) expect(events bool, want []string) {
	r.t.Helper()
	if got := r.told(events); !slices.Equal(got, want) {
		r.t.Errorf("got  %q\nwant %q", got, want)
	}
}

// sleep lets fake time pass, and whatever is due happen.
func (r *rig) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wait is for a child to do: it blocks until the channel is closed.
type wait chan struct{}

// player is a child that records what happens to it: "+a" when an incarnation
// starts, "-a" when it ends. It panics at an error, blocks at a wait, runs a
// function, and records texts.
func (r *rig) player(name string, opts ...proto.PropsOption) supervisor.Child {
	return supervisor.Actor(name, proto.PropsFromFunc(func(ctx proto.Context) {
		switch msg := ctx.Message().(type) {
		case *proto.Started:
			r.note("+" + name)
		case *proto.Stopped, *proto.Restarting:
			r.note("-" + name)
		case error:
			panic(msg)
		case wait:
			<-msg
		case string:
			r.note(name + ":" + msg)
		case func(proto.Context):
			msg(ctx)
		}
	}, opts...))
}

func (r *rig) players(names ...string) (cs []supervisor.Child) {
	for _, n := range names {
		cs = append(cs, r.player(n))
	}
	return cs
}

// grow starts a tree.
func (r *rig) grow(name string, p supervisor.Policy, children ...supervisor.Child) *supervisor.Tree {
	r.t.Helper()
	t := r.tree(name, p, children...)
	if err := t.Start(r.sys); err != nil {
		r.t.Fatal(err)
	}
	r.forget()
	return t
}

func (r *rig) tree(name string, p supervisor.Policy, children ...supervisor.Child) *supervisor.Tree {
	r.t.Helper()
	t, err := supervisor.New(name, p, children...)
	if err != nil {
		r.t.Fatal(err)
	}
	return t
}

// send sends a message to the actor at a path below "tree/".
func (r *rig) send(path string, message any) {
	r.sys.ActorSystem().Root.Send(r.pid(path), message)
}

func (r *rig) pid(path string) *proto.PID {
	return r.sys.ActorSystem().NewLocalPID("tree/" + path)
}

func (r *rig) stop(t *supervisor.Tree) {
	r.t.Helper()
	if err := t.Stop(context.Background()); err != nil {
		r.t.Error(err)
	}
	if err := t.Wait(r.ended()); err != nil && !isFailed(err) {
		r.t.Errorf("Wait after Stop: %v", err)
	}
}

// ended returns a ctx that has ended, with the cause errEnded.
func (r *rig) ended() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errEnded)
	return ctx
}

// within returns a ctx that ends after d, with the cause errEnded.
func (r *rig) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeoutCause(context.Background(), d, errEnded)
	r.t.Cleanup(cancel)
	return ctx
}

// outline is a node as text: "tree running [a running 1, b done]".
func outline(n supervisor.Node) string {
	s := n.Name + " " + n.State
	if n.Restarts > 0 {
		s += fmt.Sprint(" ", n.Restarts)
	}
	if n.LastError != "" {
		s += fmt.Sprintf(" %q", n.LastError)
	}
	if len(n.Children) == 0 {
		return s
	}
	var below []string
	for _, c := range n.Children {
		below = append(below, outline(c))
	}
	return s + " [" + strings.Join(below, ", ") + "]"
}

func (r *rig) expectTree(t *supervisor.Tree, want string) {
	r.t.Helper()
	synctest.Wait()
	if got := outline(t.Snapshot()); got != want {
		r.t.Errorf("got  %s\nwant %s", got, want)
	}
}

func sortedEqual(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("got  %q\nwant %q in any order", got, want)
	}
}
