package pool

import (
	"slices"

	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/place"
)

// A pool with a Site runs its calls elsewhere. Its workers are proxies: each
// sends a call and waits for the answer. How many of them may be at work, the
// Site says (Allow); the other calls stay in the queue, open to QueueTimeout,
// until there is room for them somewhere.

// bounded reports whether the Site says how many workers may be at work.
func (p *Pool) bounded() bool { return p.cfg.Site != nil && p.cfg.State == nil }

// crowdedOut reports whether the Site has no room beside the workers at work, of
// whom own do not count; under mu.
func (p *Pool) crowdedOut(own int) bool { return p.bounded() && p.busy-own >= p.allowed }

// rest tells the Site that the pool is idle; under mu.
func (p *Pool) rest() {
	if p.cfg.Site != nil {
		p.resting = true
		p.cfg.Site.Rest()
	}
}

// wake ends that; under mu.
func (p *Pool) wake() {
	if p.resting {
		p.resting = false
		p.cfg.Site.Wake(false)
	}
}

// renew tells the Site that the pool begins anew; under mu.
func (p *Pool) renew() {
	if p.cfg.Site != nil {
		p.resting = false
		p.cfg.Site.Wake(true)
	}
}

// Stir wakes the Site of a task that somebody waits for without a call. If none
// comes, it may rest again after the IdleTimeout.
func (p *Pool) Stir() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != running && !p.begin() {
		return
	}
	p.wake()
	if p.cfg.IdleTimeout > 0 {
		p.armShrink()
	}
}

// Refusal is why the pool takes no calls, if so.
func (p *Pool) Refusal() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase > running {
		return p.refusal
	}
	return p.closed
}

// Allow implements place.Pool.
func (p *Pool) Allow(n int) {
	p.mu.Lock()
	p.allowed = n
	p.admit()
	w, grow := p.summon()
	p.mu.Unlock()
	p.rouse(w, grow)
}

// Decline implements place.Pool.
func (p *Pool) Decline(err error) {
	p.mu.Lock()
	p.closed = err
	var cells []*cell.Cell
	if err != nil && p.phase < stopping {
		cells, _ = p.everything()
	}
	p.mu.Unlock()
	if len(cells) == 0 {
		return
	}
	// Callbacks run in it, and the Site must not wait for them.
	p.dispatch.Schedule(func() {
		for _, c := range cells {
			c.AbortOpen(cell.Failed, err)
		}
		p.mu.Lock()
		p.calm()
		p.mu.Unlock()
	})
}

// Fail implements place.Pool: the router hands the failure up.
func (p *Pool) Fail(err error) {
	p.mu.Lock()
	p.gaveUpAbout = err
	p.mu.Unlock()
	p.box.Load().poke()
}

// Restarted implements place.Pool.
func (p *Pool) Restarted() { p.stats.restarts.Add(1) }

// Lost implements place.Pool: an idle worker is handed to its supervisor; one
// that is at work, or still opens the state, learns it from its next call.
func (p *Pool) Lost(member place.Member, err error) {
	p.mu.Lock()
	var idle *worker
	for _, w := range p.members {
		if w == nil || !w.member.held || w.member.state != any(member) || w.state != parked && w.state != woken {
			continue
		}
		if w.state == parked {
			p.unpark(w)
		}
		w.state, w.failure = woken, err
		idle = w
	}
	p.mu.Unlock()
	if idle != nil {
		idle.box.poke()
	}
}

// PutBack implements Settler: the call in hand goes back to the head of the
// queue. Undone says that nobody has begun it.
func (w *worker) PutBack(c *cell.Cell, undone bool) {
	if a := w.attempt; a != nil {
		a.giveUp(undone)
		return
	}
	if c.Reopen() {
		w.pool.replace(c, undone)
	}
}

// PutBack is [Settler.PutBack] for calls that are not plain.
func (a *Attempt) PutBack(_ *cell.Cell, undone bool) { a.giveUp(undone) }

// Away reports whether the attempt's function runs elsewhere.
func (a *Attempt) Away() bool { return a.spec.Pool.cfg.Site != nil }

func (a *Attempt) giveUp(undone bool) {
	if undone {
		a.spec.Pool.unused(a.permit)
	}
	a.letGo()
	if abandoned(a.Cell) || a.expired() || !a.over.CompareAndSwap(false, true) {
		return
	}
	if a.detach != nil {
		a.detach()
	}
	a.record.number.Add(-1)
	if a.Cell.Reopen() {
		a.spec.Pool.replace(a.Cell, undone)
	}
}

// replace puts a call back to where it was taken from.
func (p *Pool) replace(c *cell.Cell, undone bool) {
	r := recordIf(c)
	rewatch := undone && r != nil && specOf(c).QueueTimeout > 0 && r.unbegin()
	p.mu.Lock()
	switch {
	case p.phase >= stopping:
		p.mu.Unlock()
		c.Abort(cell.Stopped, p.cfg.Faults.Stopped())
		return
	case p.closed != nil:
		err := p.closed
		p.mu.Unlock()
		c.Abort(cell.Failed, err)
		return
	case c.IsOpen() && !c.Queued():
		c.Stamp = p.now()
		p.putBackAny(c)
	}
	w, grow := p.summon()
	p.mu.Unlock()
	p.rouse(w, grow)
	if rewatch {
		p.watchQueue(c, specOf(c))
	}
}

// putBackAny is putBack for pools of any balance; under mu.
func (p *Pool) putBackAny(c *cell.Cell) {
	if p.perMember() {
		p.waiting++
		p.assign(c, true)
		return
	}
	p.putBack(c)
}

// unbegin lets QueueTimeout go on for a call that only seemed to begin. It
// reports whether there is a wait to bound.
func (r *record) unbegin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.number.Load() > 0 { // an earlier attempt did begin
		return false
	}
	r.over = false
	r.begun.Store(false)
	return true
}

// Fail implements Settler: the worker goes to its supervisor with err when its
// call has ended.
func (w *worker) Fail(err error) {
	if w.pool.cfg.Policy != nil {
		w.failure = err
	}
}

// LoseMember implements Settler: the worker, if it is a member, goes to its
// supervisor since its state is gone.
func (w *worker) LoseMember(err error) {
	if w.member != nil {
		w.Fail(err)
	}
}

// Fail is [Settler.Fail] for calls that are not plain.
func (a *Attempt) Fail(err error) { a.worker.Fail(err) }

// LoseMember is [Settler.LoseMember] for calls that are not plain.
func (a *Attempt) LoseMember(err error) { a.worker.LoseMember(err) }

// siteStats replaces what the proxies would say by what the Site does.
func (p *Pool) siteStats(s *Stats) {
	if p.cfg.Site == nil {
		return
	}
	places := p.cfg.Site.Stats()
	if p.cfg.State == nil {
		s.Workers = 0
		for _, at := range places {
			s.Workers += at.Capacity
		}
	}
	s.PerWorker = slices.Grow(s.PerWorker[:0], len(places))
	for _, at := range places {
		s.PerWorker = append(s.PerWorker, WorkerStats{Name: at.Name, Active: at.Active, Total: at.Total})
	}
}
