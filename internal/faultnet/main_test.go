package faultnet_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/internal/faultnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inBubble runs fn with a network in fake time and lets it end with nothing
// open.
func inBubble(t *testing.T, fn func(t *testing.T, n *faultnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.New(1)
		t.Cleanup(func() {
			if open := n.Open(); open != 0 {
				t.Errorf("at the end %d ends of connections are open, want none", open)
			}
		})
		fn(t, n)
	})
}

func listen(t *testing.T, n *faultnet.Network, addr string) net.Listener {
	t.Helper()
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// connect returns the ends of a connection from host a to b:1, a's first.
func connect(t *testing.T, n *faultnet.Network) (a, b net.Conn) {
	t.Helper()
	l := listen(t, n, "b:1")
	a, err := n.Dial(t.Context(), "a", "b:1")
	if err != nil {
		t.Fatal(err)
	}
	b, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	l.Close()
	return a, b
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatalf("write %q: %v", text, err)
	}
}

// reads expects exactly that text next.
func reads(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

// ends expects that nothing but this error can be read.
func ends(t *testing.T, c net.Conn, want error) {
	t.Helper()
	if got, err := c.Read(make([]byte, 1)); got != 0 || !errors.Is(err, want) {
		t.Fatalf("read %d bytes, %v; want none and %v", got, err, want)
	}
}

// result is what a call on another goroutine returned, and when.
type result struct {
	n    int
	err  error
	took time.Duration
}

func start(fn func() (int, error)) <-chan result {
	done, began := make(chan result, 1), time.Now()
	go func() {
		n, err := fn()
		done <- result{n: n, err: err, took: time.Since(began)}
	}()
	return done
}

// waits expects that the call has not returned and would not by itself.
func waits(t *testing.T, done <-chan result) {
	t.Helper()
	select {
	case r := <-done:
		t.Fatalf("returned %d, %v after %v; want it to wait", r.n, r.err, r.took)
	case <-time.After(time.Hour):
	}
}
