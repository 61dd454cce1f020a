package link

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

func TestConnCarriesAllKindsOfThings(t *testing.T) {
	for _, network := range []string{"pipe", "tcp", "tls"} {
		p := connect(t, network, Config{}, Config{})
		got := make(chan *wire.Envelope, 10)
		p.serve(func(*wire.Envelope) {}, func(e *wire.Envelope) { got <- e })
		c := p.client
		c.AddCall(&wire.Call{Id: 1, Payload: []byte("x")}, wire.Names{Task: "square", Codec: "cbor"})
		c.AddAnswer(&wire.Answer{Id: 2}, "")
		c.AddCancel(&wire.Cancel{Id: 3})
		c.AddStarted(4)
		c.AddLimits(&wire.Limits{Releases: []uint64{5}})
		c.SetStatus(&wire.Status{Credit: 6})
		c.SetWelcome(&wire.Welcome{Serving: true})
		c.Kick()
		e := <-got
		if e.GetCalls()[0].GetId() != 1 || e.Name(e.GetCalls()[0].GetTask()) != "square" || e.GetAnswers()[0].GetId() != 2 ||
			e.GetCancels()[0].GetId() != 3 || e.GetStarted()[0] != 4 || e.GetLimits().GetReleases()[0] != 5 ||
			e.GetStatus().GetCredit() != 6 || !e.GetWelcome().GetServing() {
			t.Errorf("%s: got %v", network, e)
		}
		if clientErr, serverErr := p.close(); clientErr != errDone || serverErr == nil {
			t.Errorf("%s: Serve returned %v and %v", network, clientErr, serverErr)
		}
	}
}

// Calls of each sender must arrive in its order, all of them once.
func TestConnKeepsOrderAndLosesNothing(t *testing.T) {
	const senders, each = 32, 500
	for _, network := range []string{"pipe", "tcp", "tls"} {
		p := connect(t, network, Config{}, Config{})
		next := make([]uint64, senders)
		all, left := make(chan struct{}), senders*each
		p.serve(func(*wire.Envelope) {}, func(e *wire.Envelope) {
			for _, call := range e.GetCalls() {
				sender := call.GetMember() - 1
				if call.GetId() != next[sender]+1 {
					t.Errorf("%s: sender %d: %d came after %d", network, sender, call.GetId(), next[sender])
				}
				next[sender] = call.GetId()
				if left--; left == 0 {
					close(all)
				}
			}
		})
		var group sync.WaitGroup
		for sender := range uint64(senders) {
			group.Go(func() {
				for id := range uint64(each) {
					p.client.AddCall(&wire.Call{Id: id + 1, Member: sender + 1, Payload: make([]byte, id%300)}, wire.Names{Task: "t", Codec: "c"})
					switch id % 4 {
					case 0:
						p.client.Kick()
					case 1:
						if err := p.client.FlushWait(); err != nil {
							t.Error(err)
						}
					default:
						p.client.Flush()
					}
				}
			})
		}
		group.Wait()
		<-all
		if s := p.server.Stats(); s.Dropped != 0 {
			t.Errorf("%s: received %+v", network, s)
		}
		p.close()
	}
}

func TestFlushWaitReturnsWhenAllIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, "pipe", Config{}, Config{})
		p.client.AddStarted(1)
		done := make(chan error, 2)
		go func() { done <- p.client.FlushWait() }()
		go func() { done <- p.client.FlushWait() }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("FlushWait returned %v while nobody reads", err)
		default:
		}
		p.serve(func(*wire.Envelope) {}, func(*wire.Envelope) {})
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := p.client.FlushWait(); err != nil {
			t.Errorf("with nothing to write: %v", err)
		}
		p.close()
	})
}

func TestFlushWaitReturnsTheEndOfTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, "pipe", Config{}, Config{})
		p.client.AddStarted(1)
		done := make(chan error, 2)
		for range 2 {
			go func() { done <- p.client.FlushWait() }()
		}
		synctest.Wait()
		p.client.Close(errDone)
		for range 2 {
			if err := <-done; err != errDone {
				t.Errorf("got %v", err)
			}
		}
		p.server.Close(nil)
	})
}

func TestFinishDeliversAllBeforeTheEnd(t *testing.T) {
	const n = 2000
	for _, network := range []string{"pipe", "tcp", "tls"} {
		p := connect(t, network, Config{}, Config{})
		got := 0
		p.serve(func(*wire.Envelope) {}, func(e *wire.Envelope) {
			got += len(e.GetAnswers())
			p.server.AddStarted(1) // so that there is something unread at the end
			p.server.Kick()
		})
		for id := range uint64(n) {
			p.client.AddAnswer(&wire.Answer{Id: id + 1, Payload: make([]byte, 1000)}, "cbor")
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := p.client.Finish(ctx); err != nil {
			t.Errorf("%s: Finish: %v", network, err)
		}
		cancel()
		p.client.AddStarted(1)
		if err := <-p.clientEnded; err != ErrClosed {
			t.Errorf("%s: client: %v", network, err)
		}
		if err := <-p.serverEnd; !errors.Is(err, io.EOF) {
			t.Errorf("%s: server: %v", network, err)
		}
		if got != n {
			t.Errorf("%s: %d of %d arrived", network, got, n)
		}
	}
}

func TestFinishIsBoundedByItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, "pipe", Config{}, Config{})
		p.client.AddStarted(1)
		ctx, cancel := context.WithTimeout(t.Context(), 100)
		defer cancel()
		if err := p.client.Finish(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		p.server.Close(nil)
	})
}

func TestConnToleratesMisuse(t *testing.T) {
	t.Run("Serve never called", func(t *testing.T) {
		p := connect(t, "tcp", Config{}, Config{})
		p.client.AddStarted(1)
		p.client.Kick()
		p.client.Close(nil)
		p.client.Close(errDone)
		p.server.Close(nil)
		<-p.client.Done()
		if err := p.client.Err(); err != ErrClosed {
			t.Errorf("got %v", err)
		}
		if err := p.client.Serve(nil); err != ErrClosed {
			t.Errorf("Serve after Close: %v", err)
		}
	})
	t.Run("Serve called twice", func(t *testing.T) {
		p := connect(t, "tcp", Config{}, Config{})
		got := make(chan struct{}, 1)
		p.serve(func(*wire.Envelope) {}, func(*wire.Envelope) { got <- struct{}{} })
		p.client.AddStarted(1)
		p.client.Flush()
		<-got
		if err := p.server.Serve(nil); err != errTwice {
			t.Errorf("got %v", err)
		}
		p.close()
	})
	t.Run("Close within receive", func(t *testing.T) {
		p := connect(t, "tls", Config{}, Config{})
		p.serve(func(*wire.Envelope) {}, func(*wire.Envelope) { p.server.Close(errDone) })
		p.client.AddStarted(1)
		p.client.Flush()
		if err := <-p.serverEnd; err != errDone {
			t.Errorf("server: %v", err)
		}
		if err := <-p.clientEnded; !errors.Is(err, io.EOF) {
			t.Errorf("client: %v", err)
		}
	})
	t.Run("everything after the end", func(t *testing.T) {
		p := connect(t, "pipe", Config{}, Config{})
		p.client.Close(errDone)
		p.client.AddCall(&wire.Call{Id: 1}, wire.Names{Task: "t"})
		p.client.AddStarted(1)
		p.client.SetWelcome(nil)
		p.client.Kick()
		p.client.Flush()
		if err := p.client.FlushWait(); err != nil {
			t.Errorf("FlushWait: %v", err)
		}
		p.server.Close(nil)
	})
	t.Run("a panic in receive", func(t *testing.T) {
		p := connect(t, "tcp", Config{}, Config{})
		p.client.AddStarted(1)
		p.client.Flush()
		func() {
			defer func() {
				if recover() != "oops" {
					t.Error("the panic is gone")
				}
			}()
			_ = p.server.Serve(func(*wire.Envelope) { panic("oops") })
		}()
		if p.server.Err() == nil {
			t.Error("the connection goes on")
		}
		p.client.Close(nil)
	})
}

func TestErrorsOfAConnNameBothSides(t *testing.T) {
	p := connect(t, "tcp", Config{}, Config{})
	p.serve(func(*wire.Envelope) {}, func(*wire.Envelope) {})
	p.server.Close(nil)
	err := <-p.clientEnded
	if got, want := err.Error(), "link: alpha to beta ("; !strings.HasPrefix(got, want) || !errors.Is(err, io.EOF) && !strings.Contains(got, "reset") {
		t.Errorf("got %q", got)
	}
	<-p.serverEnd
}

func TestTooLargeAnItemEndsTheConnectionAtItsSender(t *testing.T) {
	p := connect(t, "tcp", Config{}, Config{Bounds: wire.Bounds{Bytes: 100_000}})
	if got := p.client.MaxBytes(); got != 100_000 {
		t.Errorf("MaxBytes() = %d", got)
	}
	p.client.AddCall(&wire.Call{Id: 1, Payload: make([]byte, 100_000)}, wire.Names{Task: "t", Codec: "c"})
	err := p.client.FlushWait()
	var frame *FrameError
	if !errors.As(err, &frame) || frame.Most != 100_000 || !strings.Contains(err.Error(), "not sent") {
		t.Errorf("got %v", err)
	}
	p.server.Close(nil)
}

// What a process has sent before it died is of use, also if the first that is
// noticed is that nothing can be sent to it.
func TestWhatCameBeforeAWriteFailedIsReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		r := shakeHands(&broken{Conn: client}, server, Config{}, Config{})
		if r.clientErr != nil || r.serverErr != nil {
			t.Fatal(r.clientErr, r.serverErr)
		}
		r.client.nc.(*broken).now = true
		got, ended := make(chan *wire.Envelope, 1), make(chan error, 1)
		go func() { ended <- r.client.Serve(func(e *wire.Envelope) { got <- e }) }()
		synctest.Wait()
		for id := range uint64(2) {
			r.client.AddStarted(id + 1)
			if err := r.client.FlushWait(); !errors.Is(err, errBroken) {
				t.Errorf("FlushWait: %v", err)
			}
		}
		if r.client.pending() {
			t.Error("something waits for a connection that cannot be written to")
		}
		r.server.AddAnswer(&wire.Answer{Id: 1}, "")
		r.server.Flush()
		if e := <-got; e.GetAnswers()[0].GetId() != 1 {
			t.Errorf("got %v", e)
		}
		start := time.Now()
		if err := <-ended; !errors.Is(err, errBroken) || time.Since(start) != beat {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		r.server.Close(nil)
	})
}

var errBroken = errors.New("broken")

// broken can be read, and not be written to.
type broken struct {
	net.Conn
	now bool
}

func (b *broken) Write(p []byte) (int, error) {
	if b.now {
		return 0, errBroken
	}
	return b.Conn.Write(p)
}
