package pool

import (
	"runtime/debug"
	"strconv"
	"sync/atomic"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/internal/cell"
)

type workerState uint8

// What a worker does; guarded by the pool's lock.
//
//	starting ─▶ woken ─▶ active ─▶ parked ─▶ woken …
//	              │        │          └─▶ lent ─▶ parked or woken
//	              └─▶ lent └─▶ failed ─(supervisor)─▶ woken or parked
//	           active ─▶ gated ─▶ woken
//	any ─▶ gone
const (
	starting workerState = iota
	woken                // told to look for work
	active               // inside a batch
	parked               // in Pool.free
	gated                // waits for the permit of the call in its batch
	lent                 // its place is taken by a call on a caller's goroutine
	failed               // its actor is with the supervisor
	gone
)

// worker is a worker actor of a pool, and its place in it.
type worker struct {
	pool    *Pool
	index   int32
	lending atomic.Bool // a lent call runs, which has no cell
	pid     *proto.PID  // set before the first wake
	box     mailbox

	// Guarded by the pool's lock.
	state    workerState
	spawned  bool       // has been given an actor
	used     bool       // has had the one call of an on-demand worker
	retire   bool       // is to end as soon as it has nothing in hand
	expelled bool       // stopped for good by the policy
	queue    *queue     // its own, unless the pool's is shared
	member   *member    // its state, and that of its guests; nil: a task
	host     *worker    // of a spare that runs a call of a member
	outer    *cell.Cell // the call that waits for that of the spare
	tied     bool       // opens or closes its state
	unopened error      // what its actor has to fail with; the actor's own
	full     bool       // runs as many calls as may interleave
	stray    bool       // left over from a former life of the pool
	failure  error      // what its actor has to fail with

	// The batch in hand: written under the lock, read by the worker without.
	batch []*cell.Cell
	gate  *gate // of the call in the batch
	next  int   // the worker's own
	mark  int64

	call    atomic.Uint64 // number of the call in hand, if its cell does not say
	attempt *Attempt      // in hand, if not plain; the worker's own
	current atomic.Pointer[cell.Cell]
	total   atomic.Uint64
	tally   tally
}

func newWorker(p *Pool, index int) *worker {
	w := &worker{pool: p, index: int32(index)}
	w.box.owner = w
	if p.cfg.State != nil && index >= 0 {
		w.member = &member{}
	}
	return w
}

// Name is the last part of the worker's PID.
func (w *worker) Name() string {
	if w.host != nil {
		return w.host.Name()
	}
	if w.index < 0 {
		return "spare"
	}
	return "worker-" + strconv.Itoa(int(w.index))
}

// route implements owner: a worker takes no messages but the engine's.
func (w *worker) route(message any) bool {
	_, control := proto.UnwrapEnvelopeMessage(message).(proto.AutoReceiveMessage)
	return !control
}

func (w *worker) before(message any) {
	switch message.(type) {
	case *proto.Stop:
		w.pool.leaving(w)
		w.shut()
	case *proto.Restart:
		w.pool.withdraw(w)
		w.shut()
	}
}

func (w *worker) after(message any) {
	switch message.(type) {
	case *proto.Started, *proto.Restart:
		w.open()
		w.pool.arrived(w)
	}
}

// woken takes batches until there is nothing left, or until the engine wants to
// have a word, and then lets the next poke go on.
func (w *worker) woken(ctx proto.Context) {
	p := w.pool
	if err := w.unopened; err != nil {
		w.unopened = nil
		panic(&openFailure{err})
	}
	p.mu.Lock()
	if w.state != woken {
		p.mu.Unlock() // its place was lent, or a poke came late
		return
	}
	p.startWork(w)
	if p.interleaved() {
		w.fan(ctx)
		return
	}
	for w.failure != nil || w.gate != nil || p.take(w) { // a lent call may have failed
		if !p.depart(w) {
			return
		}
		w.process()
		p.mu.Lock()
		p.endBatch(w)
		if m := w.member; m != nil && w.failure == nil {
			w.failure, m.failed = m.failed, nil
		}
		if w.failure != nil {
			p.giveIn(w) // panics
		}
		if w.box.interrupted() {
			p.leaveWork(w, woken)
			p.mu.Unlock()
			w.box.poke()
			return
		}
	}
	stop := p.endWork(w)
	p.mu.Unlock()
	if stop {
		ctx.Stop(ctx.Self())
	}
}

// giveIn hands w over to its supervisor, by a panic. It is called with mu held,
// which it releases.
func (p *Pool) giveIn(w *worker) {
	err := w.failure
	w.failure = nil
	p.leaveWork(w, failed)
	next, grow := p.summon()
	p.mu.Unlock()
	p.rouse(next, grow)
	panic(err)
}

// depart lets the worker go to work with its batch, and wakes the next. It is
// called with mu held, which it releases. False: w waits for a permit.
func (p *Pool) depart(w *worker) bool {
	if p.cfg.Limiter != nil && w.gate == nil && len(w.batch) > 0 {
		return p.pass(w)
	}
	next, grow := p.summon()
	p.mu.Unlock()
	p.rouse(next, grow)
	return true
}

// process runs the batch. Calls that panic are completed in between.
func (w *worker) process() {
	w.mark = w.pool.now()
	for w.next < len(w.batch) && w.failure == nil {
		w.guarded()
	}
}

// guarded runs calls until the batch is through or one of them panics.
func (w *worker) guarded() {
	returned := false
	defer func() {
		if !returned {
			w.crash(recover())
		}
	}()
	p := w.pool
	pace := p.pace.Load()
	clock := watch{pool: p, worker: w, group: groupSize(pace)}
	for w.next < len(w.batch) && w.failure == nil {
		c := w.batch[w.next]
		w.next++
		if !begun(c) {
			w.turnAway()
			continue
		}
		w.current.Store(c)
		clock.started(c)
		w.run(c)
		clock.ended(c, w.next == len(w.batch))
	}
	w.current.Store(nil)
	returned = true
}

func (w *worker) run(c *cell.Cell) {
	s := specOf(c)
	if w.queue == nil && !s.Bulk {
		w.total.Add(1)
	}
	if s.Plain {
		s.Run(c, w)
		w.seeOff(c)
		return
	}
	s.RunAttempt(newAttempt(w, c, s))
	w.attempt.leave()
	w.attempt = nil
	w.seeOff(c)
}

// crash completes the call in hand, whose function panicked with reason, or
// called runtime.Goexit if that is nil.
func (w *worker) crash(reason any) {
	p := w.pool
	c := w.current.Swap(nil)
	end := p.now()
	p.stats.run.add(end-w.mark, 1)
	w.mark = end
	err, how := p.cfg.Faults.Goexit(), exited
	if reason != nil {
		err, how = p.cfg.Faults.Panicked(reason, debug.Stack()), panicked
	}
	if how == panicked && p.cfg.Policy != nil {
		w.failure = err
	}
	if a := w.attempt; a != nil {
		w.attempt = nil
		a.crash(err, how)
	} else if p.settle(w, c, how) {
		c.Publish(err)
	}
	w.seeOff(c)
	if how == exited {
		p.goexit(w)
	}
}

// Settle implements Settler for plain calls.
func (w *worker) Settle(c *cell.Cell, err error) bool {
	if abandoned(c) {
		return false
	}
	return w.pool.settle(w, c, w.pool.endingOf(err))
}

// endingOf is how a function ended that returned err.
func (p *Pool) endingOf(err error) ending {
	switch {
	case err == nil:
		return succeeded
	case p.cfg.Site != nil && p.cfg.Faults.IsPanic(err):
		return panicked
	}
	return failure
}

// abandoned reports whether the caller's ctx has ended, and then ends the call
// with the cause: a function that returns because it saw the end may be quicker
// than the goroutine that is to do it.
func abandoned(c *cell.Cell) bool {
	ctx := c.Parent()
	if ctx.Err() == nil {
		return false
	}
	c.Abort(cell.Cancelled, cell.CauseOf(ctx))
	return true
}

// begun moves c to Running, unless it has ended or its ctx has: the call is then
// not begun, though whoever is to end it may come late.
func begun(c *cell.Cell) bool {
	if c.Ext.Load() != nil && abandoned(c) {
		return false
	}
	return c.Start()
}

// settle claims c for its function and counts it. It reports whether the
// function's outcome is still wanted.
func (p *Pool) settle(w *worker, c *cell.Cell, how ending) bool {
	if !c.ClaimRunning() {
		return false
	}
	if !specOf(c).Bulk {
		w.tally[how].Add(1)
	}
	if p.perMember() {
		p.memberDone(c)
	}
	if e := c.Ext.Load(); e != nil {
		e.Finish(nil)
	}
	return true
}
