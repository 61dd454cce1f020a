package remote

import (
	"fmt"

	"github.com/troupe-go/troupe/internal/place"
)

// lodger is a member of a worker that lives here for somebody else. The guest's
// lock guards it.
type lodger struct {
	function *place.Function
	state    any
	busy     int // calls that run
	leaving  bool
}

// settle gives the state of a member a home; it reports false if the guest has
// left meanwhile.
func (g *guest) settle(id uint64, l *lodger) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.gone:
		return errLeft
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
	if last {
		if err := l.close(g.house); err != nil {
			g.house.log().Warn("troupe: the state of a member for another node did not close", "task", l.function.Name, "error", err)
		}
	}
}

// evict closes the state of a member, or has the last of its calls do it.
func (g *guest) evict(id uint64) error {
	g.mu.Lock()
	l := g.lodgers[id]
	if l == nil || l.leaving {
		g.mu.Unlock()
		return nil
	}
	l.leaving = true
	now := l.busy == 0
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
