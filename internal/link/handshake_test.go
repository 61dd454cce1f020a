package link

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

func TestHandshakeTellsBothSidesWhoTheOtherIs(t *testing.T) {
	for _, network := range []string{"pipe", "tcp", "tls"} {
		for _, token := range []string{"", "secret"} {
			client, server := sockets(t, network)
			r := shakeHands(client, server,
				Config{Incarnation: 5, Name: "alpha", Address: "10.0.0.1:4000", Token: token},
				Config{Incarnation: 6, Name: "beta", Token: token})
			if r.clientErr != nil || r.serverErr != nil {
				t.Fatalf("%s, token %q: client %v, server %v", network, token, r.clientErr, r.serverErr)
			}
			if got, want := r.server.Peer(), (Peer{Incarnation: 5, Name: "alpha", Address: "10.0.0.1:4000", Version: 1}); got != want {
				t.Errorf("%s: the server sees %+v, want %+v", network, got, want)
			}
			if got, want := r.client.Peer(), (Peer{Incarnation: 6, Name: "beta", Address: client.RemoteAddr().String(), Version: 1}); got != want {
				t.Errorf("%s: the client sees %+v, want %+v", network, got, want)
			}
			if r.hello.GetName() != "alpha" || r.welcome.GetName() != "beta" {
				t.Errorf("%s: hello %v, welcome %v", network, r.hello, r.welcome)
			}
			r.client.Close(nil)
			r.server.Close(nil)
		}
	}
}

func TestHandshakeCarriesAnnouncements(t *testing.T) {
	client, server := net.Pipe()
	go func() {
		c, hello, err := Accept(context.Background(), server, Config{}, func(h *wire.Hello) *wire.Welcome {
			return &wire.Welcome{Serving: true, Tasks: h.GetTasks(), Name: "own"}
		})
		if err != nil || hello.GetTasks()[0].GetName() != "square" {
			t.Errorf("got %v, %v", hello, err)
		}
		c.Close(nil)
	}()
	c, w, err := Dial(t.Context(), client, Config{}, &wire.Hello{Tasks: []*wire.Announcement{{Name: "square"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(nil)
	if !w.GetServing() || w.GetTasks()[0].GetName() != "square" || w.GetName() != "own" || c.Peer().Name != "own" {
		t.Errorf("got %v", w)
	}
}

func TestHandshakeWantsTheSameTokenOnBothSides(t *testing.T) {
	for _, network := range []string{"pipe", "tcp", "tls"} {
		for _, c := range []struct{ ours, theirs, client, server string }{
			{"", "a", "the other side wants a token and this side has none", "this side has a token and the other side has none"},
			{"a", "", "this side has a token and the other side has none", "the other side wants a token and this side has none"},
			{"a", "b", "the other side has another token", "the other side has another token"},
			{"a", "aa", "the other side has another token", "the other side has another token"},
		} {
			client, server := sockets(t, network)
			r := shakeHands(client, server, Config{Token: c.ours}, Config{Token: c.theirs})
			for side, got := range map[string]struct {
				err  error
				want string
			}{"client": {r.clientErr, c.client}, "server": {r.serverErr, c.server}} {
				if !errors.Is(got.err, ErrRefused) || !strings.HasSuffix(got.err.Error(), got.want) {
					t.Errorf("%s, tokens %q and %q, %s: got %v, want %s", network, c.ours, c.theirs, side, got.err, got.want)
				}
			}
		}
	}
}

func TestErrorsOfTheHandshakeNameBothSides(t *testing.T) {
	client, server := sockets(t, "tcp")
	r := shakeHands(client, server, Config{Token: "a"}, Config{})
	if got, want := r.clientErr.Error(), "link: alpha to "+client.RemoteAddr().String()+": handshake: preamble: refused:"; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
	if got, want := r.serverErr.Error(), "link: beta from "+server.RemoteAddr().String()+": handshake: "; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
}

func TestTokenNeverCrossesTheWire(t *testing.T) {
	const token = "correct horse battery staple"
	client, server := sockets(t, "tcp")
	tap := &recorder{Conn: client}
	r := shakeHands(tap, server, Config{Token: token}, Config{Token: token})
	if r.clientErr != nil || r.serverErr != nil {
		t.Fatal(r.clientErr, r.serverErr)
	}
	r.client.Close(nil)
	r.server.Close(nil)
	if all := string(tap.sent) + string(tap.got); strings.Contains(all, token) || !strings.Contains(all, "alpha") {
		t.Errorf("%q crossed the wire", all)
	}
}

// recorder keeps what went over a connection.
type recorder struct {
	net.Conn
	sent, got []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.sent = append(r.sent, b...)
	return r.Conn.Write(b)
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.got = append(r.got, b[:n]...)
	return n, err
}

// Whoever knows no token can send back what it gets.
func TestProofsAreOfNoUseWhenReflected(t *testing.T) {
	client, server := net.Pipe()
	go func() { // a mirror
		buf := make([]byte, 1024)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if n == proofBytes {
				client.Write([]byte{proofRight})
			}
			client.Write(buf[:n])
		}
	}()
	c, _, err := Dial(t.Context(), server, Config{Token: "a"}, nil)
	if c != nil || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "could not prove") {
		t.Errorf("got %v", err)
	}
	client.Close()
}

func TestProofsAreOfNoUseOnAnotherConnection(t *testing.T) {
	a, b := newPreamble(Config{Token: "a"}, false), newPreamble(Config{Token: "a"}, false)
	first := prove("a", roleDial, &a, &b, nil)
	for what, other := range map[string][]byte{
		"other nonces":       prove("a", roleDial, &b, &a, nil),
		"the other role":     prove("a", roleAccept, &a, &b, nil),
		"another TLS":        prove("a", roleDial, &a, &b, []byte("key")),
		"another token":      prove("b", roleDial, &a, &b, nil),
		"binding as a nonce": prove("a", roleDial, &a, &b, b[:]),
	} {
		if slices.Equal(first, other) {
			t.Errorf("the proof is the same with %s", what)
		}
	}
	if !slices.Equal(first, prove("a", roleDial, &a, &b, nil)) {
		t.Error("the same proof differs")
	}
}

// Between two TLS connections somebody passes everything on.
func TestProofsAreBoundToTheTLSConnection(t *testing.T) {
	ours, theirs := credentials(t)
	client, inner := sockets(t, "tcp")
	outer, server := sockets(t, "tcp")
	left, right := tls.Server(inner, theirs), tls.Client(outer, ours) // has stolen credentials
	relay := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{left, right}, {right, left}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			way[0].Close()
			relay <- struct{}{}
		}()
	}
	r := shakeHands(tls.Client(client, ours), tls.Server(server, theirs), Config{Token: "a"}, Config{Token: "a"})
	if !errors.Is(r.clientErr, ErrRefused) || !errors.Is(r.serverErr, ErrRefused) {
		t.Errorf("client %v, server %v", r.clientErr, r.serverErr)
	}
	client.Close()
	server.Close()
	<-relay
	<-relay
}

func TestTLSWithWrongCertificatesIsRefused(t *testing.T) {
	ours, _ := credentials(t)
	stranger, _ := credentials(t)
	stranger = &tls.Config{InsecureSkipVerify: true, Certificates: stranger.Certificates}
	for name, cfg := range map[string]*tls.Config{"stranger": stranger, "nobody": {InsecureSkipVerify: true}} {
		client, server := sockets(t, "tcp")
		r := shakeHands(tls.Client(client, cfg), tls.Server(server, ours), Config{}, Config{})
		if !errors.Is(r.clientErr, ErrRefused) || !errors.Is(r.serverErr, ErrRefused) {
			t.Errorf("%s: client %v, server %v", name, r.clientErr, r.serverErr)
		}
	}
	client, server := sockets(t, "tcp")
	r := shakeHands(tls.Client(client, ours), tls.Server(server, &tls.Config{Certificates: stranger.Certificates}), Config{}, Config{})
	if !errors.Is(r.clientErr, ErrRefused) || !errors.Is(r.serverErr, ErrRefused) {
		t.Errorf("server is a stranger: client %v, server %v", r.clientErr, r.serverErr)
	}
}

func TestTLSOnOneSideOnlyIsToldToBoth(t *testing.T) {
	ours, theirs := credentials(t)
	for range 3 {
		client, server := sockets(t, "tcp")
		start := time.Now()
		r := shakeHands(tls.Client(client, ours), server, Config{}, Config{})
		if !errors.Is(r.clientErr, ErrRefused) || !strings.Contains(r.clientErr.Error(), "a node that does not use TLS") {
			t.Errorf("client with TLS: %v", r.clientErr)
		}
		if !errors.Is(r.serverErr, ErrRefused) || !strings.Contains(r.serverErr.Error(), "speaks TLS, and this side does not") {
			t.Errorf("server without: %v", r.serverErr)
		}
		client, server = sockets(t, "tcp")
		r = shakeHands(client, tls.Server(server, theirs), Config{}, Config{})
		if !errors.Is(r.clientErr, ErrRefused) || !strings.Contains(r.clientErr.Error(), "speaks TLS, and this side does not") {
			t.Errorf("client without TLS: %v", r.clientErr)
		}
		if !errors.Is(r.serverErr, ErrRefused) || !strings.Contains(r.serverErr.Error(), "a node that does not use TLS") {
			t.Errorf("server with: %v", r.serverErr)
		}
		if d := time.Since(start); d > defaultHandshake {
			t.Errorf("it took %v", d)
		}
	}
}

func TestRefusalArrivesAsTheError(t *testing.T) {
	want := &task.TimeoutError{Kind: task.QueueWait, After: time.Second}
	client, server := net.Pipe()
	errs := make(chan error, 1)
	go func() {
		_, _, err := Accept(context.Background(), server, Config{Name: "beta"}, answering(&wire.Welcome{Refusal: wire.EncodeError(want)}))
		errs <- err
	}()
	c, _, err := Dial(t.Context(), client, Config{}, nil)
	for _, err := range []error{err, <-errs} {
		var refusal *RefusalError
		var timeout *task.TimeoutError
		if !errors.As(err, &refusal) || refusal.By != "beta" || !errors.As(err, &timeout) || *timeout != *want {
			t.Errorf("got %v", err)
		}
	}
	if c != nil {
		t.Error("got a connection")
	}
}

func TestVersionsWithNoneInCommonAreToldToBoth(t *testing.T) {
	for _, c := range []struct{ ours, theirs *wire.Versions }{
		{&wire.Versions{Min: 2, Max: 3}, wire.Supported()},
		{wire.Supported(), &wire.Versions{Min: 2, Max: 3}},
	} {
		client, server := net.Pipe()
		r := shakeHands(client, server, Config{versions: c.ours}, Config{versions: c.theirs})
		var there, here *wire.VersionError
		if !errors.As(r.clientErr, &there) || there.OurMax != c.ours.Max || there.TheirMin != c.theirs.Min || there.TheirMax != c.theirs.Max {
			t.Errorf("client: %v", r.clientErr)
		}
		if !errors.As(r.serverErr, &here) || here.OurMax != c.theirs.Max || here.TheirMin != c.ours.Min || here.TheirMax != c.ours.Max {
			t.Errorf("server: %v", r.serverErr)
		}
	}
}

func TestVersionsInCommonAreAgreedOn(t *testing.T) {
	client, server := net.Pipe()
	r := shakeHands(client, server, Config{versions: &wire.Versions{Min: 1, Max: 7}}, Config{})
	if r.clientErr != nil || r.serverErr != nil || r.client.Peer().Version != 1 || r.server.Peer().Version != 1 {
		t.Fatalf("got %+v", r)
	}
	r.client.Close(nil)
	r.server.Close(nil)
}

func TestHandshakeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, side := range []string{"dial", "accept"} {
			client, server := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, server) }()
			start := time.Now()
			var err error
			if side == "dial" {
				_, _, err = Dial(t.Context(), client, Config{Handshake: 3 * time.Second}, nil)
			} else {
				_, _, err = Accept(t.Context(), client, Config{Handshake: 3 * time.Second}, answering(nil))
			}
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not done within 3s") || time.Since(start) != 3*time.Second {
				t.Errorf("%s: %v after %v", side, err, time.Since(start))
			}
			server.Close()
		}
	})
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("no more interest")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		client, server := net.Pipe()
		start := time.Now()
		_, _, err := Dial(ctx, client, Config{}, nil)
		if !errors.Is(err, cause) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, err := client.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the connection is open: %v", err)
		}
		server.Close()
	})
}

func TestHandshakeNamesAllFaultsOfAConfig(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	_, _, err := Dial(t.Context(), client, Config{Heartbeat: time.Millisecond, Handshake: -1, Bounds: wire.Bounds{Bytes: 5, Items: -1}}, nil)
	for _, want := range []string{"Heartbeat 1ms", "Handshake -1ns", "Bounds.Bytes 5", "-1 items"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to hold %q", err, want)
		}
	}
	if _, err := client.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the connection is open: %v", err)
	}
}
