package remote_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

// call dials a port as anybody could.
func call(t *testing.T, addr string) net.Conn {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(soon(t.Context(), t), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// ends waits for the other side to end a connection, and returns what came.
func ends(t *testing.T, nc net.Conn) string {
	t.Helper()
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(nc)
	if e := net.Error(nil); errors.As(err, &e) && e.Timeout() {
		t.Errorf("the connection lives")
	}
	return string(text)
}

// serves fails the test unless a task of ints goes on working.
func serves(t *testing.T, far *task.Task[int, int]) {
	t.Helper()
	for i := range 20 {
		if v := value(t, far.Submit(t.Context(), i)); v != i*i {
			t.Fatalf("got %d", v)
		}
	}
}

func TestWhoeverSpeaksAnotherProtocolIsTurnedAway(t *testing.T) {
	b := serving(t, remote.Config{}, "square", square)
	far := placed[int, int](newSite(t, remote.Config{}), "square", nil, b)
	serves(t, far)
	for what, text := range map[string]string{
		"garbage":   strings.Repeat("\x00\xff garbage", 10_000),
		"HTTP":      "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"gRPC":      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"TLS":       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"our magic": "\x89troupe\n" + strings.Repeat("\xff", 200),
	} {
		nc := call(t, b.node.Addr())
		_, _ = io.WriteString(nc, text) // it may be cut short
		answer := ends(t, nc)
		if (what == "HTTP") != strings.HasPrefix(answer, "HTTP/1.1 400") {
			t.Errorf("%s was answered %q", what, answer)
		}
		serves(t, far)
	}
}

func TestSlowStrangersTakeNobodysPlace(t *testing.T) {
	b := serving(t, remote.Config{}, "square", square)
	old := placed[int, int](newSite(t, remote.Config{}), "square", nil, b)
	serves(t, old)
	var strangers []net.Conn
	for range 500 {
		strangers = append(strangers, call(t, b.node.Addr()))
	}
	slow := strangers[len(strangers)-1]
	sent := 0
	for _, c := range []byte("\x89troupe\n") { // one byte at a time
		if _, err := slow.Write([]byte{c}); err == nil {
			sent++
		}
		serves(t, old)
	}
	if sent == 0 {
		t.Error("the newest stranger was not heard at all")
	}
	fresh := placed[int, int](newSite(t, remote.Config{}), "square", nil, b) // has to get in among them
	serves(t, fresh)
	for _, nc := range strangers {
		ends(t, nc) // after the time for handshakes at the latest
	}
	serves(t, old)
}

func TestHundredsOfNodesAreServed(t *testing.T) {
	b := serving(t, remote.Config{Heartbeat: 2 * time.Second}, "square", square)
	far := placed[int, int](newSite(t, remote.Config{Heartbeat: 2 * time.Second}), "square", nil, b)
	var all []*stranger
	for range 300 {
		all = append(all, intrude(t, b.node.Addr(), link.Config{Heartbeat: 2 * time.Second}, intTask("square")))
	}
	for i, s := range all {
		s.conn.AddCall(&wire.Call{Id: 1, Attempt: 1, Payload: []byte{byte(i % 20)}}, wire.Names{Task: "square", Codec: "cbor"})
		s.conn.Flush()
	}
	for _, s := range all {
		if a := s.answer(1); a.GetFailure() != nil || a.GetUndone() {
			t.Fatalf("got %v", a)
		}
	}
	serves(t, far)
	for _, s := range all {
		_ = s.nc.Close()
	}
	serves(t, far)
}

func TestAFrameThatIsTooLargeEndsItsConnectionOnly(t *testing.T) {
	b := serving(t, remote.Config{MaxPayload: 1 << 20}, "square", square)
	far := placed[int, int](newSite(t, remote.Config{}), "square", nil, b)
	for _, size := range []uint32{0, 64 << 20, 1<<32 - 1} {
		s := intrude(t, b.node.Addr(), link.Config{}, intTask("square"))
		if _, err := s.nc.Write(binary.BigEndian.AppendUint32(nil, size)); err != nil {
			t.Fatal(err)
		}
		if err := await(t, "the end", s.over); err == nil {
			t.Error("it ended without a reason")
		}
		serves(t, far)
	}
}

func TestWrongCallsAreAnsweredWithErrors(t *testing.T) {
	b := serving(t, remote.Config{}, "square", square)
	far := placed[int, int](newSite(t, remote.Config{}), "square", nil, b)
	s := intrude(t, b.node.Addr(), link.Config{}, intTask("square"), intTask("other"))
	id := uint64(0)
	ask := func(c *wire.Call, n wire.Names) error {
		t.Helper()
		id++
		c.Id, c.Attempt = id, 1
		s.conn.AddCall(c, n)
		s.conn.Flush()
		return wire.DecodeError(s.answer(id).GetFailure())
	}
	as[*remote.UnknownTaskError](t, ask(&wire.Call{}, wire.Names{Task: "other"}))
	as[*remote.UnknownTaskError](t, ask(&wire.Call{}, wire.Names{Task: "never asked for"}))
	for what, c := range map[string]*wire.Call{
		"a text for a number": {Payload: []byte{0x63, 'a', 'b', 'c'}},
		"half of a number":    {Payload: []byte{0x1b, 1}},
		"nested":              {Payload: []byte(strings.Repeat("\x81", 1000))},
		"no member":           {Member: 77},
		"a member of a task":  {Op: wire.Op_OPEN, Member: 78},
	} {
		names := wire.Names{Task: "square"}
		if c.Payload != nil {
			names.Codec = "cbor"
		}
		if err := ask(c, names); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if err := ask(&wire.Call{Payload: []byte{1}}, wire.Names{Task: "square", Codec: "rot13"}); err == nil || !strings.Contains(err.Error(), "rot13") {
		t.Errorf("an unknown codec: %v", err)
	}
	if err := ask(&wire.Call{Op: wire.Op_CLOSE, Member: 77}, wire.Names{Task: "square"}); err != nil {
		t.Errorf("the close of no member: %v", err)
	}
	if err := ask(&wire.Call{Payload: []byte{5}}, wire.Names{Task: "square", Codec: "cbor"}); err != nil {
		t.Errorf("a right call: %v", err)
	}
	serves(t, far)
}

func TestACallThatComesTwiceIsRunOnce(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{Capacity: 4}, "wait", l.pass)
	s := intrude(t, b.node.Addr(), link.Config{}, intTask("wait"))
	for range 3 {
		s.conn.AddCall(&wire.Call{Id: 9, Attempt: 1, Payload: []byte{5}}, wire.Names{Task: "wait", Codec: "cbor"})
		s.conn.Flush()
	}
	await(t, "the call", l.began)
	close(l.open)
	s.answer(9)
	s.conn.AddCall(&wire.Call{Id: 10, Attempt: 1, Payload: []byte{6}}, wire.Names{Task: "wait", Codec: "cbor"})
	s.conn.Flush()
	s.answer(10)
	if x := await(t, "the second call", l.began); x != 6 || len(l.began) != 0 {
		t.Errorf("ran %d, and %d more", x, len(l.began))
	}
}

// Ids, members and permits are of one connection: nobody reaches another's.
func TestStrangersReachNobodysCalls(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{Capacity: 4}, "wait", l.pass)
	far := placed[int, int](newSite(t, remote.Config{}), "wait", nil, b)
	f := far.Submit(t.Context(), 5)
	await(t, "the call", l.began)
	s := intrude(t, b.node.Addr(), link.Config{}, intTask("wait"))
	for id := uint64(1); id < 100; id++ {
		s.conn.AddCancel(&wire.Cancel{Id: id})
		s.conn.AddAnswer(&wire.Answer{Id: id, Payload: []byte{1}}, "cbor")
		s.conn.AddStarted(id)
	}
	s.conn.SetStatus(&wire.Status{Capacity: 1, Draining: true})
	s.conn.SetWelcome(&wire.Welcome{})
	s.conn.AddCall(&wire.Call{Id: 100, Attempt: 1, Payload: []byte{6}}, wire.Names{Task: "wait", Codec: "cbor"})
	s.conn.Flush()
	select {
	case x := <-l.began:
		if x != 6 {
			t.Errorf("ran %d", x)
		}
	case err := <-s.over:
		t.Errorf("the stranger was turned away: %v", err)
	case <-time.After(patience):
		t.Error("the stranger's call was not run")
	}
	close(l.open)
	if v := value(t, f); v != 5 {
		t.Errorf("got %d", v)
	}
}

func TestForgedAndRepeatedAnswersCompleteNothingTwice(t *testing.T) {
	cfg := link.Config{Heartbeat: beat}
	addr, arrived := impostor(t, cfg, &wire.Welcome{Serving: true, Tasks: []*wire.Announcement{intTask("square")}})
	a := newSite(t, remote.Config{})
	far := placedAt[int, int](a, "square", nil, addr)
	f := far.Submit(t.Context(), 1)
	s := await(t, "the connection", arrived)
	s.conn.SetStatus(&wire.Status{Capacity: 8})
	s.conn.Flush()
	next := func() uint64 {
		return hears(s, "a call", func(e *wire.Envelope) (uint64, bool) {
			if calls := e.GetCalls(); len(calls) > 0 {
				return calls[0].GetId(), true
			}
			return 0, false
		})
	}
	id := next()
	for forged := uint64(0); forged < 50; forged++ {
		if n := id + 100 + forged; n != id {
			s.conn.AddAnswer(&wire.Answer{Id: n, Payload: []byte{9}}, "cbor")
		}
	}
	s.conn.AddAnswer(&wire.Answer{Id: id, Payload: []byte{7}}, "cbor")
	for range 10 {
		s.conn.AddAnswer(&wire.Answer{Id: id, Payload: []byte{8}}, "cbor")
	}
	s.conn.Flush()
	if v := value(t, f); v != 7 {
		t.Errorf("got %d", v)
	}
	g := far.Submit(t.Context(), 2)
	id = next()
	s.conn.AddAnswer(&wire.Answer{Id: id, Payload: []byte{0x63, 'a', 'b', 'c'}}, "cbor")
	s.conn.Flush()
	if err := fault(t, g); !strings.Contains(err.Error(), "result") {
		t.Errorf("a result of another type: %v", err)
	}
	var late uint64
	for _, m := range a.node.Members() {
		late += m.Late
	}
	if late != 60 {
		t.Errorf("%d answers that nobody waited for, want 60", late)
	}
}

func TestAnImpostorThatBreaksTheProtocolLosesItsCalls(t *testing.T) {
	addr, arrived := impostor(t, link.Config{Heartbeat: beat}, &wire.Welcome{Serving: true, Tasks: []*wire.Announcement{intTask("square")}})
	b := serving(t, remote.Config{}, "square", square)
	far := placedAt[int, int](newSite(t, remote.Config{}), "square", []task.Option{task.Idempotent()}, addr, b.node.Addr())
	far.PID() // starts it
	s := await(t, "the connection", arrived)
	s.conn.SetStatus(&wire.Status{Capacity: 1000})
	s.conn.Flush()
	var fs []*task.Future[int]
	for i := range 50 {
		fs = append(fs, far.Submit(t.Context(), i))
	}
	if _, err := s.nc.Write([]byte("\x00\x00\x00\x05hello")); err != nil {
		t.Fatal(err)
	}
	await(t, "the end", s.over)
	for i, f := range fs {
		if v := value(t, f); v != i*i {
			t.Errorf("got %d", v)
		}
	}
}

func TestAFloodOfCallsEndsItsConnectionOnly(t *testing.T) {
	l := newLatch()
	b := newSite(t, remote.Config{Capacity: 1})
	offer(b, "wait", l.pass)
	offer(b, "square", square)
	b.serve()
	s := intrude(t, b.node.Addr(), link.Config{Heartbeat: time.Minute}, intTask("wait"))
	for id := uint64(1); id <= 70_000; id++ {
		s.conn.AddCall(&wire.Call{Id: id, Attempt: 1, Payload: []byte{5}}, wire.Names{Task: "wait", Codec: "cbor"})
		if id%1000 == 0 {
			s.conn.Flush()
		}
	}
	if err := await(t, "the end", s.over); err == nil {
		t.Error("it ended without a reason")
	}
	if err := await(t, "the end of the call that ran", l.ended); err == nil {
		t.Error("it ended without a reason")
	}
	far := placed[int, int](newSite(t, remote.Config{}), "square", nil, b)
	serves(t, far)
}
