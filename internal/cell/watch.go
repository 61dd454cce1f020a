package cell

import (
	"log/slog"
	"runtime/debug"
	"sync"
)

// watchers is the slow, removable side of waiting: the Done channel and
// callbacks in order of registration.
//
// Publish sets the state and then looks for the list. So whoever has put
// something into the list and then finds the cell not done leaves the rest to
// Publish, and whoever finds it done sees to his own part and to no other:
// otherwise one goroutine might run a callback while another runs the next.
type watchers struct {
	mu    sync.Mutex
	fired bool
	done  chan struct{} // closedChan, if it was asked for when the cell was done
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
	if w := c.watched(); w != nil {
		return w
	}
	w, at := &watchers{}, &c.Extend().watch
	if at.CompareAndSwap(nil, w) {
		return w
	}
	return at.Load()
}

// watched returns the list, nil if there is none.
func (c *Cell) watched() *watchers {
	if e := c.Ext.Load(); e != nil {
		return e.watch.Load()
	}
	return nil
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// DoneChan returns a channel that is closed when the outcome can be read; the
// same one each time.
func (c *Cell) DoneChan() <-chan struct{} {
	if c.IsDone() && c.watched() == nil {
		return closedChan
	}
	w := c.watchList()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done == nil {
		if c.IsDone() { // others may have been given closedChan before the list was there
			w.done = closedChan
		} else {
			w.done = make(chan struct{})
		}
	}
	return w.done
}

// Watch calls fn once: on the goroutine that completes the cell, after the
// callbacks given before; or at once, if the cell is done, and then returns nil.
func (c *Cell) Watch(fn func()) *Watcher {
	if c.IsDone() {
		contain(c.Owner, fn)
		return nil
	}
	list := c.watchList()
	n := &Watcher{list: list, fn: fn}
	if !list.add(n) || c.IsDone() && n.take() {
		contain(c.Owner, fn)
		return nil
	}
	return n
}

// Remove drops the callback if it has not been called yet. Nil-safe.
func (n *Watcher) Remove() {
	if n != nil {
		n.take()
	}
}

// take takes the callback out of its list and reports whether it was there.
func (n *Watcher) take() bool {
	n.list.mu.Lock()
	defer n.list.mu.Unlock()
	was := n.linked
	n.list.unlink(n)
	return was
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

// fire closes the channel and runs the callbacks, outside of the lock. Only
// Publish calls it.
func (l *watchers) fire(o *Owner) {
	through := false
	defer func() {
		if !through { // a callback has called runtime.Goexit; the others still run
			l.fire(o)
		}
	}()
	for n := l.next(); n != nil; n = l.next() {
		contain(o, n.fn)
	}
	through = true
}

// next takes the next callback out; the first time it closes the channel.
func (l *watchers) next() *Watcher {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.fired {
		l.fired = true
		if l.done == nil {
			l.done = closedChan
		} else if l.done != closedChan {
			close(l.done)
		}
	}
	n := l.first
	if n != nil {
		l.unlink(n)
	}
	return n
}

// contain runs a callback of the user's and keeps its panic from the worker.
func contain(o *Owner, fn func()) {
	defer func() {
		if r := recover(); r != nil {
			log := slog.Default()
			if o != nil && o.Log != nil {
				log = o.Log()
			}
			log.Error("troupe: a callback panicked", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	fn()
}
