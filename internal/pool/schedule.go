package pool

import (
	"github.com/troupe-go/troupe/internal/cell"
)

const (
	mostBatch  = 64
	batchTime  = 20_000 // ns of work that one batch may hold
	briskAfter = 128    // calls before the pace is believed
	brisk      = 20_000 // ns; faster calls may run on a waiter's goroutine
)

// summon picks who should look at the queue: a parked worker, or the router,
// which is to make more. One worker at a time is on its way; it summons the
// next when it has taken its share. Under mu; follow with rouse outside of it.
func (p *Pool) summon() (w *worker, grow bool) {
	if p.waiting > 0 {
		p.wake()
	}
	if p.perMember() {
		return p.summonMember()
	}
	if len(p.dueLines) > 0 && p.summonLines() {
		return nil, true
	}
	if p.waiting == p.lined || p.waking != nil || p.asking || p.phase == stopping || p.phase == stopped || p.crowdedOut(0) {
		return nil, false
	}
	if n := len(p.free); n > 0 {
		w = p.free[n-1]
		p.free[n-1] = nil
		p.free = p.free[:n-1]
		w.state = woken
		p.waking = w
		return w, false
	}
	if p.capacity() && !p.growing {
		p.growing = true
		return nil, true
	}
	return nil, false
}

func (p *Pool) rouse(w *worker, grow bool) {
	if w != nil {
		w.box.poke()
	}
	if grow {
		p.box.Load().poke()
	}
}

func (p *Pool) startWork(w *worker) {
	if p.waking == w {
		p.waking = nil
	}
	w.state = active
	p.busy++
	if w.gate != nil {
		p.through(w.gate)
	}
}

// leaveWork ends a worker's turn with its batch unfinished: what it did not
// begin goes back to the head of the queue, in order.
func (p *Pool) leaveWork(w *worker, s workerState) {
	w.state = s
	p.busy--
	if s == woken && p.waking == nil && !w.stray {
		p.waking = w
	}
	p.calm()
}

// take fills the worker's batch; false if there is nothing to do. Under mu.
func (p *Pool) take(w *worker) bool {
	if w.retire || p.phase >= stopping || w.used || p.crowdedOut(1) {
		return false
	}
	if p.asking && w.queue == nil {
		p.owe(w)
		return false
	}
	q := p.source(w)
	n := p.share(q.size() - q.husks)
	for len(w.batch) < n {
		c := q.pop()
		if c == nil {
			break
		}
		p.popped(c)
		w.batch = append(w.batch, c)
	}
	if p.waiting < deepQueue && p.deep.Load() {
		p.deep.Store(false)
	}
	if len(w.batch) == 0 && w.queue == nil && p.batches > 0 && p.cfg.State == nil {
		p.steal(w)
	}
	if len(p.blocked) > 0 {
		p.admit()
	}
	if len(w.batch) > 1 {
		p.batches++
	}
	w.used = p.cfg.OnDemand && len(w.batch) > 0
	return len(w.batch) > 0
}

// share is how many of n waiting calls one worker may take at once: one,
// unless calls are so quick that the lock would cost more than the work.
func (p *Pool) share(n int) int {
	pace := p.pace.Load()
	if pace == 0 || p.cfg.Site != nil || p.cfg.Queue > 0 || p.cfg.Limiter != nil || p.cfg.OnDemand || p.queue.ranks != nil {
		return 1
	}
	if p.cfg.State != nil && (p.size > 1 || p.interleaved()) {
		return 1 // nobody may take over what a member has in hand
	}
	// By size, not by those who live: others can be made, and are if a call is left.
	return max(1, min(n/max(1, p.size), int(batchTime/pace), mostBatch))
}

// steal takes over the second half of what some other worker has in hand. Both
// then hold these calls; whoever starts one first runs it. Without this, quick
// calls would be stuck behind a slow one in the same batch.
func (p *Pool) steal(w *worker) {
	for _, victim := range p.members {
		if victim == nil || victim == w || len(victim.batch) < 2 {
			continue
		}
		open := victim.batch[:0:0]
		for _, c := range victim.batch {
			if c.IsOpen() {
				open = append(open, c)
			}
		}
		if len(open) > 0 {
			w.batch = append(w.batch, open[len(open)/2:]...)
			return
		}
	}
}

// endBatch forgets the batch; what was not begun goes back to the head.
func (p *Pool) endBatch(w *worker) {
	if len(w.batch) > 1 {
		p.batches--
	}
	for i := len(w.batch) - 1; i >= w.next; i-- {
		if c := w.batch[i]; c.IsOpen() && !c.Queued() {
			p.giveBack(w, c)
		}
	}
	clear(w.batch)
	w.batch, w.next = w.batch[:0], 0
}

// giveBack puts a call that was not begun back to where it was taken from.
func (p *Pool) giveBack(w *worker, c *cell.Cell) {
	if w.queue == nil {
		p.putBack(c)
		return
	}
	w.queue.unpop(c, p.level(c))
	p.waiting++
}

// endWork parks a worker that found nothing, or reports that it has to stop.
func (p *Pool) endWork(w *worker) (stop bool) {
	p.busy--
	w.batch = nil // an idle worker is to cost little
	return p.settleDown(w)
}

// settleDown gives a worker that has nothing in hand its next state.
func (p *Pool) settleDown(w *worker) (stop bool) {
	if w.retire || p.cfg.OnDemand {
		w.state = gone
		p.rescue()
		p.calm()
		return p.phase < stopping // from then on the router stops them all
	}
	p.park(w)
	p.calm()
	return false
}

func (p *Pool) park(w *worker) {
	w.state = parked
	if w.queue == nil {
		p.free = append(p.free, w)
	}
	if p.busy == 0 && p.cfg.IdleTimeout > 0 {
		p.armShrink()
	}
}

// arrived is called when a worker's actor starts, and starts again.
func (p *Pool) arrived(w *worker) {
	p.mu.Lock()
	w.pid = w.box.self()
	if w.stray || w.state != starting && w.state != failed {
		p.mu.Unlock()
		return
	}
	if w.state == starting && p.unarrived > 0 && w.queue == nil {
		p.unarrived--
	}
	p.restartDone(w)
	p.tellReady()
	p.mu.Unlock()
}

// restartDone sends a worker that was starting or failed back to work.
func (p *Pool) restartDone(w *worker) {
	w.state = woken
	if p.waking == nil && w.queue == nil {
		p.waking = w
	}
	w.box.poke()
}

// leaving is called when a worker's actor is told to stop, by us or by anyone.
func (p *Pool) leaving(w *worker) {
	p.mu.Lock()
	if w.state == parked {
		p.unpark(w)
	}
	if p.waking == w {
		p.waking = nil
	}
	leave := p.quit(w)
	w.state = gone
	next, grow := p.summon()
	p.mu.Unlock()
	leave()
	p.rouse(next, grow)
}

// withdraw takes a member out of service that is to be restarted for the sake of
// another: nobody may take its place while it has no state.
func (p *Pool) withdraw(w *worker) {
	if w.member == nil {
		return
	}
	p.mu.Lock()
	if w.state == parked {
		p.unpark(w)
	}
	if p.waking == w {
		p.waking = nil
	}
	leave := p.quit(w)
	w.state, w.full = failed, false
	next, grow := p.summon()
	p.mu.Unlock()
	leave()
	p.rouse(next, grow)
}

func (p *Pool) unpark(w *worker) {
	for i, other := range p.free {
		if other == w {
			p.free = append(p.free[:i], p.free[i+1:]...)
			return
		}
	}
}

// goexit keeps a worker going whose goroutine a function has ended.
func (p *Pool) goexit(w *worker) {
	p.mu.Lock()
	p.endBatch(w)
	if w.state == active {
		p.leaveWork(w, woken)
	}
	p.mu.Unlock()
	w.box.poke()
}

// outside is told that somebody else than its function ends a call.
func (p *Pool) outside(c *cell.Cell, from cell.State, why cell.Why, cause error) {
	switch {
	case specOf(c).Bulk: // whoever runs it counts what it stands for
	case why == cell.TimedOut:
		p.stats.timedOut.Add(1)
	case why == cell.Failed:
		p.stats.gone[failure].Add(1)
	default:
		p.stats.cancelled.Add(1)
	}
	if e := c.Ext.Load(); e != nil {
		e.Finish(cause)
	}
	r := recordIf(c)
	if r != nil {
		r.stopQueueTimer()
	}
	p.memberDone(c)
	if from != cell.Open {
		if p.cfg.Site != nil && specOf(c).Plain {
			p.cfg.Site.Cancel(c.ID(), cause)
		}
		return
	}
	p.mu.Lock()
	p.forget(c)
	var g *gate
	if r != nil {
		g = r.gate
	}
	p.admit()
	p.calm()
	next, grow := p.summon()
	p.mu.Unlock()
	p.rouse(next, grow)
	if g != nil {
		p.giveUp(g)
	}
}

// forget takes a call that nobody runs out of wherever it waits; under mu.
func (p *Pool) forget(c *cell.Cell) {
	if c.Queued() {
		p.unqueue(c)
		return
	}
	if t, waits := p.retries[c]; waits {
		t.Stop()
		delete(p.retries, c)
	}
}
