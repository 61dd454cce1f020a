package remote

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/faultnet"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

// limitsWorld is a network in a synctest bubble, with a node for each host.
type limitsWorld struct {
	t    *testing.T
	net  *faultnet.Network
	ends []func()
}

// inLimitsWorld runs test in a bubble, which fails it if a goroutine is left.
func inLimitsWorld(t *testing.T, seed uint64, test func(t *testing.T, w *limitsWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &limitsWorld{t: t, net: faultnet.New(seed)}
		defer w.end()
		test(t, w)
	})
}

// atEnd has f run before the bubble ends, the last one first. A Cleanup would
// run outside of it if the test deadlocks, and hide that.
func (w *limitsWorld) atEnd(f func()) { w.ends = append(w.ends, f) }

func (w *limitsWorld) end() {
	for _, f := range slices.Backward(w.ends) {
		f()
	}
}

// limitsHost is the transport of one host.
type limitsHost struct {
	net  *faultnet.Network
	name string
}

func (h limitsHost) Listen(addr string) (net.Listener, error) { return h.net.Listen(addr) }

func (h limitsHost) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return h.net.Dial(ctx, h.name, addr)
}

// node starts the node of a host, with a System of its own, and stops both.
func (w *limitsWorld) node(host string) *Node {
	w.t.Helper()
	return w.nodeWith(host, Config{})
}

func (w *limitsWorld) nodeWith(host string, cfg Config) *Node {
	w.t.Helper()
	cfg.Listen, cfg.AllowInsecure, cfg.transport = host+":1", true, limitsHost{net: w.net, name: host}
	cfg.Capacity = 8
	cfg.System = actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
	n, err := Start(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.atEnd(func() {
		if err := errors.Join(n.Stop(context.Background()), cfg.System.Stop(context.Background())); err != nil {
			w.t.Error(err)
		}
	})
	return n
}

// serve has n run the calls of others until the test ends.
func (w *limitsWorld) serve(n *Node) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Serve(ctx) }()
	w.atEnd(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, ErrNodeStopped) {
			w.t.Error(err)
		}
	})
}

// placed makes the same task on the node here and for the pool that calls it
// there.
func placed[In, Out any](w *limitsWorld, here, there *Node, fn func(context.Context, In) (Out, error), opts ...task.Option) *task.Task[In, Out] {
	w.t.Helper()
	local := task.MustNew(fn, task.Name("job"), task.System(there.cfg.System))
	w.atEnd(func() { local.Stop() })
	opts = append(opts, task.Name("job"), task.System(here.cfg.System), task.On(Nodes(here, there.Addr())))
	return owned(w, task.MustNew(fn, opts...))
}

// placedLimited is placed for functions that take their permits themselves.
func placedLimited[In, Out any](w *limitsWorld, here, there *Node, fn func(context.Context, In, limits.Limiter) (Out, error), opts ...task.Option) *task.Task[In, Out] {
	w.t.Helper()
	local := task.MustNewLimited(fn, task.Name("job"), task.System(there.cfg.System))
	w.atEnd(func() { local.Stop() })
	opts = append(opts, task.Name("job"), task.System(here.cfg.System), task.On(Nodes(here, there.Addr())))
	return owned(w, task.MustNewLimited(fn, opts...))
}

func owned[In, Out any](w *limitsWorld, far *task.Task[In, Out]) *task.Task[In, Out] {
	w.atEnd(func() { far.Stop() })
	return far
}

// wantIdle fails the test unless nothing of a Set is held or waited for.
func wantIdle(t *testing.T, set *limits.Set) {
	t.Helper()
	for _, s := range set.Stats() {
		if s.Available != s.Capacity || s.Waiting != 0 || s.Used != 0 {
			t.Errorf("key %q: got %d of %d available, %d used, %d waiting; want all available and none waiting",
				s.Key, s.Available, s.Capacity, s.Used, s.Waiting)
		}
	}
}

// wantStat fails the test unless so much of a key is used and so many wait.
func wantStat(t *testing.T, set limits.Limiter, used, waiting int) {
	t.Helper()
	stats := set.Stats()
	if len(stats) == 0 {
		t.Fatal("no stats")
	}
	if s := stats[0]; s.Used != used || s.Waiting != waiting {
		t.Errorf("key %q: got %d used and %d waiting, want %d and %d", s.Key, s.Used, s.Waiting, used, waiting)
	}
}

// take acquires r or fails the test.
func take(t *testing.T, l limits.Limiter, r limits.Request) *limits.Permit {
	t.Helper()
	p, err := l.Acquire(t.Context(), r)
	if err != nil {
		t.Fatalf("Acquire(%v): %v", r, err)
	}
	return p
}

// grant is what an Acquire came to, and when.
type grant struct {
	permit *limits.Permit
	err    error
	at     time.Time
}

// acquiring acquires r on a goroutine and delivers what comes of it.
func acquiring(ctx context.Context, l limits.Limiter, r limits.Request) <-chan grant {
	done := make(chan grant, 1)
	go func() {
		p, err := l.Acquire(ctx, r)
		done <- grant{permit: p, err: err, at: time.Now()}
	}()
	return done
}
