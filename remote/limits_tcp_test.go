package remote_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// Over sockets, as users have it: a function that waits for a permit of its
// owner while another process holds it through a shared Set.
func TestLimitsOverSockets(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ownerSystem, hostSystem := actor.NewSystem(), actor.NewSystem()
	owner, host := limitsNode(t, ownerSystem), limitsNode(t, hostSystem)
	served := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { served <- host.Serve(ctx) }()

	set := limits.MustNew(limits.Resource("db", 1))
	if err := remote.ShareLimits(owner, "db", set); err != nil {
		t.Fatal(err)
	}
	held, err := remote.LimitsAt(host, owner.Addr(), "db").Acquire(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	fn := func(ctx context.Context, x int, l limits.Limiter) (int, error) {
		p, err := l.Acquire(ctx, limits.Request{"db": 1})
		if err != nil {
			return 0, err
		}
		defer p.Release()
		return x * x, nil
	}
	local := task.MustNewLimited(fn, task.Name("square"), task.System(hostSystem))
	far := task.MustNewLimited(fn, task.Name("square"), task.System(ownerSystem), task.Limits(set), task.On(remote.Nodes(owner, host.Addr())))
	f := far.Submit(t.Context(), 12)
	short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	if _, err := f.Await(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v while the permit is held, want a call that waits", err)
	}
	stop()
	held.Release()
	if v, err := f.Result(); v != 144 || err != nil {
		t.Errorf("got %d, %v, want 144", v, err)
	}
	if s := set.Stats()[0]; s.Available != 1 || s.Granted != 2 {
		t.Errorf("got %+v, want 2 granted and all available", s)
	}
	far.Stop()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	local.Stop()
	if err := errors.Join(owner.Stop(t.Context()), host.Stop(t.Context()), ownerSystem.Stop(t.Context()), hostSystem.Stop(t.Context())); err != nil {
		t.Error(err)
	}
}

func limitsNode(t *testing.T, sys *actor.System) *remote.Node {
	t.Helper()
	n, err := remote.Start(remote.Config{System: sys})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
