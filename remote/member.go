package remote

import (
	"context"
	"errors"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

// member is the state of a worker at a seat.
type member struct {
	crew *crew
	seat *seat
	conn *link.Conn
	id   uint64
	loss *place.Loss // it is gone, or has to leave; guarded by the crew's lock
}

// Open implements place.Site.
func (c *crew) Open(ctx context.Context) (place.Member, error) {
	for losses := 0; ; {
		m, changed, err := c.reserve()
		if err != nil {
			return nil, err
		}
		if m == nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		err = c.exchange(ctx, m.flight(wire.Op_OPEN), m, false)
		if err == nil {
			return m, nil
		}
		c.strike(m)
		var undone *place.Undone
		var lost *place.Lost
		switch {
		case errors.As(err, &undone): // the seat was lost before
		case errors.As(err, &lost): // while it was opened, perhaps because of it
			if losses++; losses == mostLosses {
				return nil, lost.Err
			}
		default:
			return nil, err
		}
	}
}

// reserve takes room for a member at the seat that has the fewest. Without one
// it returns what to wait for.
func (c *crew) reserve() (m *member, changed chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil { // which is no failure of the member
		return nil, nil, &place.Loss{Err: c.closed, Free: true}
	}
	var best *seat
	for _, s := range c.seats {
		if s.untried() && c.perSeat == 0 {
			return nil, c.changed, nil // or all would live where it answered first
		}
		full := c.perSeat > 0 && len(s.members) >= c.perSeat
		if s.state == seated && !s.drains && !full && (best == nil || len(s.members) < len(best.members)) {
			best = s
		}
	}
	if best == nil {
		return nil, c.changed, nil
	}
	c.nextID++
	m = &member{crew: c, seat: best, conn: best.conn, id: c.nextID}
	best.members[m] = struct{}{}
	return m, nil, nil
}

// untried reports whether it will be known soon if the seat is any good.
func (s *seat) untried() bool {
	return s.state == vacant && s.err == errNotTried || s.state == waiting && s.capacity == 0
}

// strike gives the room of a member back.
func (c *crew) strike(m *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := m.seat.members[m]; !there {
		return
	}
	delete(m.seat.members, m)
	if m.seat.conn == m.conn {
		m.seat.retire()
	}
	if c.perSeat > 0 {
		c.announce() // somebody may wait for it
	}
}

// flight makes the flight of an order about m.
func (m *member) flight(op wire.Op) *flight {
	return &flight{
		call:  wire.Call{Op: op, Member: m.id},
		names: wire.Names{Task: m.crew.job.Name}, arrived: m.crew.arrival(),
	}
}

// Run implements place.Member.
func (m *member) Run(ctx context.Context, call *place.Call) error {
	f, err := m.crew.pack(ctx, call)
	if err != nil {
		return err
	}
	f.call.Member = m.id
	return m.crew.exchange(ctx, f, m, call.Watched)
}

// Close implements place.Member. It waits until the state is closed there, or
// the place is lost.
func (m *member) Close() error {
	defer m.crew.strike(m)
	m.crew.mu.Lock()
	if m.loss != nil && m.loss.Free {
		m.loss = nil // it is there yet
	}
	m.crew.mu.Unlock()
	err := m.crew.exchange(context.Background(), m.flight(wire.Op_CLOSE), m, false)
	var undone *place.Undone
	var lost *place.Lost
	if errors.As(err, &undone) || errors.As(err, &lost) {
		return nil // it went with its place
	}
	return err
}

// moveOut tells the members of a seat that they have to leave; with mu held.
func (s *seat) moveOut(loss *place.Loss) {
	for m := range s.members {
		if m.loss == nil {
			m.loss = loss
			s.crew.now().pool.Lost(m, loss)
		}
	}
}
