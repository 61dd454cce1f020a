package faultnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/internal/faultnet"
)

func TestBytesGoBothWays(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		write(t, a, "pi")
		write(t, a, "ng")
		reads(t, b, "ping")
		write(t, b, "pong")
		reads(t, a, "po")
		reads(t, a, "ng")
		if got, want := b.LocalAddr().String(), "b:1"; got != want {
			t.Errorf("address of the listening end: got %s, want %s", got, want)
		}
		if got, want := b.RemoteAddr(), a.LocalAddr(); got != want {
			t.Errorf("b's other end: got %v, want %v", got, want)
		}
	})
}

func TestCloseEndsTheOtherSideBehindWhatWasSent(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		n.Latency(time.Second, time.Second)
		write(t, a, "last words")
		a.Close()
		write(t, b, "b cannot know yet")
		reads(t, b, "last words")
		ends(t, b, io.EOF)
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write to a closed end: got %v, want %v", err, syscall.EPIPE)
		}
		ends(t, a, net.ErrClosed)
		if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write at a closed end: got %v, want %v", err, net.ErrClosed)
		}
		if err := a.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: got %v, want %v", err, net.ErrClosed)
		}
		if err := a.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetDeadline after Close: got %v, want %v", err, net.ErrClosed)
		}
	})
}

func TestCloseWakesReadAndWriteAtBothEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		n.Latency(time.Minute, time.Minute)
		read := start(func() (int, error) { return a.Read(make([]byte, 1)) })
		wrote := start(func() (int, error) { return a.Write(make([]byte, 100_000)) })
		theirs := start(func() (int, error) { return b.Write(make([]byte, 100_000)) })
		synctest.Wait()
		a.Close()
		if r := <-read; !errors.Is(r.err, net.ErrClosed) || r.took != 0 {
			t.Errorf("Read: got %v after %v, want %v at once", r.err, r.took, net.ErrClosed)
		}
		if r := <-wrote; !errors.Is(r.err, net.ErrClosed) || r.n != 64<<10 {
			t.Errorf("Write: got %d, %v; want 64 KiB sent and %v", r.n, r.err, net.ErrClosed)
		}
		if r := <-theirs; !errors.Is(r.err, syscall.EPIPE) || r.took != time.Minute {
			t.Errorf("Write at the other end: got %v after %v, want %v when the end has arrived", r.err, r.took, syscall.EPIPE)
		}
	})
}

func TestOpenCountsWhatNobodyHasClosed(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		n.Kill("b") // closes nothing in its owner's place
		for _, step := range []struct {
			do   func() error
			want int
		}{{do: func() error { return nil }, want: 2}, {do: a.Close, want: 1}, {do: b.Close, want: 0}} {
			if err := step.do(); err != nil {
				t.Error(err)
			}
			if got := n.Open(); got != step.want {
				t.Errorf("open ends: got %d, want %d", got, step.want)
			}
		}
	})
}

func TestAWriterWaitsForRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		sent := bytes.Repeat([]byte("0123456789"), 20_000)
		wrote := start(func() (int, error) { return a.Write(sent) })
		waits(t, wrote)
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("what was read differs from what was sent (%v)", err)
		}
		if r := <-wrote; r.n != len(sent) || r.err != nil {
			t.Errorf("Write: got %d, %v; want %d", r.n, r.err, len(sent))
		}
	})
}

func TestWritesAtOnceDoNotMix(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		const size = 100_000
		var writers sync.WaitGroup
		for _, letter := range []string{"x", "y", "z"} {
			writers.Go(func() { io.WriteString(a, strings.Repeat(letter, size)) })
		}
		for range 3 {
			got := make([]byte, size)
			if _, err := io.ReadFull(b, got); err != nil {
				t.Fatal(err)
			}
			if trimmed := bytes.Trim(got, string(got[:1])); len(trimmed) > 0 {
				t.Errorf("a Write of %q has %q in it", got[0], trimmed[0])
			}
		}
		writers.Wait()
	})
}

func TestDeadlinesEndReadAndWrite(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		a.SetReadDeadline(time.Now().Add(time.Second))
		read := <-start(func() (int, error) { return a.Read(make([]byte, 1)) })
		var timeout net.Error
		if !errors.Is(read.err, os.ErrDeadlineExceeded) || !errors.As(read.err, &timeout) || !timeout.Timeout() || read.took != time.Second {
			t.Errorf("Read: got %v after %v, want a timeout after 1s", read.err, read.took)
		}
		a.SetWriteDeadline(time.Now().Add(time.Second))
		wrote := <-start(func() (int, error) { return a.Write(make([]byte, 100_000)) })
		if !errors.Is(wrote.err, os.ErrDeadlineExceeded) || wrote.n != 64<<10 || wrote.took != time.Second {
			t.Errorf("Write: got %d, %v after %v; want 64 KiB and a timeout after 1s", wrote.n, wrote.err, wrote.took)
		}
		// One set while a call waits counts for it; a zero one ends it.
		pending := start(func() (int, error) { return b.Write(make([]byte, 100_000)) })
		synctest.Wait()
		b.SetDeadline(time.Now())
		if r := <-pending; !errors.Is(r.err, os.ErrDeadlineExceeded) {
			t.Errorf("Write when the deadline came: got %v, want %v", r.err, os.ErrDeadlineExceeded)
		}
		b.SetDeadline(time.Time{})
		reads(t, b, "\x00\x00\x00")
	})
}

func TestErrorsNameBothSides(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		_, err := n.Dial(t.Context(), "a", "b:1")
		if want := "dial faultnet a->b:1: connection refused"; err == nil || err.Error() != want {
			t.Errorf("Dial: got %v, want %s", err, want)
		}
		a, _ := connect(t, n)
		a.Close()
		_, err = a.Read(make([]byte, 1))
		if want := "read faultnet a:49152->b:1: use of closed network connection"; err == nil || err.Error() != want {
			t.Errorf("Read: got %v, want %s", err, want)
		}
	})
}

func TestListenRefusesWhatItCannotServe(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		first := listen(t, n, "a:1")
		if _, err := n.Listen("a:1"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second listener: got %v, want %v", err, syscall.EADDRINUSE)
		}
		for _, addr := range []string{"a", ":1", "a:"} {
			if l, err := n.Listen(addr); err == nil || !strings.Contains(err.Error(), "want host:port") {
				t.Errorf("Listen(%q): got %v, %v; want an error that asks for host:port", addr, l, err)
			}
		}
		x, y := listen(t, n, "a:0"), listen(t, n, "a:0")
		listen(t, n, "a:49154")
		if z := listen(t, n, "a:0"); z.Addr().String() == "a:49154" {
			t.Errorf("port 0 gave %v, which is taken", z.Addr())
		}
		if x.Addr() == y.Addr() || !strings.HasPrefix(x.Addr().String(), "a:") {
			t.Errorf("port 0 twice: got %v and %v, want two addresses of a", x.Addr(), y.Addr())
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		if err := first.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: got %v, want %v", err, net.ErrClosed)
		}
		listen(t, n, "a:1")
	})
}

func TestAClosedListenerResetsWhatItHasNotAccepted(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		l := listen(t, n, "b:1")
		a, err := n.Dial(t.Context(), "a", "b:1")
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		l.Close()
		ends(t, a, syscall.ECONNRESET)
		accepted := <-start(func() (int, error) { _, err := l.Accept(); return 0, err })
		if !errors.Is(accepted.err, net.ErrClosed) {
			t.Errorf("Accept: got %v, want %v", accepted.err, net.ErrClosed)
		}
	})
}

func TestDialTakesARoundTrip(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		n.Latency(time.Second, time.Second)
		began := time.Now()
		connect(t, n)
		if got, want := time.Since(began), 2*time.Second; got != want {
			t.Errorf("Dial took %v, want %v", got, want)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("changed our mind")
		listen(t, n, "b:1")
		dial := start(func() (int, error) { _, err := n.Dial(ctx, "a", "b:1"); return 0, err })
		synctest.Wait()
		cancel(cause)
		if r := <-dial; !errors.Is(r.err, cause) || r.took != 0 {
			t.Errorf("cancelled Dial: got %v after %v, want %v at once", r.err, r.took, cause)
		}
	})
}
