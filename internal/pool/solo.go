package pool

import (
	"context"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/supervisor"
)

// An Inline pool with a state has one member and no actor for it: callers run
// their calls in turn, on their own goroutines, with the state between them.

// takeTurn waits until c may use the state, and opens that if need be. It
// reports false if c is complete. A call below one that has the turn, which
// waits for it, shares that turn.
func (p *Pool) takeTurn(w *worker, c *cell.Cell) (release func(), ok bool) {
	nested, stuck := p.shareTurn(c)
	if stuck {
		c.Abort(cell.Failed, p.cfg.Faults.WouldDeadlock())
		return nil, false
	}
	if !nested {
		if !p.queueUp(c.DoneChan()) {
			return nil, false
		}
		if !p.sitOut(c) {
			<-p.turnstile
			return nil, false
		}
		if err := p.openSolo(memberContext{Context: c.AsContext(), worker: p.solo}); err != nil {
			<-p.turnstile
			c.Abort(cell.Failed, err)
			return nil, false
		}
	}
	w.host, w.member = p.solo, p.solo.member
	return func() { p.endTurn(w, nested) }, true
}

// shareTurn makes c a guest of the call above it that has the turn, if there is
// one. It is stuck if that has ended and its function runs on, which may wait
// for c and does not give the turn away; so is who opens the state.
func (p *Pool) shareTurn(c *cell.Cell) (nested, stuck bool) {
	outer, inside := p.caller(c.Parent())
	if !inside {
		return false, false
	}
	if outer == nil {
		return false, true
	}
	outers := p.callers(outer)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range outers {
		if o.Host() {
			p.solo.member.guests++
			return true, false
		}
		stuck = stuck || p.runner(o) != nil && forsaken(o)
	}
	return false, stuck
}

// queueUp waits for the turn, also while the pool is halted; false if done is
// closed before.
func (p *Pool) queueUp(done <-chan struct{}) bool {
	for {
		select {
		case p.turnstile <- struct{}{}:
		case <-done:
			return false
		}
		p.mu.Lock()
		halted, onward := p.halted, p.onward
		p.mu.Unlock()
		if !halted || onward == nil {
			return true
		}
		<-p.turnstile
		select {
		case <-onward:
		case <-done:
			return false
		}
	}
}

// sitOut waits for the end of a restart's backoff.
func (p *Pool) sitOut(c *cell.Cell) bool {
	left := p.soloAfter - p.now()
	if left <= 0 {
		return c.IsOpen()
	}
	t := time.NewTimer(time.Duration(left))
	defer t.Stop()
	select {
	case <-t.C:
		return c.IsOpen()
	case <-c.DoneChan():
		return false
	}
}

// openSolo opens the state unless it is open; only in one's turn.
func (p *Pool) openSolo(ctx memberContext) error {
	m := p.solo.member
	p.mu.Lock()
	held, refusal := m.held, p.refusal
	p.mu.Unlock()
	if held {
		return nil
	}
	if refusal != nil {
		return refusal
	}
	state, err := p.openState(ctx)
	if err != nil {
		p.judgeSolo(err)
		return err
	}
	p.mu.Lock()
	m.state, m.held = state, true
	p.mu.Unlock()
	return nil
}

// endTurn restarts the member if w's call has panicked, and closes the state if
// the pool has stopped without waiting for it.
func (p *Pool) endTurn(w *worker, nested bool) {
	m, err := w.member, w.failure
	w.host, w.member, w.failure = nil, nil, nil
	p.mu.Lock()
	if nested { // the call that waits for this one goes on with the state
		if err != nil {
			m.failed = err
		}
		m.guests--
		m.leave()
		p.mu.Unlock()
		return
	}
	p.awaitQuiet(m, false)
	if err == nil {
		err = m.failed
	}
	m.failed = nil
	p.mu.Unlock()
	if err != nil && p.judgeSolo(err) || p.stopping() {
		p.closeState(m)
	}
	<-p.turnstile
}

// judgeSolo asks the policy about a failure and reports whether the member
// needs a fresh state.
func (p *Pool) judgeSolo(err error) (fresh bool) {
	if p.cfg.Policy == nil {
		return false
	}
	switch v := p.cfg.Policy.Next(time.Now(), &p.history, err); v.Directive {
	case supervisor.Resume:
		return false
	case supervisor.Restart:
		p.stats.restarts.Add(1)
		p.soloAfter = p.now() + int64(v.Delay)
	case supervisor.Stop:
		p.Fail(lastStopped(v.Err))
	default:
		p.Fail(v.Err)
	}
	return true
}

// handUp carries out what [Pool.Fail] asks for, in the router's actor; false if
// there is nothing.
func (r *router) handUp(ctx proto.Context) bool {
	p := r.pool
	p.mu.Lock()
	err := p.gaveUpAbout
	p.gaveUpAbout = nil
	p.mu.Unlock()
	s, ok := ctx.(proto.Supervisor)
	if err == nil || !ok {
		return false
	}
	failedChild{router: r, system: ctx.ActorSystem(), supervisor: s}.escalate(err)
	return true
}

// readySolo opens the state.
func (p *Pool) readySolo(ctx context.Context) error {
	p.mu.Lock()
	stop := p.stopContext()
	p.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(stop, func() { cancel(p.cfg.Faults.Stopped()) })()
	if !p.queueUp(ctx.Done()) {
		return context.Cause(ctx)
	}
	defer func() { <-p.turnstile }()
	p.mu.Lock()
	if p.phase >= stopping {
		defer p.mu.Unlock()
		return p.refusal
	}
	p.opening++
	p.mu.Unlock()
	err := p.openSolo(memberContext{Context: stop, worker: p.solo})
	if p.stopping() {
		p.closeState(p.solo.member)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opening--
	p.calm()
	if p.phase >= stopping {
		return p.refusal
	}
	return err
}

// closeSolo closes the state of a pool that has stopped; it waits no longer
// than the grace.
func (p *Pool) closeSolo() {
	closed := make(chan struct{})
	p.dispatch.Schedule(func() {
		defer close(closed)
		p.closeState(p.solo.member)
	})
	grace := time.NewTimer(max(leastToClose, p.cfg.StopGrace))
	defer grace.Stop()
	select {
	case <-closed:
	case <-grace.C:
		p.logger().Warn("troupe: stopped without waiting for states that do not open or close", "members", 1)
	}
}

// haltSolo closes the state when nobody uses it, and lets nobody use it before
// Continue.
func (p *Pool) haltSolo(done func()) {
	p.mu.Lock()
	p.halted = true
	if p.onward == nil {
		p.onward = make(chan struct{})
	}
	p.mu.Unlock()
	p.dispatch.Schedule(func() {
		p.turnstile <- struct{}{}
		p.closeState(p.solo.member)
		<-p.turnstile
		done()
	})
}
