package remote_test

import (
	"context"
	"errors"
	"net"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/remote/wire"
)

// stranger is one side of a connection that says whatever the test wants.
type stranger struct {
	t    *testing.T
	nc   net.Conn
	conn *link.Conn
	said chan *wire.Envelope // what the other side has said
	over chan error
}

// intTask announces a task of ints.
func intTask(name string) *wire.Announcement {
	return wire.TaskSchema(name, reflect.TypeFor[int](), reflect.TypeFor[int]()).Announce()
}

// intrude connects to a node and asks for tasks.
func intrude(t *testing.T, addr string, cfg link.Config, tasks ...*wire.Announcement) *stranger {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(soon(t.Context(), t), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := link.Dial(soon(t.Context(), t), nc, cfg, &wire.Hello{Tasks: tasks})
	if err != nil {
		t.Fatal(err)
	}
	return newStranger(t, nc, conn)
}

func newStranger(t *testing.T, nc net.Conn, conn *link.Conn) *stranger {
	s := &stranger{t: t, nc: nc, conn: conn, said: make(chan *wire.Envelope, 100_000), over: make(chan error, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.over <- conn.Serve(func(e *wire.Envelope) { s.said <- e })
	}()
	t.Cleanup(func() {
		conn.Close(nil)
		<-done
	})
	return s
}

// hears waits for an envelope of which pick makes something.
func hears[T any](s *stranger, what string, pick func(*wire.Envelope) (T, bool)) T {
	s.t.Helper()
	for {
		select {
		case e := <-s.said:
			if v, ok := pick(e); ok {
				return v
			}
		case err := <-s.over:
			s.t.Fatalf("%s did not come: %v", what, err)
		case <-time.After(patience):
			s.t.Fatalf("%s did not come", what)
		}
	}
}

// answer waits for the answer to a call.
func (s *stranger) answer(id uint64) *wire.Answer {
	s.t.Helper()
	return hears(s, "the answer", func(e *wire.Envelope) (*wire.Answer, bool) {
		for _, a := range e.GetAnswers() {
			if a.GetId() == id {
				return a, true
			}
		}
		return nil, false
	})
}

// impostor listens as a node would and lets the test speak for it.
func impostor(t *testing.T, cfg link.Config, welcome *wire.Welcome) (addr string, arrived <-chan *stranger) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	came := make(chan *stranger, 100)
	ctx, cancel := context.WithCancel(context.Background())
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conn, _, err := link.Accept(ctx, nc, cfg, func(*wire.Hello) *wire.Welcome { return welcome })
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Log(err)
				}
				continue
			}
			came <- newStranger(t, nc, conn)
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String(), came
}
