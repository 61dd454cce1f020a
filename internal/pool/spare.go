package pool

import (
	"context"
	"slices"

	"github.com/troupe-go/troupe/internal/cell"
)

// help implements cell.Owner.Help.
func (p *Pool) help(c *cell.Cell, ctx context.Context) {
	if outer, inside := p.caller(ctx); inside {
		p.assist(c, outer)
		return
	}
	p.expect(c)
	if !specOf(c).Plain || ctx.Done() != nil || c.Parent().Done() != nil || p.cfg.Site != nil || !p.brisk() {
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
	outer, inside := p.caller(c.Parent())
	if !inside {
		return
	}
	if p.cfg.State != nil {
		p.assist(c, outer)
		return
	}
	p.mu.Lock()
	full := p.crammed()
	if !full {
		p.hope(c, outer)
	}
	p.mu.Unlock()
	if full {
		p.assist(c, outer)
	}
}

// hoped is a call that is waited for inside the pool.
type hoped struct{ call, outer *cell.Cell }

// hope remembers a call that is waited for inside the pool and for which there
// is a worker: that may yet go. Under mu.
func (p *Pool) hope(c, outer *cell.Cell) {
	if len(p.hopes) >= sweepAt {
		p.hopes = slices.DeleteFunc(p.hopes, func(h hoped) bool { return !h.call.Queued() })
	}
	p.hopes = append(p.hopes, hoped{call: c, outer: outer})
}

// rescue runs the calls whose hope is gone beside the workers; under mu, after
// a worker has gone or is about to.
func (p *Pool) rescue() {
	if len(p.hopes) == 0 || p.phase >= stopping || !p.crammed() {
		return
	}
	for _, h := range p.hopes {
		if h.call.Queued() {
			p.hire(h.call, h.outer)
		}
	}
	p.hopes = nil
}

// crammed reports whether no worker is free and none can be made; under mu. In
// a pool of members a call depends on its own, whoever else is free.
func (p *Pool) crammed() bool {
	return p.perMember() || len(p.free) == 0 && p.waking == nil && (!p.capacity() || p.halted || p.held || p.declined > 0 && p.waiting-p.lined <= p.declined)
}

// inside reports whether ctx is that of a function which this pool runs,
// directly or below a function of another pool.
func (p *Pool) inside(ctx context.Context) bool {
	_, inside := p.caller(ctx)
	return inside
}

// caller returns the call of this pool whose function ctx was given to, or is
// below of; nil for a lent call, which has no cell.
func (p *Pool) caller(ctx context.Context) (outer *cell.Cell, inside bool) {
	for ctx != nil {
		switch v := ctx.Value(cell.CallKey{}).(type) {
		case *cell.Cell:
			if specOf(v).Pool == p {
				return v, true
			}
			ctx = v.Parent()
		case *worker:
			return nil, v.pool == p
		default:
			return nil, false
		}
	}
	return nil, false
}

// assist runs c, which outer waits for, beside the workers, unless somebody
// runs it or it waits for its next attempt.
func (p *Pool) assist(c, outer *cell.Cell) {
	if p.cfg.State != nil {
		p.assistMember(c, outer)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.assistable(c) {
		p.hire(c, outer)
	}
}

func (p *Pool) assistable(c *cell.Cell) bool {
	if _, waits := p.retries[c]; waits || p.phase >= stopping || !c.IsOpen() {
		return false
	}
	// If it is not queued, a worker or a spare has nothing else in hand; a
	// second one would take a second permit.
	return p.cfg.Limiter == nil || c.Queued()
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

// hire runs c, wherever it waits, on a spare goroutine; under mu. In a pool
// with states it is the guest of the member that runs outer.
func (p *Pool) hire(c, outer *cell.Cell) {
	if p.cfg.State != nil {
		if host := p.runner(outer); host != nil {
			p.invite(c, outer, host)
		}
		return
	}
	if c.Queued() {
		p.unqueue(c)
	}
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
	if w.host != nil {
		p.takeLeave(w)
	}
	p.admit()
	p.calm()
	next, grow := p.summon()
	p.mu.Unlock()
	p.rouse(next, grow)
}
