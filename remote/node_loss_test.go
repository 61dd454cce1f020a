package remote_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

func TestIdempotentCallsOfALostNodeRunElsewhere(t *testing.T) {
	l := newLatch()
	quick := newLatch()
	close(quick.open)
	b := serving(t, remote.Config{Capacity: 2}, "wait", l.pass)
	c := newSite(t, remote.Config{Capacity: 2})
	offer(c, "wait", quick.pass)
	far := placed[int, int](newSite(t, remote.Config{}), "wait", []task.Option{task.Idempotent()}, b, c)
	var fs []*task.Future[int]
	for i := range 10 {
		fs = append(fs, far.Submit(t.Context(), i))
	}
	await(t, "a call", l.began)
	await(t, "a call", l.began)
	c.serve()
	b.stop()
	for i, f := range fs {
		if v := value(t, f); v != i {
			t.Errorf("got %d", v)
		}
	}
}

func TestACallThatLosesThreeNodesIsGivenUp(t *testing.T) {
	l := newLatch()
	var hosts []*site
	for range 4 {
		hosts = append(hosts, serving(t, remote.Config{}, "wait", l.pass))
	}
	far := placed[int, int](newSite(t, remote.Config{}), "wait", []task.Option{task.Idempotent()}, hosts...)
	ready(t, far)
	f := far.Submit(t.Context(), 1)
	for range 3 {
		await(t, "the call", l.began)
		for _, h := range hosts {
			if h.busy(far) {
				h.stop()
				break
			}
		}
	}
	lost := as[*task.LostError](t, fault(t, f))
	if !lost.Started {
		t.Errorf("got %+v", lost)
	}
	if n := len(l.began); n != 0 {
		t.Errorf("it has run %d times more", n)
	}
}

// busy reports whether calls of far are under way at the node.
func (s *site) busy(far *task.Task[int, int]) bool {
	for _, w := range far.Stats().PerWorker {
		if w.Name == s.node.Addr() && w.Active > 0 {
			return true
		}
	}
	return false
}

func TestAFrozenNodeIsLostWithinItsHeartbeats(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	took := make(chan time.Time, 10)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		conn, _, err := link.Accept(context.Background(), nc, link.Config{Heartbeat: beat}, func(*wire.Hello) *wire.Welcome {
			return &wire.Welcome{Serving: true, Tasks: []*wire.Announcement{intTask("square")}}
		})
		if err != nil {
			return
		}
		conn.SetStatus(&wire.Status{Capacity: 5})
		conn.Flush()
		took <- time.Now() // and never a word again
		_, _ = nc.Read(make([]byte, 1))
		_ = l.Close()
	}()
	a := newSite(t, remote.Config{})
	far := placedAt[int, int](a, "square", nil, l.Addr().String())
	f := far.Submit(t.Context(), 1)
	lost := as[*task.LostError](t, fault(t, f))
	if after := time.Since(await(t, "the handshake", took)); after > 3*beat+2*time.Second || !lost.Started || !errors.Is(lost, link.ErrSilent) {
		t.Errorf("noticed after %v: %v", after, lost)
	}
}

func TestStopOfANodeNamesWhatStillRuns(t *testing.T) {
	began, let := make(chan int, 1), make(chan struct{})
	b := serving(t, remote.Config{}, "stubborn", func(_ context.Context, x int) (int, error) {
		began <- x
		<-let
		return x, nil
	})
	far := placed[int, int](newSite(t, remote.Config{}), "stubborn", nil, b)
	f := far.Submit(t.Context(), 1)
	await(t, "the call", began)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errSoldOut)
	err := b.node.Stop(ctx)
	if !errors.Is(err, errSoldOut) || !strings.Contains(err.Error(), b.node.Addr()) || !strings.Contains(err.Error(), "1 calls") {
		t.Errorf("Stop = %v", err)
	}
	if err := fault(t, f); !errors.Is(err, task.ErrLost) {
		t.Errorf("got %v", err)
	}
	close(let)
	b.stop()
}

func TestNilContexts(t *testing.T) {
	n := newSite(t, remote.Config{}).node
	var none context.Context
	for what, err := range map[string]error{"Serve": n.Serve(none), "Drain": n.Drain(none), "Stop": n.Stop(none)} {
		if err == nil || !strings.Contains(err.Error(), "nil context") {
			t.Errorf("%s(nil) = %v", what, err)
		}
	}
}
