package link

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/remote/wire"
)

// served returns what Dial makes of a server that answers e.
func served(t *testing.T, e *wire.Envelope) error {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		p := newPreamble(Config{}.must(), false)
		_, _ = io.ReadFull(server, make([]byte, preambleBytes))
		_, _ = server.Write(p[:])
		r := reader{src: server, most: handshakeBytes}
		_, _ = r.frame()
		frame, _ := appendFrame(nil, e)
		_, _ = server.Write(frame)
	}()
	c, _, err := Dial(t.Context(), client, Config{Incarnation: 5}, nil)
	if c != nil {
		c.Close(nil)
	}
	return err
}

func TestDialWantsAWelcomeThatFits(t *testing.T) {
	for want, change := range map[string]func(*wire.Envelope){
		"":                                   func(*wire.Envelope) {},
		"the other side sent something else": func(e *wire.Envelope) { e.Welcome = nil },
		"for another incarnation":            func(e *wire.Envelope) { e.To++ },
		"number 2 came where 1 was due":      func(e *wire.Envelope) { e.Seq = 2 },
		"speaks version 0 where 1":           func(e *wire.Envelope) { e.Welcome.Version = 0 },
		"welcome.incarnation":                func(e *wire.Envelope) { e.Welcome.Incarnation++ },
		"no common protocol version":         func(e *wire.Envelope) { e.Welcome.Versions = nil },
	} {
		e := &wire.Envelope{Version: 1, From: 6, To: 5, Seq: 1, Welcome: &wire.Welcome{Version: 1, Versions: wire.Supported(), Incarnation: 6}}
		change(e)
		if err := served(t, e); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestAcceptWantsAHelloThatFits(t *testing.T) {
	for want, change := range map[string]func(*wire.Envelope){
		"":                                   func(*wire.Envelope) {},
		"the other side sent something else": func(e *wire.Envelope) { e.Hello, e.To = nil, 6 },
		"it is number 1, to 7":               func(e *wire.Envelope) { e.To = 7 },
		"it is number 2, to 0":               func(e *wire.Envelope) { e.Seq = 2 },
		"hello.incarnation":                  func(e *wire.Envelope) { e.From++ },
	} {
		client, server := net.Pipe()
		e := &wire.Envelope{Version: 1, From: 5, Seq: 1, Hello: &wire.Hello{Incarnation: 5, Versions: wire.Supported()}}
		change(e)
		go func() {
			p := newPreamble(Config{}.must(), false)
			_, _ = client.Write(p[:])
			_, _ = io.ReadFull(client, make([]byte, preambleBytes))
			frame, _ := appendFrame(nil, e)
			_, _ = client.Write(frame)
			_, _ = io.Copy(io.Discard, client)
		}()
		c, _, err := Accept(t.Context(), server, Config{Incarnation: 6}, answering(nil))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if c != nil {
			c.Close(nil)
		}
		client.Close()
	}
}

// A peer that goes away in the middle of TLS has refused nothing.
func TestAPeerThatEndsWithinTLSIsNoRefusal(t *testing.T) {
	ours, _ := credentials(t)
	client, server := sockets(t, "tcp")
	client.Close()
	_, _, err := Accept(t.Context(), tls.Server(server, ours), Config{}, answering(nil))
	if err == nil || errors.Is(err, ErrRefused) || !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

// sticky does not end a write because it is closed.
type sticky struct {
	net.Conn
	gate chan struct{}
}

func (s *sticky) Write(p []byte) (int, error) {
	if s.gate != nil {
		<-s.gate
	}
	return s.Conn.Write(p)
}

func TestServeReturnsAfterTheLastOfItsGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		nc := &sticky{Conn: client}
		r := shakeHands(nc, server, Config{}, Config{})
		if r.clientErr != nil || r.serverErr != nil {
			t.Fatal(r.clientErr, r.serverErr)
		}
		nc.gate = make(chan struct{})
		ended := make(chan error, 1)
		go func() { ended <- r.client.Serve(func(*wire.Envelope) {}) }()
		r.client.AddStarted(1)
		r.client.Kick()
		synctest.Wait()
		r.client.Close(errDone)
		synctest.Wait()
		select {
		case <-ended:
			t.Error("Serve returned while its goroutine writes")
		default:
		}
		close(nc.gate)
		if err := <-ended; err != errDone {
			t.Errorf("got %v", err)
		}
		r.server.Close(nil)
	})
}
