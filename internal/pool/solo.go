package pool

import (
	"runtime/debug"
	"time"

	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/supervisor"
)

// An Inline pool with a state has one member and no actor for it: callers run
// their calls in turn, on their own goroutines, with the state between them.

// takeTurn waits until c may use the state, and opens that if need be. It
// reports false if c is complete. A call below one that has the turn, which
// waits for it, shares that turn.
func (p *Pool) takeTurn(w *worker, c *cell.Cell) (release func(), ok bool) {
	nested := p.inside(c.Parent())
	if !nested {
		select {
		case p.turnstile <- struct{}{}:
		case <-c.DoneChan():
			return nil, false
		}
		if !p.sitOut(c) {
			<-p.turnstile
			return nil, false
		}
	}
	if err := p.openSolo(memberContext{Context: c.AsContext(), worker: p.solo}); err != nil {
		if !nested {
			<-p.turnstile
		}
		c.Abort(cell.Failed, err)
		return nil, false
	}
	w.host, w.member = p.solo, p.solo.member
	return func() { p.endTurn(w, nested) }, true
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
func (p *Pool) openSolo(ctx memberContext) (err error) {
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
	var state any
	func() {
		defer func() {
			if reason := recover(); reason != nil {
				err = p.cfg.Faults.Panicked(reason, debug.Stack())
			}
		}()
		state, err = p.cfg.State.Open(ctx)
	}()
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
	if nested { // the call that waits for this one goes on with the state
		if err != nil {
			m.failed = err
		}
		return
	}
	if err == nil {
		err = m.failed
	}
	m.failed = nil
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
		p.fail(lastStopped(v.Err))
	default:
		p.fail(v.Err)
	}
	return true
}

// readySolo opens the state.
func (p *Pool) readySolo() error {
	p.turnstile <- struct{}{}
	defer func() { <-p.turnstile }()
	p.mu.Lock()
	ctx := memberContext{Context: p.stopContext(), worker: p.solo}
	p.mu.Unlock()
	return p.openSolo(ctx)
}
