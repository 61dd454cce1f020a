package cell

import (
	"context"
	"sync"
)

// waiter parks one goroutine. It holds a sync.Cond rather than a channel so
// that a pooled one can be used inside and outside of synctest bubbles.
type waiter struct {
	next  *waiter
	mu    sync.Mutex
	cond  sync.Cond
	fired bool
}

var waiterPool = sync.Pool{New: func() any {
	w := &waiter{}
	w.cond.L = &w.mu
	return w
}}

// closedList marks a list that was flushed: nothing can be pushed any more.
var closedList = &waiter{}

func (w *waiter) wake() {
	w.mu.Lock()
	w.fired = true
	w.cond.Signal()
	w.mu.Unlock()
}

// Wait blocks until the outcome can be read or ctx ends, and then returns
// context.Cause(ctx).
func (c *Cell) Wait(ctx context.Context) error {
	if c.IsDone() {
		return nil
	}
	c.Assist(ctx)
	if c.IsDone() {
		return nil
	}
	if done := ctx.Done(); done == nil || c.Owner != nil && done == c.Parent().Done() {
		c.park() // the end of the call's own ctx ends the call
		return nil
	}
	select {
	case <-c.DoneChan():
		return nil
	case <-ctx.Done():
		if c.IsDone() {
			return nil
		}
		if c.Owner != nil && c.Owner.GaveUp != nil {
			c.Owner.GaveUp(c)
		}
		return context.Cause(ctx)
	}
}

func (c *Cell) park() {
	w := waiterPool.Get().(*waiter)
	w.fired = false
	for {
		head := c.waiters.Load()
		if head == closedList {
			waiterPool.Put(w)
			return
		}
		w.next = head
		if c.waiters.CompareAndSwap(head, w) {
			break
		}
	}
	if c.IsDone() {
		c.flush() // Publish may have looked before we pushed
	}
	w.mu.Lock()
	for !w.fired {
		w.cond.Wait()
	}
	w.mu.Unlock()
	w.next = nil
	waiterPool.Put(w)
}

// flush wakes the waiters. Each waiter is in exactly one flushed list, so it
// is woken once however many goroutines flush.
func (c *Cell) flush() {
	w := c.waiters.Swap(closedList)
	for w != nil && w != closedList {
		next := w.next // w is recycled as soon as it is woken
		w.wake()
		w = next
	}
}

// Assist gives the owner a chance to run a call that nobody has begun, on
// behalf of someone who is about to wait for it under ctx.
func (c *Cell) Assist(ctx context.Context) {
	if c.Owner != nil && c.IsOpen() {
		c.Owner.Help(c, ctx)
	}
}

// Expect says that somebody is going to wait for the cell by other means than
// Wait.
func (c *Cell) Expect() {
	if c.Owner != nil && c.IsOpen() {
		c.Owner.Expect(c)
	}
}
