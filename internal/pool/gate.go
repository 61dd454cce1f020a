package pool

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/limits"
)

// A pool with limits takes a permit for each attempt before it begins: when the
// call is next in line and a worker is free for it. If the permit is not there
// the worker waits at the gate with the call in its batch, as an actor with no
// goroutine, until it is granted.

// gate is where a worker waits.
type gate struct {
	ticket limits.Ticket
	told   bool // the outcome is there
	permit *limits.Permit
	err    error
}

// pass gets the permit of the call in w's batch. It returns false if w has to
// wait; the worker then has left work, and comes back by a poke.
func (p *Pool) pass(w *worker) bool {
	c := w.batch[0]
	r := recordOf(c)
	g := &gate{}
	p.mu.Lock()
	w.gate = g
	p.mu.Unlock()
	permit, ticket, err := p.enter(r.request, &entrant{pool: p, worker: w, gate: g})
	if ticket == nil {
		g.permit, g.err, g.told = permit, err, true
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	g.ticket = ticket
	if g.told {
		return true
	}
	if !c.IsOpen() && ticket.Cancel() { // it ended before anybody could find it here
		g.told = true
		return true
	}
	p.gated++
	p.leaveWork(w, gated)
	return false
}

// enter asks the limiter without blocking, if it can be asked so.
func (p *Pool) enter(r limits.Request, e *entrant) (*limits.Permit, limits.Ticket, error) {
	if q, ok := p.cfg.Limiter.(limits.Queuer); ok {
		return q.Enqueue(r, e)
	}
	permit, err := p.cfg.Limiter.TryAcquire(r)
	if err == nil || !errors.Is(err, limits.ErrUnavailable) {
		return permit, nil, err
	}
	// Somebody's own Limiter: it can only be waited for by a goroutine.
	ctx, cancel := context.WithCancel(context.Background())
	t := &patience{cancel: cancel}
	p.dispatch.Schedule(func() {
		permit, err := p.cfg.Limiter.Acquire(ctx, r)
		if !t.claim() { // cancelled, and still granted
			permit.Release()
			return
		}
		e.Granted(permit, err)
	})
	return nil, t, nil
}

// entrant implements limits.Grantee for a worker at the gate.
type entrant struct {
	pool   *Pool
	worker *worker
	gate   *gate
}

// Granted implements limits.Grantee.
func (e *entrant) Granted(permit *limits.Permit, err error) {
	p, w, g := e.pool, e.worker, e.gate
	p.mu.Lock()
	if w.gate != g { // the worker has gone elsewhere
		p.mu.Unlock()
		permit.Release()
		return
	}
	g.told, g.permit, g.err = true, permit, err
	p.openGate(w)
	p.mu.Unlock()
}

// openGate sends a worker that waited at the gate back to work; under mu.
func (p *Pool) openGate(w *worker) {
	if w.state == gated {
		p.gated--
		w.state = woken
		w.box.poke()
	}
}

// giveUp ends the wait at the gate for a call that has ended; under mu. What it
// returns must be run outside of it.
func (p *Pool) giveUp(c *cell.Cell) func() {
	r := recordIf(c)
	if r == nil || p.cfg.Limiter == nil {
		return func() {}
	}
	for _, w := range p.members {
		if w == nil || w.state != gated || len(w.batch) == 0 || w.batch[0] != c {
			continue
		}
		g := w.gate
		return func() {
			if !g.ticket.Cancel() {
				return // Granted comes or has come, and wakes the worker
			}
			p.mu.Lock()
			g.told = true
			p.openGate(w)
			p.mu.Unlock()
		}
	}
	return func() {}
}

// admitted takes what the gate gave to the worker.
func (w *worker) admitted() (permit *limits.Permit, err error) {
	g := w.gate
	if g == nil {
		return nil, nil
	}
	w.gate = nil
	return g.permit, g.err
}

// patience is the ticket of a request that a goroutine waits for.
type patience struct {
	settled atomic.Bool
	cancel  context.CancelFunc
}

func (t *patience) claim() bool {
	defer t.cancel()
	return t.settled.CompareAndSwap(false, true)
}

// Cancel implements limits.Ticket.
func (t *patience) Cancel() bool {
	return t.claim()
}
