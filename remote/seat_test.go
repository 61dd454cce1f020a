package remote

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestNothingIsSentAheadToASeatThatIsAlone(t *testing.T) {
	for _, alone := range []bool{false, true} {
		s := &seat{crew: &crew{}, state: seated, capacity: 1, pace: 1000, alone: alone}
		if got := s.window(); (got == 1) != alone {
			t.Errorf("alone %v: a window of %d", alone, got)
		}
	}
}

// A call that was sent just before a look has had no time to begin: it is left
// where it is, and taken back by the next look at the earliest.
func TestACallThatWasJustSentIsNotCalledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crew{changed: make(chan struct{})}
		c.life.Store(&crewLife{pool: noPool{}, ctx: context.Background()})
		s := newSeat(c, "node")
		c.seats = []*seat{s}
		s.state, s.serving, s.capacity, s.conn = seated, true, 8, linkOf(t)
		defer s.conn.Close(nil)
		flightOf := func(id uint64) *flight {
			f := &flight{seat: s, mark: id}
			f.call.Id = id
			c.mu.Lock()
			s.admit(f)
			c.mu.Unlock()
			return f
		}
		first := flightOf(1)
		time.Sleep(time.Duration(stallTime) - time.Millisecond)
		second := flightOf(2)
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		c.mu.Lock()
		if second.recalled {
			t.Error("a call that was sent 1 ms before was called back")
		}
		c.mu.Unlock()
		time.Sleep(2 * time.Duration(stallTime))
		synctest.Wait()
		c.mu.Lock()
		if !first.recalled || !second.recalled || s.stall != nil {
			t.Errorf("called back: %v and %v, and a timer is left: %v", first.recalled, second.recalled, s.stall != nil)
		}
		c.mu.Unlock()
	})
}
