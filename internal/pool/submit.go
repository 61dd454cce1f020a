package pool

import (
	"cmp"
	"time"

	"github.com/troupe-go/troupe/internal/cell"
)

// Submit queues c, whose Owner is a Spec of p; every failure completes the
// cell. It blocks only while a bounded queue is full.
func (p *Pool) Submit(c *cell.Cell) { p.submit(c, false) }

// TrySubmit is Submit that never blocks; it reports false, and leaves the cell
// alone, if the queue is full. Whether that is a rejection, the caller knows.
func (p *Pool) TrySubmit(c *cell.Cell) bool { return p.submit(c, true) }

func (p *Pool) submit(c *cell.Cell, try bool) bool {
	ctx := c.Parent()
	cancellable := ctx.Done() != nil
	if cancellable && ctx.Err() != nil {
		p.refuse(c, cell.CauseOf(ctx))
		return true
	}
	if s := specOf(c); !s.Plain || !p.deep.Load() && !(s.Bulk && p.brisk()) {
		c.Stamp = p.now()
		if s.QueueTimeout > 0 {
			recordOf(c).since = c.Stamp // a retry changes the stamp
		}
	}
	inside := p.cfg.Queue > 0 && p.inside(ctx) // asks a ctx of the caller's: not under the lock
	p.mu.Lock()
	if p.phase != running && !p.begin() || p.closed != nil {
		err := cmp.Or(p.refusal, p.closed)
		p.mu.Unlock()
		p.refuse(c, err)
		return true
	}
	if p.cfg.Queue > 0 && p.full(c) && !(inside && !try && p.cfg.State != nil) {
		return p.crowd(c, try, inside) // unlocks
	}
	p.accept(c)
	w, grow := p.summon()
	p.mu.Unlock()
	p.rouse(w, grow)
	p.accompany(c, cancellable)
	return true
}

// accept numbers c and puts it in line; under mu.
func (p *Pool) accept(c *cell.Cell) {
	if !specOf(c).Bulk {
		p.calls++
	}
	if c.Stamp == 0 && p.calls%sampled == 0 {
		c.Stamp = p.now()
	}
	c.Enlist(p.calls)
	p.enqueue(c)
}

func (p *Pool) enqueue(c *cell.Cell) {
	p.waiting++
	if p.waiting == deepQueue {
		p.deep.Store(true)
	}
	if p.perMember() {
		p.assign(c, false)
		return
	}
	if p.cfg.State != nil && p.line(c, false) {
		return
	}
	p.queue.push(c, p.level(c))
}

// putBack gives a call its place at the head again; under mu, and not for pools
// in which each member has a queue of its own.
func (p *Pool) putBack(c *cell.Cell) {
	p.waiting++
	if p.cfg.State == nil || !p.line(c, true) {
		p.queue.insert(c, p.level(c))
	}
}

func (p *Pool) level(c *cell.Cell) int {
	if !p.cfg.Ranked {
		return 0
	}
	return recordOf(c).level
}

const (
	deepQueue = 64 // from this many waiting calls on, the wait is sampled
	sampled   = 8  // one call in so many
)

// accompany arms what can end a waiting call. It runs after the call was
// queued, so the call may be over already; both notice.
func (p *Pool) accompany(c *cell.Cell, cancellable bool) {
	if cancellable {
		p.attach(c)
	}
	if s := specOf(c); s.QueueTimeout > 0 {
		p.watchQueue(c, s)
	}
}

// attach makes the end of its ctx end the call. The last ctx seen stays
// registered, since the next call is likely to come with the same.
func (p *Pool) attach(c *cell.Cell) {
	if g := p.group.Load(); g != nil && g.Attach(c) {
		return
	}
	g := cell.NewGroup(c.Parent())
	if !g.Attach(c) { // the ctx has ended meanwhile
		c.Abort(cell.Cancelled, cell.CauseOf(c.Parent()))
		return
	}
	p.group.Swap(g).Retire()
	if p.stopping() { // after Stop nobody else would
		p.group.Swap(nil).Retire()
	}
}

func (p *Pool) watchQueue(c *cell.Cell, s *Spec) {
	left := s.QueueTimeout - time.Duration(p.now()-recordOf(c).since)
	recordOf(c).holdQueueTimer(time.AfterFunc(left, func() {
		if !recordOf(c).begun.Load() {
			c.AbortOpen(cell.TimedOut, s.TimedOut(QueueWait, s.QueueTimeout))
		}
	}))
}

// refuse completes a call that was never accepted.
func (p *Pool) refuse(c *cell.Cell, err error) {
	if _, won := c.Claim(); won {
		c.Publish(err)
	}
}

// Rejected counts a call that was given up because the queue is full.
func (p *Pool) Rejected() { p.stats.rejected.Add(1) }

// blocked is a submitter that waits for room in a bounded queue.
type blocked struct {
	cell  *cell.Cell
	ready chan struct{} // closed once the call is in the queue
}

// full reports whether the queue has no room; under mu. Calls that a worker is
// free for, or on its way to, do not count as waiting.
func (p *Pool) full(c *cell.Cell) bool {
	if p.waiting < p.cfg.Queue {
		return false
	}
	if p.keys() {
		return p.crowded(c)
	}
	return p.waiting >= p.cfg.Queue+p.idle()
}

// idle counts the places of workers that are not at work; under mu.
func (p *Pool) idle() int {
	switch {
	case p.bounded():
		return max(0, min(p.allowed, cmp.Or(p.size, p.allowed))-p.busy-p.gated)
	case p.size == 0:
		return p.waiting // a worker for each
	}
	if !p.perMember() {
		return max(0, p.size-(p.busy-len(p.spares))-p.gated)
	}
	n := 0
	for _, w := range p.members {
		if w != nil && w.state <= parked && w.state != active && w.queue.size() > w.queue.husks {
			n++
		}
	}
	return n
}

// crowd handles a submission to a full queue. It is called with mu held and
// releases it.
func (p *Pool) crowd(c *cell.Cell, try, inside bool) bool {
	if try {
		p.mu.Unlock()
		return false
	}
	if p.cfg.Reject {
		p.mu.Unlock()
		p.Rejected()
		p.refuse(c, p.cfg.Faults.QueueFull())
		return true
	}
	if inside {
		// A function of ours that waited here could wait for itself.
		p.calls++
		c.SetID(p.calls)
		p.hire(c, nil)
		p.mu.Unlock()
		p.accompany(c, c.Parent().Done() != nil)
		return true
	}
	p.calls++
	c.SetID(p.calls)
	b := &blocked{cell: c, ready: make(chan struct{})}
	p.blocked = append(p.blocked, b)
	p.mu.Unlock()
	p.accompany(c, c.Parent().Done() != nil)
	select {
	case <-b.ready:
	case <-c.DoneChan():
		p.unblock(b)
	}
	return true
}

// SubmitLater is Submit that never blocks, and holds no goroutine: while the
// queue is full, the call waits for room by itself.
func (p *Pool) SubmitLater(c *cell.Cell) {
	inside := p.inside(c.Parent())
	for !p.submit(c, true) {
		p.mu.Lock()
		switch {
		case p.phase != running || !p.full(c): // it has changed meanwhile
			p.mu.Unlock()
		case p.cfg.Reject || inside: // crowd does not wait
			p.crowd(c, false, inside)
			return
		default:
			p.calls++
			c.SetID(p.calls)
			b := &blocked{cell: c, ready: make(chan struct{})}
			p.blocked = append(p.blocked, b)
			p.mu.Unlock()
			p.accompany(c, c.Parent().Done() != nil)
			c.Watch(func() { p.unblock(b) })
			return
		}
	}
}

// unblock is told that a call has ended which had to wait for room.
func (p *Pool) unblock(b *blocked) {
	select {
	case <-b.ready:
		return
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.blocked {
		if other == b {
			p.blocked = append(p.blocked[:i], p.blocked[i+1:]...)
			return
		}
	}
}

// admit moves blocked submissions into the room that there is now; under mu.
func (p *Pool) admit() {
	for len(p.blocked) > 0 && p.phase == running {
		b := p.blocked[0]
		if p.full(b.cell) {
			return
		}
		p.blocked[0] = nil
		p.blocked = p.blocked[1:]
		if b.cell.IsOpen() {
			p.enqueue(b.cell)
		}
		close(b.ready)
	}
}
