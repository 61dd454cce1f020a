package remote_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// beat is short, so that a frozen node is noticed while the test has patience.
const beat = 300 * time.Millisecond

// patience is how long a test waits for what has to happen.
const patience = 20 * time.Second

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// site is one node with a System of its own, which ends with the test.
type site struct {
	t    *testing.T
	sys  *actor.System
	node *remote.Node
	end  context.CancelFunc // of Serve
	over chan error         // what Serve has returned
}

// newSite starts a node that does not serve yet.
func newSite(t *testing.T, cfg remote.Config) *site {
	t.Helper()
	if cfg.System == nil {
		cfg.System = actor.NewSystem(actor.Logger(quiet))
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = beat
	}
	n, err := remote.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, sys: cfg.System, node: n}
	t.Cleanup(func() {
		if err := s.sys.Stop(soon(context.Background(), t)); err != nil {
			t.Errorf("System.Stop = %v", err)
		}
	})
	return s
}

// soon returns a ctx for what must not take for ever.
func soon(ctx context.Context, t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	return ctx
}

// serve lets the node serve.
func (s *site) serve() *site {
	ctx, end := context.WithCancel(context.Background())
	s.end, s.over = end, make(chan error, 1)
	s.t.Cleanup(end)
	go func() { s.over <- s.node.Serve(ctx) }()
	return s
}

// close ends Serve and waits for its drain.
func (s *site) close() {
	s.t.Helper()
	s.end()
	await(s.t, "the end of Serve", s.over)
}

// serving starts a node with the one task, and lets it serve.
func serving[In, Out any](t *testing.T, cfg remote.Config, name string, fn func(context.Context, In) (Out, error)) *site {
	t.Helper()
	s := newSite(t, cfg)
	offer(s, name, fn)
	return s.serve()
}

// offer gives the node a task.
func offer[In, Out any](s *site, name string, fn func(context.Context, In) (Out, error)) {
	s.t.Helper()
	if _, err := task.New(fn, task.Name(name), task.System(s.sys)); err != nil {
		s.t.Fatal(err)
	}
}

// placed makes the task on the nodes of hosts, through that of s.
func placed[In, Out any](s *site, name string, opts []task.Option, hosts ...*site) *task.Task[In, Out] {
	s.t.Helper()
	return placedAt[In, Out](s, name, opts, addrs(hosts)...)
}

func addrs(hosts []*site) (all []string) {
	for _, h := range hosts {
		all = append(all, h.node.Addr())
	}
	return all
}

func placedAt[In, Out any](s *site, name string, opts []task.Option, addrs ...string) *task.Task[In, Out] {
	s.t.Helper()
	here := func(context.Context, In) (out Out, err error) {
		s.t.Errorf("task %q has run here", name)
		return out, err
	}
	opts = append([]task.Option{task.Name(name), task.System(s.sys), task.On(remote.Nodes(s.node, addrs...))}, opts...)
	far, err := task.New(here, opts...)
	if err != nil {
		s.t.Fatal(err)
	}
	return far
}

// ready waits until what is placed can run.
func ready(t *testing.T, r interface{ Ready(context.Context) error }) {
	t.Helper()
	if err := r.Ready(soon(t.Context(), t)); err != nil {
		t.Fatalf("Ready = %v", err)
	}
}

// await receives from c.
func await[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
	}
	return v
}

// value is the result of f without error.
func value[T any](t *testing.T, f *task.Future[T]) T {
	t.Helper()
	v, err := f.Await(soon(context.Background(), t))
	if err != nil {
		t.Fatalf("got error %v, want a result", err)
	}
	return v
}

// fault is the error of f, which must have one.
func fault[T any](t *testing.T, f *task.Future[T]) error {
	t.Helper()
	ctx := soon(context.Background(), t)
	v, err := f.Await(ctx)
	if err == nil || ctx.Err() != nil {
		t.Fatalf("got %v, %v, want an error of the call", v, err)
	}
	return err
}

// as fails the test unless err is, or wraps, an E.
func as[E error](t *testing.T, err error) (e E) {
	t.Helper()
	if !errors.As(err, &e) {
		t.Fatalf("got error %v (%T), want a %T", err, err, e)
	}
	return e
}

// latch is a function that says when it runs and waits until it is opened, or
// its ctx ends.
type latch struct {
	began chan int
	open  chan struct{}
	ended chan error // why a ctx has ended
}

func newLatch() *latch {
	return &latch{began: make(chan int, 10_000), open: make(chan struct{}), ended: make(chan error, 10_000)}
}

func (l *latch) pass(ctx context.Context, x int) (int, error) {
	l.began <- x
	select {
	case <-l.open:
		return x, nil
	case <-ctx.Done():
		l.ended <- context.Cause(ctx)
		return 0, ctx.Err()
	}
}
