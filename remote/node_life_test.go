package remote_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

func TestServeEndsWithItsCtxAndDrains(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{Capacity: 1}, "wait", l.pass)
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "wait", nil, b)
	f := far.Submit(t.Context(), 1)
	await(t, "the first", l.began)
	g := far.Submit(t.Context(), 2) // sent ahead, it waits there
	b.end()
	select {
	case err := <-b.over:
		t.Fatalf("Serve = %v while a call runs", err)
	case <-time.After(3 * beat):
	}
	close(l.open)
	if v := value(t, f); v != 1 {
		t.Errorf("got %d", v)
	}
	if err := await(t, "the end of Serve", b.over); err != nil {
		t.Errorf("Serve = %v", err)
	}
	if _, _, done := g.Poll(); done {
		t.Error("the second call did not wait for the node to serve again")
	}
	b.serve()
	if v := value(t, g); v != 2 {
		t.Errorf("got %d", v)
	}
}

func TestADrainGivesBackWhatHasNotBegun(t *testing.T) {
	slow, quick := newLatch(), newLatch()
	close(quick.open)
	b := serving(t, remote.Config{Capacity: 1}, "wait", slow.pass)
	c := serving(t, remote.Config{Capacity: 1}, "wait", quick.pass)
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "wait", []task.Option{task.Balance(task.RoundRobin)}, b, c)
	ready(t, far)
	var fs []*task.Future[int]
	for i := range 50 {
		fs = append(fs, far.Submit(t.Context(), i))
	}
	await(t, "a call at the slow node", slow.began)
	drained := make(chan error, 1)
	go func() { drained <- b.node.Drain(soon(context.Background(), t)) }()
	for range len(fs) - 1 { // all but the one that runs at the slow node
		await(t, "a call at the quick node", quick.began)
	}
	close(slow.open)
	if err := await(t, "the end of Drain", drained); err != nil {
		t.Errorf("Drain = %v", err)
	}
	for i, f := range fs {
		if v := value(t, f); v != i {
			t.Errorf("got %d", v)
		}
	}
	if n := len(slow.began); n != 0 {
		t.Errorf("%d more calls began at the node that drains", n)
	}
}

func TestADrainThatIsBoundedLeavesCallsRunning(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{}, "wait", l.pass)
	far := placed[int, int](newSite(t, remote.Config{}), "wait", nil, b)
	f := far.Submit(t.Context(), 1)
	await(t, "the call", l.began)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errSoldOut)
	if err := b.node.Drain(ctx); !errors.Is(err, errSoldOut) {
		t.Errorf("Drain = %v", err)
	}
	close(l.open)
	if v := value(t, f); v != 1 {
		t.Errorf("got %d", v)
	}
}

func TestStopOfANodeCancelsWhatRunsThere(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{}, "wait", l.pass)
	far := placed[int, int](newSite(t, remote.Config{}), "wait", nil, b)
	f := far.Submit(t.Context(), 1)
	await(t, "the call", l.began)
	b.stop()
	if err := await(t, "the cancel", l.ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the function got %v", err)
	}
	lost := as[*task.LostError](t, fault(t, f))
	if !lost.Started || lost.Node != b.node.Addr() || lost.Cause == nil {
		t.Errorf("got %+v", lost)
	}
	if err := await(t, "the end of Serve", b.over); !errors.Is(err, remote.ErrNodeStopped) {
		t.Errorf("Serve = %v", err)
	}
	if err := b.node.Serve(t.Context()); !errors.Is(err, remote.ErrNodeStopped) {
		t.Errorf("Serve after Stop = %v", err)
	}
	b.stop() // again
}

func TestStopOfANodeEndsWhatWasPlacedThroughIt(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{Capacity: 1}, "wait", l.pass)
	s := newShelf()
	shelf := library(t, s, 1, remote.Config{})[0]
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "wait", nil, b)
	w := task.MustNewWorker(s.at("here"), task.Name("book"), task.System(a.sys), task.On(remote.Nodes(a.node, shelf.node.Addr())))
	value(t, task.Ask(t.Context(), w, (*Book).Write, 1))
	var fs []*task.Future[int]
	for i := range 20 {
		fs = append(fs, far.Submit(t.Context(), i))
	}
	await(t, "a call", l.began)
	a.stop()
	for _, f := range fs {
		if err := fault(t, f); !errors.Is(err, remote.ErrNodeStopped) {
			t.Fatalf("got %v", err)
		}
	}
	if err := far.Ready(soon(t.Context(), t)); !errors.Is(err, remote.ErrNodeStopped) {
		t.Errorf("Ready = %v", err)
	}
	if err := fault(t, far.Submit(t.Context(), 1)); !errors.Is(err, remote.ErrNodeStopped) {
		t.Errorf("a later call: %v", err)
	}
	if err := fault(t, task.Ask(t.Context(), w, (*Book).Write, 1)); !errors.Is(err, remote.ErrNodeStopped) {
		t.Errorf("a worker's call: %v", err)
	}
	if err := w.Ready(soon(t.Context(), t)); !errors.Is(err, remote.ErrNodeStopped) {
		t.Errorf("a worker's Ready = %v", err)
	}
	late := placed[int, int](a, "late", nil, b)
	if err := fault(t, late.Submit(t.Context(), 1)); !errors.Is(err, remote.ErrNodeStopped) {
		t.Errorf("placed after the stop: %v", err)
	}
	if err := late.Ready(soon(t.Context(), t)); !errors.Is(err, remote.ErrNodeStopped) {
		t.Errorf("placed after the stop: Ready = %v", err)
	}
	far.Stop()
	w.Stop()
}

func TestTheStopOfASystemEndsItsNodes(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{}, "wait", l.pass)
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "wait", nil, b)
	f := far.Submit(t.Context(), 1)
	await(t, "the call", l.began)
	if err := a.sys.Stop(soon(t.Context(), t)); err != nil {
		t.Errorf("Stop = %v", err)
	}
	if err := fault(t, f); !errors.Is(err, task.ErrStopped) && !errors.Is(err, remote.ErrNodeStopped) {
		t.Errorf("got %v", err)
	}
	if err := a.node.Serve(t.Context()); !errors.Is(err, remote.ErrNodeStopped) {
		t.Errorf("Serve = %v", err)
	}
	if err := await(t, "the end of the function", l.ended); err == nil {
		t.Error("the function was not told")
	}
}

func TestANodeThatComesBackTakesWorkAgain(t *testing.T) {
	b := serving(t, remote.Config{}, "square", square)
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "square", nil, b)
	for round := range 3 {
		if v := value(t, far.Submit(t.Context(), 3)); v != 9 {
			t.Fatalf("round %d: got %d", round, v)
		}
		b.stop()
		f := far.Submit(t.Context(), 5)
		b = serving(t, remote.Config{Listen: b.node.Addr()}, "square", square)
		if v, err := f.Await(soon(t.Context(), t)); err != nil && !errors.Is(err, task.ErrLost) || err == nil && v != 25 {
			t.Fatalf("round %d: got %d, %v", round, v, err)
		}
	}
	ready(t, far)
}

func TestMembersTellsWhatANodeKnows(t *testing.T) {
	b := serving(t, remote.Config{Capacity: 3}, "square", square)
	c := newSite(t, remote.Config{})
	d := serving(t, remote.Config{}, "cube", square)
	a := newSite(t, remote.Config{Capacity: 5}).serve()
	far := placedAt[int, int](a, "square", nil, b.node.Addr(), c.node.Addr(), d.node.Addr(), "127.0.0.1:1")
	_ = far.Ready(soon(t.Context(), t)) // d refuses
	for range 5 {
		value(t, far.Submit(t.Context(), 2))
	}
	want := map[string]string{a.node.Addr(): "serving", b.node.Addr(): "serving", c.node.Addr(): "starting", d.node.Addr(): "refused", "127.0.0.1:1": "lost"}
	var states map[string]string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		states = make(map[string]string)
		for _, m := range a.node.Members() {
			states[m.Addr] = m.State
			if m.Self != (m.Addr == a.node.Addr()) || m.Self && m.Capacity != 5 {
				t.Errorf("got %+v", m)
			}
			if m.Addr == b.node.Addr() && (m.Task != "square" || m.Total != 5 || m.Active != 0 || m.Capacity != 3 || m.Error != "") {
				t.Errorf("got %+v", m)
			}
			if (m.State == "refused" || m.State == "lost") && m.Error == "" {
				t.Errorf("got %+v", m)
			}
		}
		if maps.Equal(states, want) {
			return
		}
	}
	t.Errorf("got %v, want %v", states, want)
}

func TestServeTwiceIsAnError(t *testing.T) {
	b := serving(t, remote.Config{}, "square", square)
	for b.node.Members()[0].State != "serving" {
	}
	if err := b.node.Serve(t.Context()); err == nil || errors.Is(err, remote.ErrNodeStopped) {
		t.Errorf("Serve = %v", err)
	}
	b.close()
	if err := b.node.Drain(t.Context()); err != nil { // nothing is left to drain
		t.Errorf("Drain = %v", err)
	}
}
