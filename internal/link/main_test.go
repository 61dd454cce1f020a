package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/internal/child"
	"github.com/troupe-go/troupe/remote/wire"
)

// answerFor does the work of a child process, in one.
var answerFor = func() {}

func TestMain(m *testing.M) {
	answerFor()
	goleak.VerifyTestMain(m)
}

// patience bounds what should take no time, so that a test that hangs ends.
const patience = 30 * time.Second

var errDone = errors.New("the test is over")

// sockets returns both ends of a connection: tcp, tls or pipe.
func sockets(t testing.TB, network string) (client, server net.Conn) {
	t.Helper()
	if network == "pipe" {
		return net.Pipe()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	if network == "tls" {
		ours, theirs := credentials(t)
		return tls.Client(client, ours), tls.Server(server, theirs)
	}
	return client, server
}

// credentials are of a parent and its child.
func credentials(t testing.TB) (ours, theirs *tls.Config) {
	t.Helper()
	ours, text, err := child.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err = child.ParseCredentials(text); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// A result is what both ends of a handshake made of it.
type result struct {
	client, server       *Conn
	welcome              *wire.Welcome
	hello                *wire.Hello
	clientErr, serverErr error
}

func named(cfg Config, name string) Config {
	if cfg.Name == "" {
		cfg.Name = name
	}
	return cfg
}

// shakeHands does both ends of a handshake.
func shakeHands(client, server net.Conn, ours, theirs Config) (r result) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.server, r.hello, r.serverErr = Accept(context.Background(), server, named(theirs, "beta"), answering(nil))
	}()
	r.client, r.welcome, r.clientErr = Dial(context.Background(), client, named(ours, "alpha"), nil)
	<-done
	return r
}

// answering answers every Hello with w.
func answering(w *wire.Welcome) func(*wire.Hello) *wire.Welcome {
	return func(*wire.Hello) *wire.Welcome { return w }
}

// A pair is two ends of a connection.
type pair struct {
	client, server         *Conn
	clientEnded, serverEnd chan error
}

func connect(t testing.TB, network string, ours, theirs Config) *pair {
	t.Helper()
	client, server := sockets(t, network)
	r := shakeHands(client, server, ours, theirs)
	if r.clientErr != nil || r.serverErr != nil {
		t.Fatalf("client %v, server %v", r.clientErr, r.serverErr)
	}
	return &pair{client: r.client, server: r.server, clientEnded: make(chan error, 1), serverEnd: make(chan error, 1)}
}

func (p *pair) serve(client, server func(*wire.Envelope)) {
	go func() { p.clientEnded <- p.client.Serve(client) }()
	go func() { p.serverEnd <- p.server.Serve(server) }()
}

func (p *pair) close() (clientErr, serverErr error) {
	p.client.Close(errDone)
	p.server.Close(errDone)
	return <-p.clientEnded, <-p.serverEnd
}
