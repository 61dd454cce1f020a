package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

// seatedIn returns a seat of a crew of its own, with a connection.
func seatedIn(t *testing.T) (*crew, *seat) {
	c := &crew{changed: make(chan struct{})}
	c.life.Store(&crewLife{pool: noPool{}, ctx: context.Background()})
	c.job.Name = "work"
	s := newSeat(c, "node")
	c.seats = []*seat{s}
	s.state, s.serving, s.capacity, s.conn = seated, true, 4, linkOf(t)
	return c, s
}

func TestAnArgumentThatTheOtherSideDoesNotTakeIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := seatedIn(t)
		defer s.conn.Close(nil)
		f := new(flight)
		f.call.Payload = make([]byte, s.conn.MaxBytes()-payloadSlack)
		if err := s.takes(f); err != nil {
			t.Errorf("as much as it takes: %v", err)
		}
		f.call.Payload = append(f.call.Payload, 0)
		var large *PayloadError
		if err := s.takes(f); !errors.As(err, &large) || large.Task != "work" || large.Size != len(f.call.Payload) {
			t.Errorf("a byte more: %v, want a PayloadError", err)
		}
	})
}

func TestWhatNeverLeftIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := seatedIn(t)
		s.conn.Close(nil)
		conn, other := linksOf(t)
		s.conn = conn
		ended := make(chan error)
		go func() { ended <- other.Serve(func(*wire.Envelope) {}) }()
		names := wire.Names{Task: "work"}
		send := func(id uint64) *flight {
			f := &flight{seat: s, conn: conn, names: names, arrived: make(chan struct{}, 1)}
			f.call.Id = id
			f.mark = conn.AddCall(&f.call, names)
			s.crew.mu.Lock()
			s.admit(f)
			s.crew.mu.Unlock()
			return f
		}
		written := send(1)
		if err := conn.FlushWait(); err != nil {
			t.Fatal(err)
		}
		added := send(2)
		conn.Close(nil)
		late := send(3)
		<-ended
		lost := errors.New("lost")
		s.vacate(vacant, lost, func(int, *flight) error { return &place.Lost{Err: lost} })
		var gone *place.Lost
		if !errors.As(written.err, &gone) {
			t.Errorf("what was written: %v, want it to be lost", written.err)
		}
		for what, f := range map[string]*flight{"what was only added": added, "what came after the end": late} {
			var undone *place.Undone
			if !errors.As(f.err, &undone) {
				t.Errorf("%s: %v, want it to be undone", what, f.err)
			}
		}
	})
}

func TestShortTimeoutsAreNotEatenUpByWaitingThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := seatedIn(t)
		defer s.conn.Close(nil)
		s.pace = 1000
		ahead := s.window()
		for remaining, want := range map[time.Duration]int{time.Minute: ahead, hurry / 2: s.capacity} {
			c.hurried = false
			f := &flight{seat: s, mark: 1, timed: true}
			f.call.Id, f.call.Remaining = uint64(remaining), int64(remaining)
			c.mu.Lock()
			s.admit(f)
			if got := s.window(); got != want {
				t.Errorf("Timeout %v: a window of %d, want %d", remaining, got, want)
			}
			s.forget(f)
			c.mu.Unlock()
		}
	})
}

func TestANodesCapacityIsBelievedWithinReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := seatedIn(t)
		defer s.conn.Close(nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		s.report(&wire.Status{Capacity: 1 << 31})
		if s.capacity != mostCapacity {
			t.Errorf("capacity %d, want %d", s.capacity, mostCapacity)
		}
	})
}

func TestMembersOfOneConnectionAreBounded(t *testing.T) {
	g := &guest{house: &house{name: "n"}, lodgers: make(map[uint64]*lodger)}
	for i := range uint64(mostLodgers) {
		g.lodgers[i+1] = &lodger{}
	}
	if err := g.settle(mostLodgers+1, &lodger{}); err == nil {
		t.Error("one member more than may be is taken")
	}
}

func TestTLSThatTrustsEverybodyIsNoProtection(t *testing.T) {
	cfg := Config{Listen: ":0", TLS: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}}
	if err := cfg.exposure(); err == nil || !strings.Contains(err.Error(), "ClientCAs") {
		t.Errorf("without ClientCAs: %v", err)
	}
	cfg.TLS.ClientCAs = x509.NewCertPool()
	if err := cfg.exposure(); err != nil {
		t.Errorf("with ClientCAs: %v", err)
	}
}
