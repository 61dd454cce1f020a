package pool

import (
	"context"
	"slices"

	"github.com/troupe-go/troupe/internal/cell"
)

// help implements cell.Owner.Help.
func (p *Pool) help(c *cell.Cell, ctx context.Context) {
	if p.inside(ctx) {
		p.assist(c)
		return
	}
	p.expect(c)
	if !specOf(c).Plain || ctx.Done() != nil || c.Parent().Done() != nil || !p.brisk() {
		return
	}
	p.mu.Lock()
	if !c.Queued() || p.perMember() || p.queue.head() != c { // never out of order
		p.mu.Unlock()
		return
	}
	w := p.borrow()
	if w == nil {
		p.mu.Unlock()
		return
	}
	p.queue.pop()
	p.waiting--
	next, grow := p.summon()
	p.mu.Unlock()
	p.rouse(next, grow)
	defer p.repay(w) // also on runtime.Goexit
	p.runLent(w, c)
}

// expect implements cell.Owner.Expect: a call that was submitted from inside a
// full pool and is waited for must not depend on one of the pool's workers.
func (p *Pool) expect(c *cell.Cell) {
	if !p.inside(c.Parent()) {
		return
	}
	p.mu.Lock()
	full := p.crammed()
	if !full {
		p.hope(c)
	}
	p.mu.Unlock()
	if full {
		p.assist(c)
	}
}

// hope remembers a call that is waited for inside the pool and for which there
// is a worker: that may yet go. Under mu.
func (p *Pool) hope(c *cell.Cell) {
	if len(p.hopes) >= sweepAt {
		p.hopes = slices.DeleteFunc(p.hopes, func(c *cell.Cell) bool { return !c.Queued() })
	}
	p.hopes = append(p.hopes, c)
}

// rescue runs the calls whose hope is gone beside the workers; under mu, after
// a worker has gone or is about to.
func (p *Pool) rescue() {
	if len(p.hopes) == 0 || p.phase >= stopping || !p.crammed() {
		return
	}
	for _, c := range p.hopes {
		if c.Queued() {
			p.queueOf(c).drop(c)
			p.waiting--
			p.hire(c)
		}
	}
	p.hopes = nil
}

// crammed reports whether no worker is free and none can be made; under mu. In
// a pool of members a call depends on its own, whoever else is free.
func (p *Pool) crammed() bool {
	return p.perMember() || len(p.free) == 0 && p.waking == nil && !p.capacity()
}

// inside reports whether ctx is that of a function which this pool runs,
// directly or below a function of another pool.
func (p *Pool) inside(ctx context.Context) bool {
	for ctx != nil {
		switch v := ctx.Value(cell.CallKey{}).(type) {
		case *cell.Cell:
			if specOf(v).Pool == p {
				return true
			}
			ctx = v.Parent()
		case *worker:
			return v.pool == p
		default:
			return false
		}
	}
	return false
}

// assist runs c beside the workers, unless somebody runs it or it waits for
// its next attempt.
func (p *Pool) assist(c *cell.Cell) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, waits := p.retries[c]; waits || p.phase >= stopping || !c.IsOpen() {
		return
	}
	if p.cfg.Limiter != nil && !c.Queued() {
		return // a worker or a spare has nothing else in hand; a second one would take a second permit
	}
	if c.Queued() {
		p.queueOf(c).drop(c)
		p.waiting--
	}
	p.hire(c)
}

// spare makes a worker beyond the pool's size that has c in hand, until it is
// dismissed; under mu.
func (p *Pool) spare(c *cell.Cell) *worker {
	w := newWorker(p, -1)
	w.state = lent
	w.batch = []*cell.Cell{c}
	if p.spares == nil {
		p.spares = make(map[*worker]struct{})
	}
	p.spares[w] = struct{}{}
	p.busy++
	return w
}

// hire runs c on a spare goroutine; under mu.
func (p *Pool) hire(c *cell.Cell) {
	w := p.spare(c)
	p.dispatch.Schedule(func() { p.runSpare(w) })
}

// runSpare runs the call of a spare, unless it has to wait for its permit.
func (p *Pool) runSpare(w *worker) {
	if p.cfg.Limiter != nil {
		p.mu.Lock()
		if w.state == woken { // back from the gate
			p.startWork(w)
		}
		if !p.depart(w) {
			return
		}
	}
	defer p.dismiss(w) // also on runtime.Goexit
	p.runLent(w, w.batch[0])
}

func (p *Pool) dismiss(w *worker) {
	p.mu.Lock()
	delete(p.spares, w)
	p.busy--
	p.stats.gone.fold(&w.tally)
	p.admit()
	p.calm()
	next, grow := p.summon()
	p.mu.Unlock()
	p.rouse(next, grow)
}
