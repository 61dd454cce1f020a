package task

import (
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/pool"
)

// belt is one ordered Map. The goroutine that iterates puts the inputs on one
// end and takes the results from the other. Between, loops on the workers take
// the inputs off, one at a time or a few if they are quick; each loop is a call
// of the pool that runs until nothing is left to take. So an input never waits
// for others to fill a parcel, and a result is there as soon as its function
// has returned.
//
// Waking a worker costs more than a quick item. So while the inputs that wait
// are little work, nobody is woken for them: the iterating goroutine runs them
// when it has to wait anyway, or else a timer sees to it that a loop does.
//
// An index that grows from 0 stands for an item; [0 … tail … claimed … head).
type belt[In, Out any] struct {
	task   *Task[In, Out]
	ctx    context.Context
	spec   *pool.Spec
	window uint64
	yield  func(Out, error) bool

	// The iterating goroutine's own.
	slots  *ring[In, Out] // as in ring
	tail   uint64         // the next item to be yielded
	own    *loop[In, Out] // for the items that it runs itself
	here   uint64         // results below it are of that loop, and are not marked
	read   uint64         // as head
	survey uint64         // when this many are read, the next look at what waits is due
	cut    error          // why the iteration ended early, if the loop did not leave it
	timer  *time.Timer
	wake   chan struct{} // has room for one

	ring   atomic.Pointer[ring[In, Out]]
	head   atomic.Uint64 // items read
	armed  atomic.Bool   // the timer runs
	asks   atomic.Bool   // items have asked their ctx for Done
	wanted atomic.Uint64 // the item for which the iterating goroutine sleeps, plus 1
	_      [64]byte      // the loops write below

	claimed atomic.Uint64 // items taken off
	redo    atomic.Int32  // len(again)
	active  atomic.Int32  // loops that were submitted and have not ended
	coming  atomic.Bool   // one of them has not begun

	mu    sync.Mutex
	loops []*loop[In, Out]
	again []uint64 // items whose loop ended before it came to them
	cause error    // of items that were lost while they ran
	over  bool
}

// slot holds an item from its reading to its yielding.
type slot[In, Out any] struct {
	in  In
	out Out
	err error

	// mark says which item the result is of: 2(i+1), or one more if the item
	// was lost. It only grows, so a late look at an item that is long gone finds
	// it done. After a loss its function may still return, so the slot is not
	// used again.
	mark atomic.Uint64
}

type ring[In, Out any] struct {
	slots []*slot[In, Out] // a power of two
	mask  uint64
}

func (r *ring[In, Out]) at(i uint64) *slot[In, Out] { return r.slots[i&r.mask] }

const (
	leastRing  = 16
	wakeWorth  = 5_000            // ns of work for which it is worth waking a worker
	holdAtMost = time.Millisecond // that inputs may wait because they are less work than that
)

func (t *Task[In, Out]) mapBelt(ctx context.Context, in iter.Seq[In], window int, yield func(Out, error) bool) error {
	b := &belt[In, Out]{task: t, ctx: ctx, window: uint64(window), yield: yield, wake: make(chan struct{}, 1)}
	b.spec = t.core.pool.Bind(&pool.Spec{Bulk: true, Run: b.run})
	engine := b.spec.Ended
	b.spec.Ended = func(c *cell.Cell, from cell.State, why cell.Why, cause error) {
		engine(c, from, why, cause)
		b.bereaved(loopOf[In, Out](c), from, cause)
	}
	b.grow()
	defer b.close()
	for x := range in {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b.put(x)
		for b.read-b.tail >= b.window || b.read > b.tail && b.ready() {
			if !b.next() {
				return b.cut
			}
		}
	}
	for b.read > b.tail && b.next() {
	}
	return b.cut
}

// grow doubles the ring. The slots stay where they are: loops hold some.
func (b *belt[In, Out]) grow() {
	size := uint64(leastRing)
	for size <= b.read-b.tail {
		size *= 2
	}
	r := &ring[In, Out]{slots: make([]*slot[In, Out], size), mask: size - 1}
	for i := b.tail; i < b.read; i++ {
		r.slots[i&r.mask] = b.slots.at(i)
	}
	fresh := make([]slot[In, Out], size-(b.read-b.tail))
	for i := b.read; i < b.tail+size; i++ {
		r.slots[i&r.mask], fresh = &fresh[0], fresh[1:]
	}
	b.mu.Lock()
	b.slots = r
	b.ring.Store(r)
	b.mu.Unlock()
}

// put lays an input on the belt.
func (b *belt[In, Out]) put(x In) {
	if b.read-b.tail == uint64(len(b.slots.slots)) {
		b.grow()
	}
	b.slots.at(b.read).in = x
	b.read++
	b.head.Store(b.read)
	if b.read >= b.survey || !b.armed.Load() {
		b.look()
	}
}

// waiting is how many items nobody has taken.
func (b *belt[In, Out]) waiting() uint64 {
	claimed := b.claimed.Load() // first: it is never more than head
	return b.head.Load() - claimed + uint64(max(0, b.redo.Load()))
}

// look sees to it that what waits on the belt will be taken: by a loop that it
// starts if there is work enough, else when the timer says so.
func (b *belt[In, Out]) look() {
	pace := uint64(b.task.core.pool.Pace())
	work := b.waiting() * pace
	if pace == 0 || work >= wakeWorth {
		b.start()
		return
	}
	b.survey = b.read + (wakeWorth-work)/pace + 1
	if b.armed.Load() {
		return
	}
	b.armed.Store(true)
	if b.timer == nil {
		b.timer = time.AfterFunc(holdAtMost, b.overdue)
		return
	}
	b.timer.Reset(holdAtMost)
}

// overdue is called by the timer. An item that is put on the belt later arms it
// again, or was seen here.
func (b *belt[In, Out]) overdue() {
	b.armed.Store(false)
	if b.waiting() > 0 {
		b.start()
	}
}

// ready reports whether the next result is there.
func (b *belt[In, Out]) ready() bool {
	return b.tail < b.here || b.slots.at(b.tail).mark.Load() >= markOf(b.tail)
}

func markOf(i uint64) uint64 { return 2 * (i + 1) }

// next waits for the next result and yields it; false ends the iteration.
func (b *belt[In, Out]) next() bool {
	for !b.ready() && b.ctx.Err() == nil {
		b.await()
	}
	if b.ctx.Err() != nil {
		b.cut = context.Cause(b.ctx)
		return false
	}
	return b.yield(b.take())
}

// take removes the next result, which is there, from the belt.
func (b *belt[In, Out]) take() (v Out, err error) {
	var none In
	var zero Out
	i := b.tail
	s := b.slots.at(i)
	b.tail++
	if i >= b.here && s.mark.Load() != markOf(i) {
		return zero, b.replace(i)
	}
	v, err = s.out, s.err
	s.in, s.out, s.err = none, zero, nil
	return v, err
}

// replace gives the ring another slot in place of that of item i, and returns
// why the item was lost. Who has its eyes on the item goes on with the old ring.
func (b *belt[In, Out]) replace(i uint64) error {
	r := &ring[In, Out]{slots: slices.Clone(b.slots.slots), mask: b.slots.mask}
	r.slots[i&r.mask] = &slot[In, Out]{}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slots = r
	b.ring.Store(r)
	return b.cause
}

// await brings the next result nearer, or sleeps until it is there or ctx ends.
func (b *belt[In, Out]) await() {
	if b.waiting() > 0 {
		if b.runHere() {
			return
		}
		b.start()
		b.assist()
	}
	b.wanted.Store(b.tail + 1)
	defer b.wanted.Store(0)
	if b.ready() { // the loop may have looked before we said so
		return
	}
	select {
	case <-b.wake:
	case <-b.ctx.Done():
	}
}

func (b *belt[In, Out]) rouse() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// assist makes the loop that has not begun run beside the workers if this
// goroutine is one of theirs.
func (b *belt[In, Out]) assist() {
	if !b.coming.Load() {
		return
	}
	b.mu.Lock()
	var last *loop[In, Out]
	if n := len(b.loops); n > 0 {
		last = b.loops[n-1]
	}
	b.mu.Unlock()
	if last != nil {
		last.cell().Assist(b.ctx)
	}
}

// close ends the loops that still run.
func (b *belt[In, Out]) close() {
	b.mu.Lock()
	b.over = true
	loops := b.loops
	b.loops = nil
	b.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
	}
	if b.own != nil {
		loops = append(loops, b.own)
	}
	for _, l := range loops {
		l.future.Cancel()
	}
}

// cellOf is the cell of a future that a call begins with.
func cellOf[T any](f *Future[T]) *cell.Cell {
	c, _ := actor.CellOf(f)
	return c
}
