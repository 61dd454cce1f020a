package remote

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/troupe-go/troupe/internal/place"
)

var (
	errRecycled = errors.New("the process has run as many calls as RecycleAfter says")
	errResting  = errors.New("idle for longer than IdleTimeout: the next call starts it")
)

// cradle says whether children are wanted. The pool tells it under its lock, so
// nothing is done here but to note it.
type cradle struct {
	mu      sync.Mutex
	life    int // counts from 1; in another life of the pool what was given up comes back
	resting bool
	turned  chan struct{} // closed when something changes
}

func (c *cradle) turn(resting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resting != resting {
		c.resting = resting
		c.tell()
	}
}

// renew begins another life.
func (c *cradle) renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.life++
	c.resting = false
	c.tell()
}

// tell is called with mu held.
func (c *cradle) tell() {
	if c.turned != nil {
		close(c.turned)
		c.turned = nil
	}
}

// look returns what is wanted, and what is closed when that changes.
func (c *cradle) look() (life int, resting bool, turned <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turned == nil {
		c.turned = make(chan struct{})
	}
	return c.life, c.resting, c.turned
}

// await waits until children are wanted, in the life from or a later one; false
// if ctx ends before.
func (c *cradle) await(ctx context.Context, from int) (life int, ok bool) {
	for ctx.Err() == nil {
		life, resting, turned := c.look()
		if !resting && life >= from {
			return life, true
		}
		select {
		case <-turned:
		case <-ctx.Done():
		}
	}
	return 0, false
}

// Rest implements place.Site.
func (n *nursed) Rest() { n.nursery.cradle.turn(true) }

// Wake implements place.Site.
func (n *nursed) Wake(anew bool) {
	if anew {
		n.nursery.cradle.renew()
		return
	}
	n.nursery.cradle.turn(false)
}

// lull sends the children away while none is wanted.
func (n *nursery) lull(ctx context.Context) {
	c := n.crew
	for ctx.Err() == nil {
		_, resting, turned := n.cradle.look()
		c.mu.Lock()
		for _, s := range c.seats {
			s.rest(resting)
		}
		changed := (<-chan struct{})(c.changed)
		c.mu.Unlock()
		if !resting {
			changed = nil
		}
		select {
		case <-turned:
		case <-changed: // one may have become ready only now
		case <-ctx.Done():
		}
	}
}

// rest has the child go as soon as nothing is left there, or lets it stay after
// all; with mu held.
func (s *seat) rest(resting bool) {
	switch {
	case resting:
		s.leaving = cmp.Or(s.leaving, errResting)
		s.retire()
	case s.leaving == errResting: //nolint:errorlint // set here
		s.leaving = nil
	}
}

// retire ends a process that is to go: after as many calls as it is to run, or
// for lack of them; with mu held. What lives there leaves first.
func (s *seat) retire() {
	if s.recycle > 0 && s.sent >= s.recycle && !s.drains {
		s.leaving, s.drains = errRecycled, true
		s.moveOut(&place.Loss{Err: errRecycled, Free: true})
	}
	if s.leaving == nil || s.state != seated || len(s.flights) > 0 || len(s.members) > 0 {
		return
	}
	s.state = waiting // nothing is sent to it any more
	s.conn.Close(s.leaving)
	s.crew.announce()
}
