package pool

import (
	"time"

	"github.com/troupe-go/troupe/internal/cell"
)

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
	w := p.spare(c)
	p.mu.Unlock()
	defer p.dismiss(w)
	again := make(chan time.Duration, 1)
	recordOf(c).here = again
	p.accompany(c, c.Parent().Done() != nil)
	for next := true; next; next = awaitRetry(c, again) {
		if p.cfg.State != nil {
			if !p.runInTurn(w, c) {
				return
			}
			continue
		}
		if p.cfg.Limiter != nil {
			w.acquire(c)
		}
		p.runLent(w, c)
	}
}

// runInTurn runs c with the state of an Inline pool; false if c has ended
// before.
func (p *Pool) runInTurn(w *worker, c *cell.Cell) bool {
	release, ok := p.takeTurn(w, c)
	if !ok {
		return false
	}
	defer release() // also on runtime.Goexit
	if p.cfg.Limiter != nil {
		w.acquire(c)
	}
	p.runLent(w, c)
	return true
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
