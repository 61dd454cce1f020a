package pool

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/limits"
)

// A pool with limits takes a permit for each attempt before it begins: when the
// call is next in line and a worker is free for it. If the permit is not there
// the worker waits at the gate with the call in its batch, as an actor with no
// goroutine, until it is granted. A spare waits in the same way.

// gate is the wait of one worker for the permit of one call. It is guarded by
// the pool's lock until the outcome is there, and then the worker's own.
type gate struct {
	worker *worker
	call   *cell.Cell
	ticket limits.Ticket // of a worker that is gated
	told   bool          // the outcome is there
	permit *limits.Permit
	err    error
}

// pass gets the permit of the call in w's batch. It is called with mu held,
// which it releases, and returns false if w has to wait; w has then left work
// and comes back by a poke.
//
// Until the limiter has been asked, nobody else takes a call from the shared
// queue: two calls would else race for their places in the limiter's.
func (p *Pool) pass(w *worker) (through bool) {
	g := &gate{worker: w, call: w.batch[0]}
	w.gate = g
	first := w.index >= 0 && w.queue == nil
	p.asking = p.asking || first
	p.mu.Unlock()

	returned := false
	defer func() {
		if !returned { // somebody's own Limiter has panicked, or ended this goroutine
			reason := recover()
			through = p.asked(g, first, reason == nil, nil, p.fault(reason))
		}
	}()
	permit, ticket, err := p.enter(g)
	returned = true
	if ticket != nil {
		return p.queued(g, first, ticket)
	}
	return p.asked(g, first, false, permit, err)
}

// fault is the error of a limiter that panicked with reason, or called
// runtime.Goexit if that is nil.
func (p *Pool) fault(reason any) error {
	if reason == nil {
		return p.cfg.Faults.Goexit()
	}
	return p.cfg.Faults.Panicked(reason, debug.Stack())
}

// asked lets a worker through that was answered at once, or, if its goroutine
// is lost, sends it on its way in another.
func (p *Pool) asked(g *gate, first, lost bool, permit *limits.Permit, err error) bool {
	p.mu.Lock()
	g.told, g.permit, g.err = true, permit, err
	if lost {
		p.shut(g)
		p.open(g)
	}
	p.proceed(first) // unlocks
	return !lost
}

// queued makes a worker wait whose request does, unless that was granted
// meanwhile.
func (p *Pool) queued(g *gate, first bool, ticket limits.Ticket) bool {
	p.mu.Lock()
	through := g.told
	if !through {
		g.ticket = ticket
		p.shut(g)
	}
	p.proceed(first) // unlocks
	if !through && !g.call.IsOpen() {
		p.giveUp(g) // it ended before anybody could find it here
	}
	return through
}

// proceed lets the others take calls again.
func (p *Pool) proceed(first bool) {
	if first {
		p.asking = false
	}
	next, grow := p.summon()
	p.mu.Unlock()
	p.rouse(next, grow)
}

// shut makes a worker wait at the gate; under mu.
func (p *Pool) shut(g *gate) {
	p.gated++ // first: a draining pool is not calm
	recordOf(g.call).gate = g
	p.leaveWork(g.worker, gated)
}

// open sends a worker that waited at the gate back to work; under mu.
func (p *Pool) open(g *gate) {
	w := g.worker
	if w.gate != g || w.state != gated {
		return
	}
	w.state = woken
	if w.index < 0 {
		p.dispatch.Schedule(func() { p.runSpare(w) })
		return
	}
	w.box.poke()
}

// through ends the wait of a worker that comes back from the gate or leaves it
// for good; under mu.
func (p *Pool) through(g *gate) {
	p.gated--
	recordOf(g.call).gate = nil
}

// enter asks the limiter without blocking, if it can be asked so.
func (p *Pool) enter(g *gate) (*limits.Permit, limits.Ticket, error) {
	r := recordOf(g.call).request
	if q, ok := p.cfg.Limiter.(limits.Queuer); ok {
		return q.Enqueue(r, g)
	}
	permit, err := p.cfg.Limiter.TryAcquire(r)
	if err == nil || !errors.Is(err, limits.ErrUnavailable) {
		return permit, nil, err
	}
	return nil, p.patiently(g), nil
}

// Granted implements limits.Grantee.
func (g *gate) Granted(permit *limits.Permit, err error) {
	w := g.worker
	p := w.pool
	p.mu.Lock()
	here := w.gate == g
	if here {
		g.told, g.permit, g.err = true, permit, err
		p.open(g)
	}
	p.mu.Unlock()
	if !here { // the worker has left the call to others
		p.unused(permit)
	}
}

// giveUp ends the wait at the gate of a call that has ended.
func (p *Pool) giveUp(g *gate) {
	if g.ticket == nil || !g.ticket.Cancel() {
		return // Granted comes or has come, and wakes the worker
	}
	p.mu.Lock()
	g.told = true
	p.open(g)
	p.mu.Unlock()
}

// quit makes a worker leave the gate for good: the call in its hands goes back
// to the queue. Under mu; what it returns must be run outside of it.
func (p *Pool) quit(w *worker) func() {
	g := w.gate
	if g == nil {
		return func() {}
	}
	p.through(g)
	w.gate = nil
	p.endBatch(w)
	p.calm()
	if g.told {
		return func() { p.unused(g.permit) }
	}
	return func() { g.ticket.Cancel() }
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

// turnAway gives back what was taken for a call that ended meanwhile.
func (w *worker) turnAway() {
	permit, _ := w.admitted()
	w.pool.unused(permit)
}

// unused gives back a permit under which nothing was done, also what was taken
// of rates where they refund.
func (p *Pool) unused(permit *limits.Permit) {
	if permit == nil {
		return
	}
	defer permit.Release()
	defer func() {
		if reason := recover(); reason != nil {
			slog.Error("troupe: a Limiter panicked", "task", p.name, "panic", reason)
		}
	}()
	for _, s := range p.cfg.Limiter.Stats() {
		_ = permit.Update(s.Key, 0) // an error for a Resource, and for a key of another Set of a Pool
	}
}

// acquire takes the permit of a call that runs on its caller's goroutine.
func (w *worker) acquire(c *cell.Cell) {
	g := &gate{worker: w, call: c, told: true}
	defer func() {
		if reason := recover(); reason != nil {
			g.err = w.pool.fault(reason)
		}
		w.gate = g
	}()
	g.permit, g.err = w.pool.cfg.Limiter.Acquire(c.AsContext(), recordOf(c).request)
}

// patience is the ticket of a request to somebody's own Limiter, which can only
// be waited for by a goroutine.
type patience struct {
	settled atomic.Bool
	cancel  context.CancelFunc
}

func (p *Pool) patiently(g *gate) *patience {
	ctx, cancel := context.WithCancel(g.call.AsContext())
	t := &patience{cancel: cancel}
	p.dispatch.Schedule(func() {
		var permit *limits.Permit
		err, returned := error(nil), false
		defer func() {
			if !returned {
				err = p.fault(recover())
			}
			if t.Cancel() {
				g.Granted(permit, err)
			} else { // given up, and still granted
				p.unused(permit)
			}
		}()
		permit, err = p.cfg.Limiter.Acquire(ctx, recordOf(g.call).request)
		returned = true
	})
	return t
}

// Cancel implements limits.Ticket. Who has the result claims it in the same way.
func (t *patience) Cancel() bool {
	defer t.cancel()
	return t.settled.CompareAndSwap(false, true)
}
