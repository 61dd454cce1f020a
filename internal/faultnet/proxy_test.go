package faultnet_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/internal/faultnet"
)

// A hold is taken for one if nothing comes for so long; what is let through
// takes a fraction of it.
const hush = 50 * time.Millisecond

// server accepts at a port of its own and hands the connections out.
type server struct {
	addr     string
	accepted chan net.Conn
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String(), accepted: make(chan net.Conn, 100)}
	var loop sync.WaitGroup
	loop.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted <- c
		}
	})
	t.Cleanup(func() {
		l.Close()
		loop.Wait()
		for len(s.accepted) > 0 {
			(<-s.accepted).Close()
		}
	})
	return s
}

// next waits for a connection.
func (s *server) next(t *testing.T) net.Conn {
	t.Helper()
	select {
	case c := <-s.accepted:
		return bounded(t, c)
	case <-time.After(10 * time.Second):
		t.Fatal("no connection reached the server")
		return nil
	}
}

// bounded lets a test fail rather than hang.
func bounded(t *testing.T, c net.Conn) net.Conn {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

func newProxy(t *testing.T, target string) *faultnet.Proxy {
	t.Helper()
	p, err := faultnet.NewProxy(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func dialProxy(t *testing.T, p *faultnet.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return bounded(t, c)
}

// through returns a proxy and the two ends of a connection through it. The
// proxy may not know yet that its dial has succeeded.
func through(t *testing.T) (p *faultnet.Proxy, client, served net.Conn) {
	t.Helper()
	s := newServer(t)
	p = newProxy(t, s.addr)
	client = dialProxy(t, p)
	return p, client, s.next(t)
}

// held expects that nothing comes for a while.
func held(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(hush))
	ends(t, c, os.ErrDeadlineExceeded)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
}

// dies expects an end that is not a regular one.
func dies(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Read(make([]byte, 1))
	if err == nil || err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Read: got %v, want a reset", err)
	}
}

// refuses expects that a new connection is reset, be it while it is dialled.
func refuses(t *testing.T, p *faultnet.Proxy) {
	t.Helper()
	if c, err := net.Dial("tcp", p.Addr()); err == nil {
		dies(t, bounded(t, c))
	}
}

func TestProxyPassesBytesAndEndsOn(t *testing.T) {
	p, client, served := through(t)
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	var writer sync.WaitGroup
	writer.Go(func() {
		client.Write(big)
		client.(*net.TCPConn).CloseWrite()
	})
	got, err := io.ReadAll(served)
	writer.Wait()
	if err != nil || !bytes.Equal(got, big) {
		t.Fatalf("%d bytes came (%v), want the %d that were sent", len(got), err, len(big))
	}
	write(t, served, "the other way is open")
	served.Close()
	reads(t, client, "the other way is open")
	ends(t, client, io.EOF)
	p.Close()
	want := faultnet.Counts{Accepted: 1, Sent: int64(len(big)), Received: int64(len("the other way is open"))}
	if got := p.Counts(); got != want {
		t.Errorf("counts: got %+v, want %+v", got, want)
	}
}

func TestProxyPassesResetsOn(t *testing.T) {
	_, client, served := through(t)
	served.(*net.TCPConn).SetLinger(0)
	served.Close()
	dies(t, client)
}

func TestProxyDelays(t *testing.T) {
	p, client, served := through(t)
	p.Delay(hush)
	began := time.Now()
	write(t, client, "ping")
	reads(t, served, "ping")
	write(t, served, "pong")
	reads(t, client, "pong")
	if got := time.Since(began); got < 2*hush {
		t.Errorf("both ways took %v, want at least %v", got, 2*hush)
	}
	p.Delay(time.Hour)
	write(t, client, "ping")
	held(t, served)
	p.Pass() // ends the hour
	reads(t, served, "ping")
}

func TestProxyStallsLiveAndNewConnections(t *testing.T) {
	s := newServer(t)
	p := newProxy(t, s.addr)
	client := dialProxy(t, p)
	served := s.next(t)
	p.Stall()
	write(t, client, "held")
	client.Close()
	held(t, served)
	young := dialProxy(t, p)
	write(t, young, "held, too")
	held(t, young)
	if len(s.accepted) > 0 {
		t.Error("a new connection reached the server")
	}
	if got := p.Counts(); got.Live != 2 || got.Sent != 0 {
		t.Errorf("counts: got %+v, want 2 live connections and nothing sent", got)
	}
	p.Pass()
	reads(t, served, "held")
	ends(t, served, io.EOF)
	reads(t, s.next(t), "held, too")
}

func TestAStalledProxyStopsTheWriter(t *testing.T) {
	p, client, served := through(t)
	var drain sync.WaitGroup
	drain.Go(func() { io.Copy(io.Discard, served) })
	p.Stall()
	client.SetWriteDeadline(time.Now().Add(time.Second))
	sent, err := client.Write(make([]byte, 64<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write of 64 MiB: got %d, %v; want it to be stuck", sent, err)
	}
	p.Close()
	drain.Wait()
}

func TestProxyDropsUntilAnotherMode(t *testing.T) {
	p, client, served := through(t)
	write(t, client, "live")
	reads(t, served, "live")
	p.Drop()
	dies(t, client)
	dies(t, served)
	for range 3 {
		refuses(t, p)
	}
	if got := p.Counts(); got.Refused != 3 {
		t.Errorf("counts: got %+v, want 3 refused", got)
	}
	p.Pass()
	c := dialProxy(t, p)
	write(t, c, "again")
	if got := p.Counts().Refused; got != 3 {
		t.Errorf("%d refused after Pass, want still 3", got)
	}
}

func TestDropEndsWhatIsStalled(t *testing.T) {
	s := newServer(t)
	p := newProxy(t, s.addr)
	live := dialProxy(t, p)
	s.next(t)
	p.Stall()
	write(t, live, "held")
	young := dialProxy(t, p)
	held(t, young) // until it is accepted, Drop refuses it
	p.Drop()
	dies(t, live)
	dies(t, young)
}

func TestProxyTruncates(t *testing.T) {
	s := newServer(t)
	p := newProxy(t, s.addr)
	client := dialProxy(t, p)
	served := s.next(t)
	write(t, client, "before,")
	reads(t, served, "before,")
	p.Truncate(5)
	write(t, client, "012")
	reads(t, served, "012")
	write(t, served, "abc") // counted for itself
	reads(t, client, "abc")
	write(t, client, "3456789")
	reads(t, served, "34")
	ends(t, served, io.EOF)
	dies(t, client)

	p.Truncate(0)
	young := dialProxy(t, p)
	served = s.next(t)
	write(t, young, "x")
	ends(t, served, io.EOF)
}

func TestProxyDuplicates(t *testing.T) {
	p, client, served := through(t)
	p.Duplicate()
	write(t, client, "abc")
	reads(t, served, "abcabc")
	p.Pass()
	write(t, client, "def")
	reads(t, served, "def")
	p.Close()
	if got, want := p.Counts().Sent, int64(9); got != want {
		t.Errorf("bytes sent: got %d, want %d", got, want)
	}
}

func TestProxyFlipsABit(t *testing.T) {
	p, client, served := through(t)
	p.Flip()
	write(t, client, "abcde")
	reads(t, served, "abbde")
}

func TestProxyRetargets(t *testing.T) {
	first, second := newServer(t), newServer(t)
	p := newProxy(t, first.addr)
	old := dialProxy(t, p)
	served := first.next(t)
	if err := p.Retarget(second.addr); err != nil {
		t.Fatal(err)
	}
	write(t, dialProxy(t, p), "new")
	reads(t, second.next(t), "new")
	write(t, old, "old")
	reads(t, served, "old")
	if err := p.Retarget("nowhere"); err == nil || !strings.Contains(err.Error(), `proxy for "nowhere": want host:port`) {
		t.Errorf("Retarget: got %v, want an error that asks for host:port", err)
	}
}

func TestProxyResetsWhoComesWhenTheTargetIsAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	p := newProxy(t, addr)
	refuses(t, p)
	if got := p.Counts(); got.Accepted != 1 || got.Refused != 1 {
		t.Errorf("counts: got %+v, want one accepted and refused", got)
	}
}

func TestNewProxyRefusesATargetWithoutPort(t *testing.T) {
	if p, err := faultnet.NewProxy("nowhere"); err == nil || p != nil {
		t.Errorf("got %v, %v; want an error", p, err)
	}
}

func TestProxyCloseLeavesNothing(t *testing.T) {
	for name, mode := range map[string]func(*faultnet.Proxy){
		"passing": (*faultnet.Proxy).Pass,
		"slow":    func(p *faultnet.Proxy) { p.Delay(time.Hour) },
		"stalled": (*faultnet.Proxy).Stall,
	} {
		t.Run(name, func(t *testing.T) {
			p, client, served := through(t)
			write(t, client, "live")
			reads(t, served, "live")
			mode(p)
			write(t, client, "x")
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if err := p.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
			dies(t, client)
			if _, err := io.ReadAll(served); err == nil {
				t.Error("the server's end was closed regularly, want a reset")
			}
			if got := p.Counts().Live; got != 0 {
				t.Errorf("%d connections live after Close", got)
			}
			if c, err := net.Dial("tcp", p.Addr()); err == nil {
				c.Close()
				t.Error("the port is still open")
			}
		})
	}
}

// Modes change, connections come and go, and Close comes in between.
func TestProxyUnderFire(t *testing.T) {
	p := newProxy(t, newServer(t).addr)
	modes := []func(){p.Pass, p.Stall, p.Drop, p.Duplicate, p.Flip, func() { p.Truncate(3) }, func() { p.Delay(time.Millisecond) }}
	tries, done := make(chan int), make(chan struct{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := 0; ; i++ {
				if c, err := net.Dial("tcp", p.Addr()); err == nil {
					c.SetDeadline(time.Now().Add(5 * time.Millisecond))
					c.Write([]byte("hello"))
					c.Read(make([]byte, 5))
					c.Close()
				}
				select {
				case tries <- i:
				case <-done:
					return
				}
			}
		})
	}
	for i := range 40 {
		modes[i%len(modes)]()
		<-tries
	}
	p.Close()
	if got := p.Counts(); got.Live != 0 || got.Accepted == 0 {
		t.Errorf("after Close: got %+v, want none live, and some accepted before", got)
	}
	close(done)
	all.Wait()
}
