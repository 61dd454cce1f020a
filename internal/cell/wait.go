package cell

import (
	"context"
	"log/slog"
	"runtime/debug"
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
	if ctx.Done() == nil {
		c.park()
		return nil
	}
	select {
	case <-c.DoneChan():
		return nil
	case <-ctx.Done():
		if c.IsDone() {
			return nil
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

// watchers is the slow, removable side of waiting: the Done channel and
// callbacks in order of registration.
type watchers struct {
	mu    sync.Mutex
	fired bool
	done  chan struct{}
	first *Watcher
	last  *Watcher
}

// Watcher is a callback on a cell's completion.
type Watcher struct {
	list       *watchers
	fn         func()
	prev, next *Watcher
	linked     bool
}

func (c *Cell) watchList() *watchers {
	if w := c.watch.Load(); w != nil {
		return w
	}
	w := &watchers{}
	if c.watch.CompareAndSwap(nil, w) {
		return w
	}
	return c.watch.Load()
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// DoneChan returns a channel that is closed when the outcome can be read.
func (c *Cell) DoneChan() <-chan struct{} {
	if c.IsDone() && c.watch.Load() == nil {
		return closedChan
	}
	w := c.watchList()
	w.mu.Lock()
	if w.done == nil {
		w.done = make(chan struct{})
		if w.fired {
			close(w.done)
		}
	}
	done := w.done
	w.mu.Unlock()
	if c.IsDone() {
		w.fire() // Publish may have looked before the list was there
	}
	return done
}

// Watch calls fn once, on the goroutine that completes the cell; at once, if
// it is done already, and then returns nil.
func (c *Cell) Watch(fn func()) *Watcher {
	if c.IsDone() {
		contain(fn)
		return nil
	}
	list := c.watchList()
	n := &Watcher{list: list, fn: fn}
	if !list.add(n) {
		contain(fn)
		return nil
	}
	if c.IsDone() {
		list.fire()
	}
	return n
}

// Remove drops the callback if it has not been called yet. Nil-safe.
func (n *Watcher) Remove() {
	if n == nil {
		return
	}
	n.list.mu.Lock()
	defer n.list.mu.Unlock()
	n.list.unlink(n)
}

func (l *watchers) add(n *Watcher) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fired {
		return false
	}
	n.prev, n.linked = l.last, true
	if l.last != nil {
		l.last.next = n
	} else {
		l.first = n
	}
	l.last = n
	return true
}

func (l *watchers) unlink(n *Watcher) {
	if !n.linked {
		return
	}
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.last = n.prev
	}
	n.linked, n.prev, n.next = false, nil, nil
}

// fire closes the channel and runs the callbacks, outside of the lock.
func (l *watchers) fire() {
	for {
		l.mu.Lock()
		if !l.fired {
			l.fired = true
			if l.done != nil {
				close(l.done)
			}
		}
		n := l.first
		if n == nil {
			l.mu.Unlock()
			return
		}
		l.unlink(n)
		l.mu.Unlock()
		contain(n.fn)
	}
}

// contain runs a callback of the user's and keeps its panic from the worker.
func contain(fn func()) {
	defer func() {
		if r := recover(); r != nil {
			slog.Default().Error("troupe: a callback panicked", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	fn()
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
