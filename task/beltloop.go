package task

import (
	"sync/atomic"
	"unsafe"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/pool"
)

// loop takes items off a belt and runs them, as one call of the pool.
type loop[In, Out any] struct {
	future actor.Future[struct{}] // first
	belt   *belt[In, Out]
	here   bool // on the iterating goroutine
	hold   hold

	// Of whoever runs it.
	worker       pool.Settler
	ctx          turns
	mark         int64          // when the last claim ended
	each         int64          // ns that an item takes
	slots        *ring[In, Out] // of the claim
	good, failed int            // items of the claim that have ended
	silent       bool           // results of the claim need no mark
}

func (l *loop[In, Out]) cell() *cell.Cell { return cellOf(&l.future) }

func loopOf[In, Out any](c *cell.Cell) *loop[In, Out] {
	return (*loop[In, Out])(unsafe.Pointer(c)) //nolint:gosec // as in callOf
}

// hold is the claim of a loop. When the loop is ended from outside, both the
// loop and whoever ends it may want to see to the rest; the first to release
// the hold does.
type hold struct{ word atomic.Uint64 }

func (h *hold) set(from, n uint64) { h.word.Store(from<<8 | n) }

func (h *hold) release() (from, to uint64) {
	w := h.word.Swap(0)
	return w >> 8, w>>8 + w&0xff
}

func (b *belt[In, Out]) newLoop() *loop[In, Out] {
	l := &loop[In, Out]{belt: b}
	l.cell().SetParent(b.ctx)
	l.cell().Owner = &b.spec.Owner
	return l
}

// start submits a loop, unless one is on its way or there are as many as
// workers. It returns the loop's cell, or nil.
func (b *belt[In, Out]) start() *cell.Cell {
	if b.coming.Load() || int(b.active.Load()) >= b.task.core.pool.Size() || !b.coming.CompareAndSwap(false, true) {
		return nil
	}
	l := b.newLoop()
	c := l.cell()
	b.mu.Lock()
	if b.over {
		b.mu.Unlock()
		return nil
	}
	b.loops = append(b.loops, l)
	b.active.Add(1)
	b.mu.Unlock()
	b.task.core.pool.Submit(c)
	if c.IsDone() && c.Err() != nil && b.drop(l) {
		b.coming.Store(false)
		b.refuse(c.Err())
	}
	return c
}

// drop takes a loop off the list; false if somebody else has.
func (b *belt[In, Out]) drop(l *loop[In, Out]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.loops {
		if other == l {
			b.loops = append(b.loops[:i], b.loops[i+1:]...)
			b.active.Add(-1)
			return true
		}
	}
	return false
}

// refuse gives all items that nobody has taken the error of a pool that takes
// no more calls.
func (b *belt[In, Out]) refuse(err error) {
	for from, n := b.claim(mostClaim); n > 0; from, n = b.claim(mostClaim) {
		for i := from; i < from+n; i++ {
			s := b.ring.Load().at(i)
			s.err = err
			s.mark.Store(markOf(i))
		}
	}
	b.rouse()
}

// claim takes items off the belt, most of them at most.
func (b *belt[In, Out]) claim(most uint64) (from, n uint64) {
	if b.redo.Load() > 0 {
		if i, ok := b.retake(); ok {
			return i, 1
		}
	}
	for {
		from = b.claimed.Load()
		n = min(most, b.head.Load()-from)
		if n == 0 || b.claimed.CompareAndSwap(from, from+n) {
			return from, n
		}
	}
}

func (b *belt[In, Out]) retake() (i uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.again) == 0 {
		return 0, false
	}
	i = b.again[0]
	b.again = b.again[1:]
	b.redo.Add(-1)
	return i, true
}

// giveBack lays items that were claimed and not begun on the belt again.
func (b *belt[In, Out]) giveBack(from, to uint64) {
	if from >= to {
		return
	}
	b.mu.Lock()
	for i := from; i < to; i++ {
		b.again = append(b.again, i)
		b.redo.Add(1)
	}
	b.mu.Unlock()
	b.rouse()
}

// bereaved is told that a loop was ended by somebody else: with the pool, with
// ctx, or with the iteration. The item in its hands is lost, and what it had
// claimed beside that goes back on the belt.
func (b *belt[In, Out]) bereaved(l *loop[In, Out], from cell.State, cause error) {
	if b.drop(l) && from == cell.Open {
		b.coming.Store(false)
	}
	b.mu.Lock()
	b.cause = cause
	i, to := l.hold.release()
	for lost := false; i < to && !lost; i++ {
		m := &b.slots.at(i).mark
		was := m.Load()
		lost = was < markOf(i) && m.CompareAndSwap(was, markOf(i)+1)
		if lost {
			b.task.core.pool.Dropped(1)
		}
	}
	b.mu.Unlock()
	if i < to {
		b.task.core.pool.Retract(int(to - i))
		b.giveBack(i, to)
	}
	b.rouse()
}
