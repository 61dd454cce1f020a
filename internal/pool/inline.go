package pool

import (
	"context"
	"runtime/debug"
	"time"

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
	return w
}

// repay returns a lent worker to service.
func (p *Pool) repay(w *worker) {
	stop, poke := false, false
	p.mu.Lock()
	if w.state == lent {
		p.busy--
		if w.failure != nil || p.waiting > 0 && p.waking == nil && !w.retire {
			w.state, poke = woken, true
			if w.failure == nil {
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
	if poke {
		w.box.poke()
	}
	if stop {
		p.system.ActorSystem().Root.Stop(w.pid)
	}
}

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
	p.mu.Unlock()
	if full {
		p.assist(c)
	}
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

// hire runs c on a spare goroutine; under mu.
func (p *Pool) hire(c *cell.Cell) {
	w := newWorker(p, -1)
	w.state = lent
	if p.spares == nil {
		p.spares = make(map[*worker]struct{})
	}
	p.spares[w] = struct{}{}
	w.batch = []*cell.Cell{c}
	p.busy++
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

// runLent runs c in w's place on this goroutine.
func (p *Pool) runLent(w *worker, c *cell.Cell) {
	if !c.Start() {
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

// Lent is an idle worker whose place a caller has taken for one call.
type Lent = worker

// Lend gives the place of an idle worker for a call that the caller runs
// itself at once; nil if that would overtake a waiting call or take a place
// that is not free. The caller ends with [Lent.Return] on every path.
func (p *Pool) Lend() *Lent {
	if !p.brisk() {
		return nil
	}
	p.mu.Lock()
	if p.phase != running || p.waiting > 0 {
		p.mu.Unlock()
		return nil
	}
	w := p.borrow()
	if w != nil {
		p.calls++
		w.call.Store(p.calls)
	}
	p.mu.Unlock()
	if w != nil {
		w.total.Add(1)
		w.mark = p.now()
		w.lending.Store(true)
	}
	return w
}

// Context is handed to the function of a lent call. It ends with the pool.
func (w *worker) Context() context.Context { return (*lentContext)(w) }

// Return gives the place back after the function has returned with err. It
// returns the error of the call: err, or what stands for a stopped pool.
func (w *worker) Return(err error) error {
	p := w.pool
	w.lending.Store(false)
	p.timed(p.now()-w.mark, 1)
	if p.stopping() {
		p.stats.cancelled.Add(1)
		err = p.cfg.Faults.StopCause
	} else if err != nil {
		w.tally[failure].Add(1)
	} else {
		w.tally[succeeded].Add(1)
	}
	p.repay(w)
	return err
}

// Crash gives the place back after the function has panicked with reason, or
// has ended the caller's goroutine if that is nil.
func (w *worker) Crash(reason any) error {
	p := w.pool
	w.lending.Store(false)
	err, how := p.cfg.Faults.Goexit, exited
	if reason != nil {
		err, how = p.cfg.Faults.Panicked(reason, debug.Stack()), panicked
	}
	if how == panicked && p.cfg.Policy != nil {
		w.failure = err
	}
	w.tally[how].Add(1)
	p.repay(w)
	return err
}

// lentContext is a worker as the context of a lent call, whose caller gave
// context.Background. It is the worker's own and holds nothing of the call, so
// that a function which keeps it beyond its return sees nothing of others.
type lentContext worker

func (x *lentContext) Deadline() (time.Time, bool) { return time.Time{}, false }

func (x *lentContext) Done() <-chan struct{} { return x.pool.stopContext().Done() }

func (x *lentContext) Err() error {
	if x.pool.stopping() {
		return x.pool.stopContext().Err()
	}
	return nil
}

func (x *lentContext) Value(key any) any {
	if _, ok := key.(cell.CallKey); ok {
		return (*worker)(x)
	}
	if x.pool.stopping() {
		return x.pool.stopContext().Value(key)
	}
	return nil
}

// stopContext ends when the pool begins to stop; it is made when asked for.
func (p *Pool) stopContext() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopCtx == nil {
		p.stopCtx, p.stopRun = context.WithCancelCause(context.Background())
		if p.phase >= stopping {
			p.stopRun(p.cfg.Faults.StopCause)
		}
	}
	return p.stopCtx
}

// OnStop calls fn with the refusal of the pool when that stops, or soon if it
// has, unless it is called off before.
func (p *Pool) OnStop(fn func(refusal error)) (callOff func() bool) {
	return context.AfterFunc(p.stopContext(), func() {
		p.mu.Lock()
		err := p.refusal
		p.mu.Unlock()
		fn(err)
	})
}

func (p *Pool) stopping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase >= stopping
}

// RunHere runs a call, whose cell was prepared, on the caller's goroutine, with
// all of its attempts, and returns when the cell is complete.
func (p *Pool) RunHere(c *cell.Cell) {
	if ctx := c.Parent(); ctx.Err() != nil {
		p.refuse(c, cell.CauseOf(ctx))
		return
	}
	p.mu.Lock()
	if p.phase != running && !p.begin() {
		err := p.refusal
		p.mu.Unlock()
		p.refuse(c, err)
		return
	}
	p.calls++
	c.SetID(p.calls)
	c.Stamp = p.now()
	w := newWorker(p, -1)
	w.state = lent
	if p.spares == nil {
		p.spares = make(map[*worker]struct{})
	}
	p.spares[w] = struct{}{}
	w.batch = []*cell.Cell{c}
	p.busy++
	p.mu.Unlock()
	defer p.dismiss(w)
	delay := time.Duration(-1)
	recordOf(c).here = &delay
	p.accompany(c, c.Parent().Done() != nil)
	for {
		if p.cfg.Limiter != nil {
			w.acquire(c)
		}
		p.runLent(w, c)
		if !c.IsOpen() {
			break
		}
		t := time.NewTimer(delay)
		select {
		case <-t.C:
		case <-c.DoneChan():
		}
		t.Stop()
	}
	<-c.DoneChan() // whoever ended it may still be writing
}
