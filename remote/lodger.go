package remote

import (
	"fmt"

	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

const mostLodgers = 1 << 14 // of one connection

// lodger is a member of a worker that lives here for somebody else. The guest's
// lock guards it.
type lodger struct {
	function *place.Function
	state    any
	busy     int // calls that run
	leaving  bool
	closer   *visit // its close, answered when the last of its calls is over; nil: none waits
}

// settle gives the state of a member a home; it reports false if the guest has
// left meanwhile.
func (g *guest) settle(id uint64, l *lodger) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.gone:
		return errLeft
	case len(g.lodgers) >= mostLodgers:
		return fmt.Errorf("remote: node %s: one connection has %d members here: want no more", g.house.name, mostLodgers)
	case g.lodgers[id] != nil:
		return fmt.Errorf("remote: member %d is open already", id)
	}
	g.lodgers[id] = l
	g.house.lodge(1)
	return nil
}

// visitLodger returns the member of a call, busy from now on.
func (g *guest) visitLodger(id uint64) (*lodger, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lodgers[id]
	if l == nil || l.leaving {
		return nil, fmt.Errorf("remote: there is no member %d", id)
	}
	l.busy++
	return l, nil
}

// leaveLodger ends what visitLodger has begun.
func (g *guest) leaveLodger(id uint64, l *lodger) {
	g.mu.Lock()
	l.busy--
	last := l.busy == 0 && (g.gone || l.leaving)
	if last {
		delete(g.lodgers, id)
	}
	g.mu.Unlock()
	if !last {
		return
	}
	a := &wire.Answer{Ran: 1}
	defer func() { // also if Close ends the goroutine
		if l.closer != nil {
			l.closer.settle(a, "", true)
		}
	}()
	if err := l.close(g.house); err != nil {
		a.Failure = wire.EncodeError(err)
		if l.closer == nil {
			g.house.log().Warn("troupe: the state of a member for another node did not close", "task", l.function.Name, "error", err)
		}
	}
}

// evictLater leaves the order to close a member to the last of its calls, which
// answers it when the state is closed; false if none runs.
func (g *guest) evictLater(order *visit) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lodgers[order.call.GetMember()]
	if l == nil || l.busy == 0 || l.leaving {
		return false
	}
	l.leaving, l.closer = true, order
	return true
}

// evict closes the state of a member that runs nothing.
func (g *guest) evict(id uint64) error {
	g.mu.Lock()
	l := g.lodgers[id]
	if l == nil || l.leaving {
		g.mu.Unlock()
		return nil
	}
	l.leaving = true
	now := l.busy == 0 // else a call has begun meanwhile, and closes it
	if now {
		delete(g.lodgers, id)
	}
	g.mu.Unlock()
	if !now {
		return nil
	}
	return l.close(g.house)
}

func (l *lodger) close(h *house) error {
	defer h.lodge(-1)
	return l.function.Close(l.state)
}
