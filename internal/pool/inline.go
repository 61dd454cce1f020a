package pool

import (
	"github.com/troupe-go/troupe/internal/cell"
)

// Some calls run outside of the workers' goroutines. A caller that is about to
// wait anyway may take the place of an idle worker, which saves two switches
// (lent). And a call that a function of this pool waits for is run by a spare
// goroutine in that function's place, since the pool may be full of functions
// that wait (spare).

// brisk reports whether calls have proved so quick that a switch between
// goroutines would cost more than running them where they are waited for.
func (p *Pool) brisk() bool {
	pace := p.pace.Load()
	return pace > 0 && pace < brisk
}

// borrow takes an idle worker, or the one on its way to the queue, out of
// service; nil if there is none. Under mu; give it back with repay.
func (p *Pool) borrow() *worker {
	if p.perMember() || p.cfg.OnDemand {
		return nil
	}
	var w *worker
	if n := len(p.free); n > 0 {
		w = p.free[n-1]
		p.free = p.free[:n-1]
	} else if w = p.waking; w == nil || w.state != woken || w.failure != nil || w.retire {
		return nil
	}
	if p.waking == w {
		p.waking = nil
	}
	w.state = lent
	p.busy++
	if w.member != nil {
		w.member.lent = true
	}
	return w
}

// repay returns a lent worker to service.
func (p *Pool) repay(w *worker) {
	stop, poke := false, false
	p.mu.Lock()
	lease, leased := p.leases[w]
	delete(p.leases, w)
	if w.member != nil {
		w.member.lent = false
		if w.failure == nil {
			w.failure, w.member.failed = w.member.failed, nil
		}
		w.member.leave()
	}
	if w.state == lent {
		p.busy--
		if w.failure != nil || !w.retire && (p.waiting > p.lined && p.waking == nil || p.lineOf(w) != nil) {
			w.state, poke = woken, true
			if w.failure == nil && p.waking == nil {
				p.waking = w
			}
			p.calm()
		} else {
			stop = p.settleDown(w)
		}
	} else { // its actor went meanwhile
		p.busy--
		p.calm()
	}
	p.mu.Unlock()
	if leased {
		lease.cancel(nil)
	}
	if poke {
		w.box.poke()
	}
	if stop {
		p.system.ActorSystem().Root.Stop(w.pid)
	}
}

// runLent runs c in w's place on this goroutine.
func (p *Pool) runLent(w *worker, c *cell.Cell) {
	if !begun(c) {
		w.turnAway()
		return
	}
	w.mark = p.now()
	if c.Stamp != 0 {
		p.stats.wait.add(max(0, w.mark-c.Stamp), 1)
	}
	w.current.Store(c)
	returned := false
	defer func() {
		if !returned {
			w.crash(recover())
		}
	}()
	w.run(c)
	returned = true
	w.current.Store(nil)
	if !specOf(c).Bulk {
		p.timed(p.now()-w.mark, 1)
	}
}
