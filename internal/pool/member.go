package pool

import (
	"context"
	"io"
	"runtime/debug"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/internal/cell"
)

// State makes a pool one of stateful workers: each member owns a state, opened
// before its first call and closed once when the member ends, is restarted, or
// goes with the pool.
type State struct {
	Open       func(ctx context.Context) (any, error)
	Closer     func(state any) io.Closer // nil: the state needs no closing
	Concurrent int                       // calls of one member that interleave; 0 and 1: none
}

// member is the state of one stateful worker. It is shared by all who run calls
// in the worker's place; the pool's lock guards it, except that whoever runs a
// call may read state.
type member struct {
	state  any
	held   bool // the state is open
	lent   bool // a caller runs a call in the worker's place
	guests int  // spares that run calls of this member
	quiet  chan struct{}
	failed error // a guest's panic, for the worker to fail with

	top    *cell.Cell // of its guests, the one that runs now, unless they interleave
	queue  []visit    // guests that wait until the state is theirs
	awaits []visit    // calls of other members that functions of this one wait for
}

// openFailure is what the actor of a worker panics with whose state cannot be
// opened.
type openFailure struct{ error }

func (f *openFailure) Unwrap() error { return f.error }

// open gives w a fresh state. It panics if it cannot, which hands w over to its
// supervisor.
func (w *worker) open() {
	p := w.pool
	if p.cfg.State == nil {
		return
	}
	p.mu.Lock()
	w.pid = w.box.self()
	if p.phase >= stopping {
		p.mu.Unlock()
		return
	}
	w.tied = true
	p.opening++
	p.mu.Unlock()
	state, err := w.openHere((*openContext)(w))
	w.opened(state, err)
	if err != nil {
		panic(&openFailure{err})
	}
}

// openHere opens a state on the goroutine of w's actor. If runtime.Goexit ends
// that, the actor learns of it in its next one.
func (w *worker) openHere(ctx context.Context) (state any, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if reason := recover(); reason != nil {
			err = w.pool.cfg.Faults.Panicked(reason, debug.Stack())
			return
		}
		w.unopened = w.pool.cfg.Faults.Goexit()
		w.opened(nil, w.unopened)
		w.box.poke()
	}()
	state, err = w.pool.cfg.State.Open(ctx)
	returned = true
	return state, err
}

// opened notes how the opening of w's state has ended.
func (w *worker) opened(state any, err error) {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	w.tied = false
	p.opening--
	w.member.state, w.member.held = state, err == nil
	w.failure = p.lostEarly(state) // and not that of a call with the state before
	p.calm()
}

// openContext is what the function gets that opens a worker's state. It ends when
// the pool begins to stop, and costs nothing until the function asks for Done.
type openContext worker

func (x *openContext) Deadline() (time.Time, bool) { return time.Time{}, false }

func (x *openContext) Done() <-chan struct{} {
	x.pool.mu.Lock()
	defer x.pool.mu.Unlock()
	if x.stray {
		return ended.Done()
	}
	return x.pool.stopContext().Done()
}

// standard returns the context behind it; nil if there is none and need not be.
func (x *openContext) standard() context.Context {
	x.pool.mu.Lock()
	defer x.pool.mu.Unlock()
	if x.stray {
		return ended
	}
	if x.pool.phase >= stopping || x.pool.stopCtx != nil {
		return x.pool.stopContext()
	}
	return nil
}

func (x *openContext) Err() error {
	if ctx := x.standard(); ctx != nil {
		return ctx.Err()
	}
	return nil
}

// Value lets task.Info and those who look for deadlocks find the worker.
func (x *openContext) Value(key any) any {
	if _, ok := key.(cell.CallKey); ok {
		return (*worker)(x)
	}
	if ctx := x.standard(); ctx != nil {
		return ctx.Value(key)
	}
	return nil
}

// memberContext is what the function gets that opens the state of an Inline pool.
type memberContext struct {
	context.Context
	worker *worker
}

// Value lets task.Info and those who look for deadlocks find the worker.
func (c memberContext) Value(key any) any {
	if _, ok := key.(cell.CallKey); ok {
		return c.worker
	}
	return c.Context.Value(key)
}

func (p *Pool) openState(ctx context.Context) (state any, err error) {
	fault := p.apart(func() { state, err = p.cfg.State.Open(ctx) })
	if fault != nil {
		return nil, fault
	}
	return state, err
}

// apart runs the user's fn on a goroutine of its own, where runtime.Goexit does
// no harm to an actor, and returns what stands for its panic.
func (p *Pool) apart(fn func()) error {
	done := make(chan struct{})
	fault := p.cfg.Faults.Goexit()
	p.dispatch.Schedule(func() {
		defer close(done)
		defer func() {
			if reason := recover(); reason != nil {
				fault = p.cfg.Faults.Panicked(reason, debug.Stack())
			}
		}()
		fn()
		fault = nil
	})
	<-done
	return fault
}

// shut closes the state of w when nobody uses it any more. The worker's actor
// calls it; it is then between two calls.
func (w *worker) shut() {
	p, m := w.pool, w.member
	if m == nil {
		return
	}
	p.mu.Lock()
	w.tied = true
	p.awaitQuiet(m, true)
	m.failed, m.awaits = nil, nil
	p.mu.Unlock()
	p.closeState(m)
	p.mu.Lock()
	w.tied = false
	p.mu.Unlock()
}

func (p *Pool) closeState(m *member) {
	p.mu.Lock()
	state, held := m.state, m.held
	m.state, m.held = nil, false
	p.mu.Unlock()
	if !held {
		return
	}
	closer := p.cfg.State.Closer(state)
	if closer == nil {
		return
	}
	var err error
	if fault := p.apart(func() { err = closer.Close() }); fault != nil {
		err = fault
	}
	if err != nil {
		p.logger().Warn("troupe: the state of a worker did not close", "error", err)
	}
}

// awaitQuiet waits until no guest, and if lent is set no caller, runs a call of
// the member. Called with mu held, which it gives up meanwhile.
func (p *Pool) awaitQuiet(m *member, lent bool) {
	for m.guests > 0 || lent && m.lent {
		if m.quiet == nil {
			m.quiet = make(chan struct{})
		}
		quiet := m.quiet
		p.mu.Unlock()
		<-quiet
		p.mu.Lock()
	}
}

// leave tells those who wait for quiet to look again; under mu.
func (m *member) leave() {
	if m.quiet != nil {
		close(m.quiet)
		m.quiet = nil
	}
}

// seeOff waits, after a call has returned, for what it left running in its
// member: the next call must find the state to itself.
func (w *worker) seeOff(c *cell.Cell) {
	if w.member == nil || w.host != nil || !c.Hosting() {
		return
	}
	p, m := w.pool, w.member
	p.mu.Lock()
	p.turnOut(m, func(v visit) bool { return v.outer == c })
	p.awaitQuiet(m, false)
	if w.failure == nil {
		w.failure = m.failed
	}
	m.failed, m.awaits, m.top = nil, nil, nil
	p.turnOut(m, func(visit) bool { return true })
	next, grow := p.summon()
	p.mu.Unlock()
	p.rouse(next, grow)
}

// turnOut puts guests that have not begun back in line, since nobody waits for
// them any more; under mu.
func (p *Pool) turnOut(m *member, which func(visit) bool) {
	var kept []visit
	for _, v := range m.queue {
		switch {
		case !which(v):
			kept = append(kept, v)
		case v.call.IsOpen() && !v.call.Queued():
			p.enqueueAgain(v.call)
		}
	}
	m.queue = kept
}

// Member implements Settler.
func (w *worker) Member() any { return w.member.state }

// failOpening tells those who wait for a worker that its state cannot be
// opened; the next call tries again. Calls that another member can serve wait on.
func (p *Pool) failOpening(pid *proto.PID, err error) {
	p.mu.Lock()
	w := p.byPID(pid)
	if w == nil {
		p.mu.Unlock()
		return
	}
	if w.state == starting && w.queue == nil && p.unarrived > 0 {
		p.unarrived--
	}
	if w.state == parked { // restarted together with another
		p.unpark(w)
	}
	if p.waking == w {
		p.waking = nil
	}
	w.state = failed
	ready := p.ready
	p.ready = nil
	cells := p.takeLine(w)
	if !p.served() {
		for c := p.queue.pop(); c != nil; c = p.queue.pop() {
			p.popped(c)
			cells = append(cells, c)
		}
	}
	p.declined = p.waiting - p.lined // what the others serve; the next call tries again
	p.rescue()
	p.mu.Unlock()
	for _, r := range ready {
		r <- err
	}
	for _, c := range cells {
		c.Abort(cell.Failed, err)
	}
	p.mu.Lock()
	p.admit()
	p.calm()
	p.mu.Unlock()
}

// served reports whether any member has its state, or may yet get it; under mu.
func (p *Pool) served() bool {
	for _, w := range p.members {
		if w != nil && (w.member.held || w.tied || w.state == starting && w.spawned) {
			return true
		}
	}
	return false
}
