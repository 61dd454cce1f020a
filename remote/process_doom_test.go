package remote

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/internal/child"
	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

// noPool is a place.Pool that nothing is told to.
type noPool struct{ place.Pool }

func (noPool) Allow(int)     {}
func (noPool) Decline(error) {}

// linkOf returns a connection that nobody reads from.
func linkOf(t *testing.T) *link.Conn {
	conn, other := linksOf(t)
	other.Close(nil)
	return conn
}

// linksOf returns both ends of a connection.
func linksOf(t *testing.T) (conn, other *link.Conn) {
	here, there := net.Pipe()
	cfg := func() link.Config { return Config{Heartbeat: time.Second}.link("", "", wire.NewIncarnation()) }
	accepted := make(chan *link.Conn)
	go func() {
		conn, _, err := link.Accept(t.Context(), there, cfg(), func(*wire.Hello) *wire.Welcome { return &wire.Welcome{} })
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	conn, _, err := link.Dial(t.Context(), here, cfg(), &wire.Hello{})
	if err != nil {
		t.Fatal(err)
	}
	return conn, <-accepted
}

// Two calls of a child are overdue, and the first ends without having begun: the
// second must not be forgotten.
func TestTheSecondOverdueCallIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crew{changed: make(chan struct{})}
		c.life.Store(&crewLife{pool: noPool{}, ctx: context.Background()})
		s := newSeat(c, "child-1")
		c.seats = []*seat{s}
		s.state, s.capacity, s.conn = seated, 1, linkOf(t)
		defer s.conn.Close(nil)
		flightOf := func(id uint64) *flight {
			f := new(flight)
			f.call.Id, f.seat = id, s
			s.flights[id] = f
			return f
		}
		first, second := flightOf(1), flightOf(2)
		killed := 0
		kill := func(child.Reason) { killed++ }
		c.mu.Lock()
		s.condemn(first, kill)
		s.condemn(second, kill)
		s.comeHome(&wire.Envelope{Answers: []*wire.Answer{{Id: 1, Undone: true}}})
		if killed > 0 {
			t.Error("killed for a call that had not begun")
		}
		c.mu.Unlock()
		time.Sleep(2 * lastCall)
		synctest.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if killed == 0 {
			t.Error("the second call goes on for ever")
		}
	})
}
