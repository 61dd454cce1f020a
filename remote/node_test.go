package remote_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

func square(_ context.Context, x int) (int, error) { return x * x, nil }

func TestCallsRunOnANode(t *testing.T) {
	b := serving(t, remote.Config{}, "square", square)
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "square", nil, b)
	ready(t, far)
	fs := make([]*task.Future[int], 10_000)
	for i := range fs {
		fs[i] = far.Submit(t.Context(), i)
	}
	for i, f := range fs {
		if v, err := f.Result(); err != nil || v != i*i {
			t.Fatal(v, err)
		}
	}
	far.Stop()
	b.close()
	if err := errors.Join(a.node.Stop(t.Context()), b.node.Stop(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestAPlacementWaitsForANodeThatDoesNotServeYet(t *testing.T) {
	b := newSite(t, remote.Config{})
	offer(b, "square", square)
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "square", nil, b)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := far.Ready(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), b.node.Addr()+" (it does not serve yet)") {
		t.Errorf("Ready = %v", err)
	}
	f := far.Submit(t.Context(), 7)
	if _, _, done := f.Poll(); done {
		t.Error("the call did not wait")
	}
	b.serve()
	ready(t, far)
	if v := value(t, f); v != 49 {
		t.Errorf("got %d", v)
	}
}

func TestReadySaysWhichNodeIsNotThere(t *testing.T) {
	b := serving(t, remote.Config{}, "square", square)
	a := newSite(t, remote.Config{})
	nowhere := newSite(t, remote.Config{})
	if err := nowhere.node.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	far := placed[int, int](a, "square", nil, b, nowhere)
	if v := value(t, far.Submit(t.Context(), 3)); v != 9 { // one node is enough for calls
		t.Errorf("got %d", v)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := far.Ready(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Ready = %v", err)
	}
	if text := err.Error(); !strings.Contains(text, nowhere.node.Addr()) || !strings.Contains(text, "refused") || strings.Contains(text, b.node.Addr()+" ") {
		t.Errorf("Ready = %v", err)
	}
}

func TestQueueTimeoutBoundsTheWaitForANode(t *testing.T) {
	a := newSite(t, remote.Config{})
	far := placedAt[int, int](a, "square", []task.Option{task.QueueTimeout(50 * time.Millisecond)}, "127.0.0.1:1")
	late := as[*task.TimeoutError](t, fault(t, far.Submit(t.Context(), 1)))
	if late.Kind != task.QueueWait {
		t.Errorf("Kind = %v", late.Kind)
	}
}

func TestACallThatWaitsForANodeEndsWithItsCtx(t *testing.T) {
	a := newSite(t, remote.Config{})
	far := placedAt[int, int](a, "square", nil, "127.0.0.1:1")
	mine := errors.New("the caller's cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	f := far.Submit(ctx, 1)
	g := far.Submit(t.Context(), 2)
	cancel(mine)
	if err := fault(t, f); !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	if !g.Cancel() {
		t.Error("Cancel = false")
	}
	h := far.Submit(t.Context(), 3)
	far.Stop()
	if err := fault(t, h); !errors.Is(err, task.ErrStopped) {
		t.Errorf("got %v", err)
	}
}

// refusal is what Ready and a call of far end with, at once.
func refusal[In, Out any](t *testing.T, far *task.Task[In, Out]) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var in In
	if err := fault(t, far.Submit(ctx, in)); ctx.Err() != nil {
		t.Fatalf("the call waited: %v", err)
	}
	err := far.Ready(ctx)
	if err == nil || ctx.Err() != nil {
		t.Fatalf("Ready = %v", err)
	}
	_, later := far.Call(ctx, in)
	if later == nil || later.Error() != err.Error() {
		t.Errorf("a call = %v, Ready = %v", later, err)
	}
	return err
}

func TestATaskOfOtherTypesIsRefusedByItsNode(t *testing.T) {
	b := serving(t, remote.Config{}, "square", func(_ context.Context, s string) (int, error) { return len(s), nil })
	a := newSite(t, remote.Config{})
	err := refusal(t, placed[int, int](a, "square", nil, b))
	e := as[*remote.SchemaError](t, err)
	if e.Task != "square" || e.Node != b.node.Addr() || e.Ours == e.Theirs {
		t.Errorf("got %+v", e)
	}
	for _, part := range []string{"square", b.node.Addr(), e.Ours, e.Theirs} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
}

func TestATaskThatANodeDoesNotHaveIsRefused(t *testing.T) {
	b := serving(t, remote.Config{}, "cube", square)
	a := newSite(t, remote.Config{})
	e := as[*remote.UnknownTaskError](t, refusal(t, placed[int, int](a, "square", nil, b)))
	if e.Task != "square" || e.Node != b.node.Addr() {
		t.Errorf("got %+v", e)
	}
}

func TestATaskWithoutANameIsNotServed(t *testing.T) {
	b := newSite(t, remote.Config{})
	task.MustNew(func(_ context.Context, x int) (int, error) { return x, nil }, task.System(b.sys))
	b.serve()
	a := newSite(t, remote.Config{})
	as[*remote.UnknownTaskError](t, refusal(t, placed[int, int](a, "task-1", nil, b)))
}

func TestANodeThatRefusesLeavesTheOthersTheirCalls(t *testing.T) {
	bad := serving(t, remote.Config{}, "cube", square)
	good := serving(t, remote.Config{}, "square", square)
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "square", nil, bad, good)
	if err := far.Ready(soon(t.Context(), t)); !errors.As(err, new(*remote.UnknownTaskError)) {
		t.Errorf("Ready = %v", err)
	}
	for i := range 100 {
		if v := value(t, far.Submit(t.Context(), i)); v != i*i {
			t.Fatalf("got %d", v)
		}
	}
}

func TestATaskMadeWhileTheNodeServesIsFound(t *testing.T) {
	b := newSite(t, remote.Config{}).serve()
	offer(b, "square", square)
	a := newSite(t, remote.Config{})
	if v := value(t, placed[int, int](a, "square", nil, b).Submit(t.Context(), 4)); v != 16 {
		t.Errorf("got %d", v)
	}
}

func TestANodeServesWhatItPlacesElsewhereItself(t *testing.T) {
	b := serving(t, remote.Config{}, "square", square)
	a := newSite(t, remote.Config{}).serve()
	task.MustNew(square, task.Name("square"), task.System(a.sys), task.On(remote.Nodes(a.node, b.node.Addr())))
	c := newSite(t, remote.Config{})
	if v := value(t, placed[int, int](c, "square", nil, a).Submit(t.Context(), 4)); v != 16 {
		t.Errorf("got %d", v)
	}
}

// The welcome of the handshake and that of Serve may cross.
func TestANodeThatBeginsToServeWhileOthersConnect(t *testing.T) {
	for range 50 {
		b := newSite(t, remote.Config{Heartbeat: time.Minute})
		offer(b, "square", square)
		far := placed[int, int](newSite(t, remote.Config{Heartbeat: time.Minute}), "square", nil, b)
		f := far.Submit(t.Context(), 3)
		b.serve()
		if v := value(t, f); v != 9 {
			t.Fatalf("got %d", v)
		}
	}
}
