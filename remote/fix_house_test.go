package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

// A drain that loses patience leaves the others alone.
func TestDrainsThatOverlapEndEach(t *testing.T) {
	l := newLatch()
	h := serving(t, remote.Config{Capacity: 2}, "latch", l.pass)
	far := placed[int, int](newSite(t, remote.Config{}), "latch", nil, h)
	ready(t, far)
	f := far.Submit(context.Background(), 1)
	await(t, "the call", l.began)
	h.end()
	draining(t, far, h)
	brief, cancel := context.WithCancelCause(context.Background())
	cancel(errPrivate)
	if err := h.node.Drain(brief); !errors.Is(err, errPrivate) {
		t.Errorf("Drain = %v, want the cause of its ctx", err)
	}
	select {
	case err := <-h.over:
		t.Errorf("Serve = %v while a call runs", err)
	default:
	}
	close(l.open)
	if v := value(t, f); v != 1 {
		t.Errorf("got %d", v)
	}
	if err := await(t, "the end of Serve", h.over); err != nil {
		t.Errorf("Serve = %v", err)
	}
	if err := h.node.Drain(soon(t.Context(), t)); err != nil {
		t.Errorf("Drain of a node that is empty = %v", err)
	}
	if h.serve(); value(t, far.Submit(context.Background(), 2)) != 2 {
		t.Error("it does not serve again")
	}
}

// A drain that has lost patience can be taken up again, and does not report that
// nothing is left before that is so.
func TestADrainCanBeTakenUpAgain(t *testing.T) {
	l := newLatch()
	h := serving(t, remote.Config{Capacity: 2}, "latch", l.pass)
	far := placed[int, int](newSite(t, remote.Config{}), "latch", nil, h)
	ready(t, far)
	f := far.Submit(context.Background(), 1)
	await(t, "the call", l.began)
	brief, cancel := context.WithCancelCause(context.Background())
	cancel(errPrivate)
	for range 2 {
		if err := h.node.Drain(brief); !errors.Is(err, errPrivate) {
			t.Errorf("Drain while a call runs = %v", err)
		}
	}
	close(l.open)
	if err := h.node.Drain(soon(t.Context(), t)); err != nil {
		t.Errorf("Drain = %v", err)
	}
	if v := value(t, f); v != 1 {
		t.Errorf("got %d", v)
	}
	h.close()
}

// draining waits until the owner knows that the node drains.
func draining(t *testing.T, far interface{ Name() string }, h *site) {
	t.Helper()
	s := intrude(t, h.node.Addr(), link.Config{}, intTask(far.Name()))
	hears(s, "that it drains", func(e *wire.Envelope) (bool, bool) { return true, e.GetStatus().GetDraining() })
}

// A result that the sender of the call does not take is its failure, and not the
// end of the connection.
func TestAResultThatTheOtherSideDoesNotTakeIsAPayloadError(t *testing.T) {
	h := serving(t, remote.Config{Capacity: 2}, "make", manyBytes)
	far := placed[int, []byte](newSite(t, remote.Config{MaxPayload: 1 << 20}), "make", nil, h)
	ready(t, far)
	_, err := far.Submit(context.Background(), 10<<20).Await(soon(t.Context(), t))
	p := as[*remote.PayloadError](t, err)
	if p.Max != 1<<20 || p.Task != "make" {
		t.Errorf("got %+v, want Max of the sender", p)
	}
	if v := value(t, far.Submit(context.Background(), 1<<19)); len(v) != 1<<19 {
		t.Errorf("got %d bytes", len(v))
	}
}

func manyBytes(_ context.Context, n int) ([]byte, error) { return bytes.Repeat([]byte{7}, n), nil }

// mute is a connection that reads nothing once it is told so, and speaks.
type mute struct {
	net.Conn
	stop chan struct{}
	over chan struct{}
}

func (m *mute) Read(b []byte) (int, error) {
	select {
	case <-m.stop:
		<-m.over
		return 0, io.EOF
	default:
		return m.Conn.Read(b)
	}
}

// Who does not read what he has asked for keeps nobody else from the node.
func TestAGuestThatDoesNotReadCostsOthersNothing(t *testing.T) {
	h, far := oneAtATime(t, time.Hour)
	keepUnread(t, h, 1)
	for range 5 {
		if v := value(t, far.Submit(context.Background(), 3)); v != 9 {
			t.Errorf("got %d", v)
		}
	}
}

// Who does not read loses his connection: with the heartbeat, or when too much
// waits for him.
func TestAGuestThatDoesNotReadIsCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		heartbeat time.Duration
		calls     int
	}{"soon": {beat, 2}, "with too much": {time.Hour, 60}} {
		t.Run(name, func(t *testing.T) {
			h, far := oneAtATime(t, c.heartbeat)
			conn := keepUnread(t, h, c.calls)
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for end := time.After(patience); conn.FlushWait() == nil; conn.AddStarted(1) {
				select {
				case <-tick.C:
				case <-end:
					t.Fatal("the connection is still there")
				}
			}
			if v := value(t, far.Submit(context.Background(), 3)); v != 9 {
				t.Errorf("got %d", v)
			}
		})
	}
}

// oneAtATime starts a node that runs one call at a time, and places square there.
func oneAtATime(t *testing.T, heartbeat time.Duration) (*site, *task.Task[int, int]) {
	h := newSite(t, remote.Config{Capacity: 1, Heartbeat: heartbeat})
	offer(h, "make", manyBytes)
	offer(h, "square", square)
	h.serve()
	far := placed[int, int](newSite(t, remote.Config{}), "square", nil, h)
	ready(t, far)
	return h, far
}

// keepUnread asks a node for so many answers of 15 MiB, and reads none.
func keepUnread(t *testing.T, h *site, calls int) *link.Conn {
	nc, err := (&net.Dialer{}).DialContext(soon(t.Context(), t), "tcp", h.node.Addr())
	if err != nil {
		t.Fatal(err)
	}
	m := &mute{Conn: nc, stop: make(chan struct{}), over: make(chan struct{})}
	ask := wire.TaskSchema("make", reflect.TypeFor[int](), reflect.TypeFor[[]byte]())
	conn, _, err := link.Dial(soon(t.Context(), t), m, link.Config{Heartbeat: time.Hour}, &wire.Hello{Tasks: []*wire.Announcement{ask.Announce()}})
	if err != nil {
		t.Fatal(err)
	}
	close(m.stop)
	newStranger(t, nc, conn)
	t.Cleanup(func() { close(m.over) })
	for id := range uint64(calls) {
		conn.AddCall(&wire.Call{Id: id + 1, Attempt: 1, Payload: []byte{0x1a, 0, 0xf0, 0, 0}}, wire.Names{Task: "make", Codec: "cbor"})
	}
	conn.Flush()
	return conn
}
