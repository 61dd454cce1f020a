package pool

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/limits"
)

// record is what the engine keeps of a call that is not plain, from its
// submission to its end.
type record struct {
	begun   atomic.Bool // an attempt has started
	since   int64       // of its submission, if QueueTimeout is to be watched
	member  int         // whose queue it belongs to, if the pool has several; -1: none yet
	level   int         // its priority
	key     uint64      // of the member it belongs to, if keyed
	keyed   bool
	lined   bool               // it waits in the line of its member; guarded by the pool's lock
	awaited *cell.Cell         // a call of a member waits for it; guarded by the pool's lock
	request limits.Request     // what each attempt takes
	gate    *gate              // where it waits for that; guarded by the pool's lock
	number  atomic.Int32       // of the last attempt
	started int64              // of the first attempt
	History any                // of the typed layer; the attempt's own
	here    chan time.Duration // set if the caller runs the attempts itself: gets the delay before the next
	mu      sync.Mutex
	queue   *time.Timer
	over    bool
	lost    bool // it was begun somewhere that was lost
}

// Prepare gives c what a call that is not plain needs; before it is submitted.
func (s *Spec) Prepare(c *cell.Cell, level int, request limits.Request) {
	c.Extend().Engine = &record{member: -1, level: level, request: request}
}

// Key makes a call that is prepared belong to the member of key; before it is
// submitted.
func Key(c *cell.Cell, key uint64) {
	r := recordOf(c)
	r.key, r.keyed = key, true
}

func recordOf(c *cell.Cell) *record { return c.Ext.Load().Engine.(*record) }

func recordIf(c *cell.Cell) *record {
	if e := c.Ext.Load(); e != nil {
		r, _ := e.Engine.(*record)
		return r
	}
	return nil
}

func (r *record) holdQueueTimer(t *time.Timer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		t.Stop()
		return
	}
	r.queue = t
}

// stopQueueTimer ends the wait that QueueTimeout bounds.
func (r *record) stopQueueTimer() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.queue != nil {
		r.queue.Stop()
	}
}

// Attempt is one run of a call that is not plain. It is over when its function
// returns or when its timeout ends it, whichever comes first; the function's
// result then no longer counts.
type Attempt struct {
	Cell    *cell.Cell
	Ctx     context.Context
	Number  int           // from 1
	History *any          // the typed layer's, kept from attempt to attempt
	Elapsed time.Duration // since the first attempt began; set when it is over
	Took    time.Duration // of this attempt; set when it is over

	Local     any            // the typed layer's
	permit    *limits.Permit // released when the function has returned
	worker    *worker
	spec      *Spec
	record    *record
	started   int64
	over      atomic.Bool
	late      error           // what it ends with when Timeout is over; nil: no timeout
	bound     context.Context // ends with late
	cancel    context.CancelFunc
	detach    func() bool
	span      func(error)
	spanEnded atomic.Bool
	refused   error // by the limits: the function is not run
	leaving   []func()
}

func newAttempt(w *worker, c *cell.Cell, s *Spec) *Attempt {
	r := recordOf(c)
	r.begun.Store(true)
	r.stopQueueTimer()
	if i := w.place(); w.member != nil && i >= 0 && i != r.member && !s.Pool.perMember() {
		s.Pool.mu.Lock()
		r.member = i // where its retries go
		s.Pool.mu.Unlock()
	}
	number := int(r.number.Add(1))
	now := s.Pool.now()
	if number == 1 {
		r.started = now
	}
	a := &Attempt{Cell: c, Ctx: c.AsContext(), Number: number, History: &r.History,
		worker: w, spec: s, record: r, started: now}
	w.attempt = a // from here on a panic in what others gave us releases the permit
	a.permit, a.refused = w.admitted()
	if a.refused != nil {
		return a
	}
	if s.Timeout > 0 {
		a.late = s.TimedOut(AttemptRun, s.Timeout)
		a.bound, a.cancel = context.WithTimeoutCause(a.Ctx, s.Timeout, a.late)
		a.Ctx = a.bound
	}
	if s.Wrap != nil {
		s.Wrap(a)
	}
	if s.Trace != nil {
		a.Ctx, a.span = s.Trace(a.Ctx, a)
	}
	if a.bound != nil { // last, since the attempt may end at once
		a.detach = context.AfterFunc(a.bound, func() { a.expired() })
	}
	return a
}

// Member is the state that the call is for.
func (a *Attempt) Member() any { return a.worker.member.state }

// Permit is what the attempt took; nil without limits.
func (a *Attempt) Permit() *limits.Permit { return a.permit }

// Timed reports whether a timeout bounds the attempt.
func (a *Attempt) Timed() bool { return a.late != nil }

// Refused is the error of the limits, which ends the attempt before it begins.
func (a *Attempt) Refused() error { return a.refused }

// OnLeave runs fn when the function has returned.
func (a *Attempt) OnLeave(fn func()) { a.leaving = append(a.leaving, fn) }

// Worker is the name of the worker that runs the attempt.
func (a *Attempt) Worker() string { return a.worker.Name() }

// leave releases what the attempt held, after its function has returned.
func (a *Attempt) leave() {
	if a.detach != nil {
		a.detach()
	}
	a.endSpan(context.Cause(a.Ctx)) // unless conclude has
	if a.cancel != nil {
		a.cancel()
	}
	a.letGo()
}

func (a *Attempt) endSpan(err error) {
	if a.span != nil && a.spanEnded.CompareAndSwap(false, true) {
		a.span(err)
	}
}

// letGo gives the limits back what the function held. That is done before
// anybody hears of its outcome: who does may want to take the same at once.
func (a *Attempt) letGo() {
	for _, fn := range a.leaving {
		fn()
	}
	a.leaving = nil
	a.permit.Release()
}

// expired reports whether Timeout is over, and then ends the attempt if nobody
// has. Its ctx may also have ended because the call has: that is not for here.
func (a *Attempt) expired() bool {
	if a.late == nil || context.Cause(a.bound) != a.late {
		return false
	}
	if a.Cell.IsDone() || !a.over.CompareAndSwap(false, true) {
		return true // the call was ended as a whole, or the function was quicker
	}
	if final, end := a.conclude(a.late, nil); end {
		a.Cell.Abort(cell.TimedOut, final)
	}
	return true
}

// Settle takes the function's outcome. If mine is true the caller writes the
// value and publishes final; otherwise there is nothing left to do. out gives
// the value, for the typed layer's record.
func (a *Attempt) Settle(err error, out func() any) (final error, mine bool) {
	return a.settle(err, a.spec.Pool.endingOf(err), out)
}

func (a *Attempt) settle(err error, how ending, out func() any) (final error, mine bool) {
	a.letGo()
	// What fails because its ctx has ended may be quicker than those who are
	// to end the call, or the attempt, for that.
	if how != exited && (how != panicked || a.Away()) && (abandoned(a.Cell) || a.expired()) || !a.over.CompareAndSwap(false, true) {
		return nil, false
	}
	if a.detach != nil {
		a.detach()
	}
	final, end := a.conclude(err, out)
	if !end || !a.spec.Pool.settle(a.worker, a.Cell, how) {
		return nil, false
	}
	return final, true
}

func (a *Attempt) crash(err error, how ending) {
	if final, mine := a.settle(err, how, nil); mine {
		a.Cell.Publish(final)
	}
	a.leave()
}

// conclude decides what follows the attempt: the call's end, with its error,
// or another attempt, which it arranges.
func (a *Attempt) conclude(err error, out func() any) (final error, end bool) {
	p := a.spec.Pool
	now := p.now()
	a.Took, a.Elapsed = time.Duration(now-a.started), time.Duration(now-a.record.started)
	a.endSpan(err)
	if a.spec.Retry == nil || a.Cell.Aborted() {
		return err, true
	}
	again, delay, final := a.spec.Retry(a, err, out)
	if !again {
		return final, true
	}
	if here := a.record.here; here != nil {
		if a.Cell.Reopen() { // else somebody has ended the call meanwhile
			p.stats.retries.Add(1)
			here <- delay
		}
		return nil, false
	}
	if a.Cell.Reopen() { // else somebody has ended the call meanwhile
		p.stats.retries.Add(1)
		p.later(a.Cell, delay)
	}
	return nil, false
}

// Retry decides whether another attempt follows one that ended with err, nil
// included, after which delay, and what the call's error is if not.
type Retry func(a *Attempt, err error, out func() any) (again bool, delay time.Duration, final error)

// later puts a call back in line after delay. It holds no worker meanwhile.
func (p *Pool) later(c *cell.Cell, delay time.Duration) {
	inside := p.inside(c.Parent()) // asks a ctx of the caller's: not under the lock
	p.mu.Lock()
	if p.phase >= stopping {
		p.mu.Unlock()
		c.Abort(cell.Stopped, p.cfg.Faults.Stopped())
		return
	}
	if !c.IsOpen() { // ended by someone who could not find it here
		p.mu.Unlock()
		return
	}
	if delay > 0 {
		if p.retries == nil {
			p.retries = make(map[*cell.Cell]*time.Timer)
		}
		p.retries[c] = time.AfterFunc(delay, func() { p.requeue(c) })
		p.mu.Unlock()
		return
	}
	p.again(c, inside) // unlocks
}

func (p *Pool) requeue(c *cell.Cell) {
	inside := p.inside(c.Parent())
	p.mu.Lock()
	if _, waits := p.retries[c]; !waits {
		p.mu.Unlock()
		return
	}
	delete(p.retries, c)
	p.again(c, inside)
}

// enqueueAgain puts a call in line that has had an attempt. With a member it
// keeps its place, since it may be half-way through something there.
func (p *Pool) enqueueAgain(c *cell.Cell) {
	switch {
	case p.cfg.State == nil:
		p.enqueue(c)
	case p.perMember():
		p.waiting++
		p.assign(c, true)
	default:
		p.putBack(c)
	}
}

// again puts c back into the queue; called with mu held, which it releases.
func (p *Pool) again(c *cell.Cell, inside bool) {
	if c.IsOpen() && !c.Queued() {
		c.Stamp = p.now()
		if inside && p.cfg.State == nil && p.crammed() {
			p.hire(c, nil) // a function of ours may be waiting for it
		} else {
			p.enqueueAgain(c)
		}
	}
	var outer *cell.Cell
	if r := recordIf(c); r != nil {
		outer = r.awaited
	}
	w, grow := p.summon()
	p.mu.Unlock()
	p.rouse(w, grow)
	if outer != nil {
		p.assistMember(c, outer)
	}
}
