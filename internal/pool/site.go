package pool

import (
	"cmp"
	"context"
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

// ReadyElsewhere starts the pool of a task and returns when its Site is ready,
// which does not rest meanwhile.
func (p *Pool) ReadyElsewhere(ctx context.Context) error {
	p.mu.Lock()
	if p.phase != running && !p.begin() || p.closed != nil {
		err := cmp.Or(p.refusal, p.closed)
		p.mu.Unlock()
		return err
	}
	p.wake()
	p.awaited++
	p.mu.Unlock()
	err := p.cfg.Site.Ready(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaited--
	if p.cfg.IdleTimeout > 0 { // nobody may ever call
		p.armShrink()
	}
	if err != nil && p.failed != nil {
		return p.failed
	}
	return err
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

// Lost implements place.Pool: an idle worker is handed to its supervisor, one
// that is at work when it is through with its call, and one that is about to
// take note of the state then.
func (p *Pool) Lost(member place.Member, err error) {
	p.mu.Lock()
	var idle *worker
	known := false
	for _, w := range p.members {
		if w == nil || !w.member.held || w.member.state != any(member) {
			continue
		}
		known = true
		switch w.state {
		case active, gated:
			w.member.failed = err
		case parked:
			p.unpark(w)
			w.state, w.failure, idle = woken, err, w
		default: // it is about to look for work, and looks at that first
			w.failure = err
		}
	}
	if !known && p.opening > 0 {
		if p.early == nil {
			p.early = make(map[place.Member]error)
		}
		p.early[member] = err
	}
	p.mu.Unlock()
	if idle != nil {
		idle.box.poke()
	}
}

// lostEarly is why a state is lost that has just been opened, if it is; under mu.
func (p *Pool) lostEarly(state any) (err error) {
	if m, ok := state.(place.Member); ok {
		err = p.early[m]
	}
	if p.opening == 0 {
		p.early = nil
	}
	return err
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
	if r != nil && !undone {
		r.noteLoss()
	}
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
		if !undone { // else its wait, and its rank, go on
			c.Stamp = p.now()
		}
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
	if r.number.Load() > 0 || r.lost { // an earlier attempt did begin
		return false
	}
	r.over = false
	r.begun.Store(false)
	return true
}

// noteLoss remembers that a call which waits again has begun before.
func (r *record) noteLoss() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = true
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
