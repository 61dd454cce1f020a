package pool

import (
	"context"
	"runtime/debug"
	"slices"
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
	lease, leased := p.leases[w]
	delete(p.leases, w)
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

// Context is handed to the function of a lent call. It ends with the call.
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
// context.Background. It costs nothing until the function asks for Done; then
// there is a lease, which ends with the call. A function that keeps the context
// beyond its return finds it ended, or sees the Done of a later call of the
// same worker, and nothing else of that.
type lentContext worker

// lease is the standard context of one lent call.
type lease struct {
	context.Context
	cancel context.CancelCauseFunc
}

// ended is for those who keep the context of a lent call.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// standard returns the lease, made now if there is none and ask is set; nil
// without one.
func (x *lentContext) standard(ask bool) context.Context {
	p, w := x.pool, (*worker)(x)
	p.mu.Lock()
	defer p.mu.Unlock()
	if l, ok := p.leases[w]; ok {
		return l
	}
	switch {
	case !w.lending.Load():
		return ended
	case p.phase >= stopping:
		return p.stopContext()
	case !ask:
		return nil
	}
	var l lease
	l.Context, l.cancel = context.WithCancelCause(p.stopContext())
	if p.leases == nil {
		p.leases = make(map[*worker]lease)
	}
	p.leases[w] = l
	return l
}

func (x *lentContext) Deadline() (time.Time, bool) { return time.Time{}, false }

func (x *lentContext) Done() <-chan struct{} { return x.standard(true).Done() }

func (x *lentContext) Err() error {
	if ctx := x.standard(false); ctx != nil {
		return ctx.Err()
	}
	return nil
}

func (x *lentContext) Value(key any) any {
	if _, ok := key.(cell.CallKey); ok {
		return (*worker)(x)
	}
	if ctx := x.standard(false); ctx != nil {
		return ctx.Value(key)
	}
	return nil
}

// stopContext ends when the pool begins to stop; it is made when asked for.
// Under mu.
func (p *Pool) stopContext() context.Context {
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
	p.mu.Lock()
	stop := p.stopContext()
	p.mu.Unlock()
	return context.AfterFunc(stop, func() {
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
	again := make(chan time.Duration, 1)
	recordOf(c).here = again
	p.accompany(c, c.Parent().Done() != nil)
	for next := true; next; next = awaitRetry(c, again) {
		if p.cfg.Limiter != nil {
			w.acquire(c)
		}
		p.runLent(w, c)
	}
}

// awaitRetry waits until the call is due for another attempt, and returns true,
// or until it is complete. The one who decides may be a timeout that is still
// at it when the function has returned.
func awaitRetry(c *cell.Cell, again <-chan time.Duration) bool {
	select {
	case delay := <-again:
		t := time.NewTimer(delay)
		defer t.Stop()
		select {
		case <-t.C:
			return true
		case <-c.DoneChan():
			return false
		}
	case <-c.DoneChan():
		return false
	}
}
