package pool

import (
	"runtime/debug"

	"github.com/troupe-go/troupe/internal/cell"
)

// A bulk call stands for many: it is not counted itself, and a worker, or a
// caller in a worker's place, counts those it stands for by the methods here.

// Reserve numbers n calls that bulk calls will stand for, and returns the
// number of the first; or why the pool takes none.
func (p *Pool) Reserve(n int) (first uint64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != running && !p.begin() {
		return 0, p.refusal
	}
	first = p.calls + 1
	p.calls += uint64(n)
	return first, nil
}

// Dropped counts n of the calls that were reserved and will never be run.
func (p *Pool) Dropped(n int) { p.stats.cancelled.Add(uint64(n)) }

// Retract undoes Begin for n calls that were not run.
func (p *Pool) Retract(n int) {
	p.mu.Lock()
	p.calls -= uint64(n)
	p.mu.Unlock()
}

// Pace is a call's usual run time in ns; 0: not known yet.
func (p *Pool) Pace() int64 { return p.pace.Load() }

// Begin implements Settler.
func (w *worker) Begin(n int) bool {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != running {
		return false
	}
	w.call.Store(p.calls + 1)
	p.calls += uint64(n)
	w.total.Add(uint64(n))
	return true
}

// Given implements Settler.
func (w *worker) Given(n int) { w.total.Add(uint64(n)) }

// Number implements Settler.
func (w *worker) Number(first uint64) { w.call.Store(first) }

// Done implements Settler.
func (w *worker) Done(good, failed int, ns int64) {
	if good > 0 {
		w.tally[succeeded].Add(uint64(good))
	}
	if failed > 0 {
		w.tally[failure].Add(uint64(failed))
	}
	if n := good + failed; n > 0 {
		w.pool.timed(ns, n)
	}
}

// Revoke implements Settler.
func (w *worker) Revoke(err error, crashed bool) {
	how := succeeded
	switch {
	case crashed:
		how = panicked
	case w.pool.cfg.Faults.IsGoexit(err):
		how = exited
	case err != nil:
		how = failure
	}
	w.tally[how].Add(^uint64(0))
}

// Contain implements Settler.
func (w *worker) Contain(reason any) error {
	if reason == nil {
		w.tally[exited].Add(1)
		return w.pool.cfg.Faults.Goexit()
	}
	w.tally[panicked].Add(1)
	return w.pool.cfg.Faults.Panicked(reason, debug.Stack())
}

// Mark implements Settler.
func (w *worker) Mark(now int64) { w.mark = now }

// Begun implements Settler.
func (w *worker) Begun() int64 { return w.mark }

// Clock implements Settler.
func (w *worker) Clock() int64 { return w.pool.now() }

// Crowded implements Settler.
func (w *worker) Crowded() bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.pool.waiting > 0 && w.pool.phase == running
}

// LendBulk gives the place of an idle worker for calls that the caller runs
// itself at once, for the bulk call c, which is running; nil if that would overtake
// more waiting calls than own, which are the caller's, or take a place that is
// not free. The caller ends with [Lent.ReturnBulk] on every path.
func (p *Pool) LendBulk(c *cell.Cell, own int) *Lent {
	if !p.brisk() {
		return nil
	}
	p.mu.Lock()
	if p.phase != running || p.waiting > own {
		p.mu.Unlock()
		return nil
	}
	w := p.borrow()
	var next *worker
	var grow bool
	if w != nil {
		w.current.Store(c)
		next, grow = p.summon()
	}
	p.mu.Unlock()
	p.rouse(next, grow)
	if w != nil {
		w.mark = p.now()
	}
	return w
}

// ReturnBulk gives the place back.
func (w *worker) ReturnBulk() {
	w.current.Store(nil)
	w.pool.repay(w)
}

// runner finds the worker that runs c; under mu.
func (p *Pool) runner(c *cell.Cell) *worker {
	for _, w := range p.members {
		if w != nil && w.current.Load() == c {
			return w
		}
	}
	for w := range p.spares {
		if w.current.Load() == c {
			return w
		}
	}
	return nil
}

// number is that of the call in hand: of c, or of what c stands for.
func (w *worker) number(c *cell.Cell) uint64 {
	if specOf(c).Bulk {
		return w.call.Load()
	}
	return c.ID()
}
