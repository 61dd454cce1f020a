package pool

import (
	"container/heap"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/internal/cell"
)

const (
	segmentSize = 256 // most cells per segment of a fifo
	firstSize   = 8   // of the first one: most queues are short
	sweepAt     = 64  // fewer ended cells than this are not worth a sweep
)

// queue holds calls that wait for a worker: in order of arrival, or by rank.
// A call that ended while it waited stays as a husk until it is popped or
// swept. The pool's lock guards it.
type queue struct {
	fifo  fifo
	ranks *ranking // instead of fifo, if calls have priorities
	husks int

	returned byNumber // beside fifo: calls that came back; see insert
	ahead    int      // cells of fifo that were there when the latest of them came

	active atomic.Int64 // of a worker's own queue: calls assigned and not ended
}

func (q *queue) push(c *cell.Cell, level int) {
	if !c.Queued() {
		c.SetQueued()
	}
	if q.ranks != nil {
		heap.Push(q.ranks, ranked{cell: c, key: rank(c.Stamp, level), seq: q.ranks.next()})
		return
	}
	q.fifo.push(c)
}

// unpop gives a call back its place at the head.
func (q *queue) unpop(c *cell.Cell, level int) {
	c.SetQueued()
	if q.ranks != nil {
		heap.Push(q.ranks, ranked{cell: c, key: rank(c.Stamp, level), seq: -q.ranks.next()})
		return
	}
	q.fifo.unpop(c)
	q.ahead++
}

// pop returns the next call that still waits, or nil.
func (q *queue) pop() *cell.Cell {
	for {
		c := q.take()
		if c == nil {
			return nil
		}
		if c.Queued() {
			c.ClearQueued()
			q.tidy()
			return c
		}
		q.husks--
	}
}

func (q *queue) take() *cell.Cell {
	if q.ranks != nil {
		if q.ranks.Len() == 0 {
			return nil
		}
		return heap.Pop(q.ranks).(ranked).cell
	}
	if len(q.returned) > 0 {
		return q.takeReturned()
	}
	return q.fifo.pop()
}

// head returns the call that pop would return, or nil.
func (q *queue) head() *cell.Cell {
	for {
		c := q.peek()
		if c == nil || c.Queued() {
			return c
		}
		q.take()
		q.husks--
	}
}

func (q *queue) peek() *cell.Cell {
	if q.ranks != nil {
		if q.ranks.Len() == 0 {
			return nil
		}
		return q.ranks.cells[0].cell
	}
	if len(q.returned) > 0 && !q.waitsBehind() {
		return q.returned[0]
	}
	return q.fifo.peek()
}

// drop notes that a waiting call has ended. Without the sweep, a pool whose
// workers are stuck would collect the calls that gave up on it for ever.
func (q *queue) drop(c *cell.Cell) {
	c.ClearQueued()
	q.husks++
	q.tidy()
}

// before reports whether the head of q, which has one, is to go before that of
// other.
func (q *queue) before(other *queue) bool {
	if q.ranks != nil {
		a, b := q.ranks.cells[0], other.ranks.cells[0]
		if a.key != b.key {
			return a.key < b.key
		}
	}
	return q.peek().ID() < other.peek().ID()
}

func (q *queue) tidy() {
	if q.husks >= sweepAt && q.husks > q.size()/2 {
		q.sweep()
	}
}

func (q *queue) size() int {
	if q.ranks != nil {
		return q.ranks.Len()
	}
	return q.fifo.n + len(q.returned)
}

func (q *queue) sweep() {
	if q.ranks != nil {
		kept := q.ranks.cells[:0]
		for _, r := range q.ranks.cells {
			if r.cell.Queued() {
				kept = append(kept, r)
			}
		}
		clear(q.ranks.cells[len(kept):])
		q.ranks.cells = kept
		heap.Init(q.ranks)
	} else {
		q.sweepReturned()
		var kept fifo
		ahead := 0
		for i, c := 0, q.fifo.pop(); c != nil; i, c = i+1, q.fifo.pop() {
			if c.Queued() {
				if kept.push(c); i < q.ahead {
					ahead++
				}
			}
		}
		q.fifo, q.ahead = kept, ahead
	}
	q.husks = 0
}

// fifo is a linked list of segments: it never copies what waits, and gives
// memory back as it shrinks.
type fifo struct {
	first, last *segment
	spare       *segment
	n           int
}

type segment struct {
	cells      []*cell.Cell
	head, tail int
	next       *segment
}

func (f *fifo) push(c *cell.Cell) {
	s := f.last
	if s == nil || s.tail == len(s.cells) {
		s = f.grow()
	}
	s.cells[s.tail] = c
	s.tail++
	f.n++
}

func (f *fifo) grow() *segment {
	s := f.spare
	f.spare = nil
	if s == nil {
		size := firstSize
		if f.last != nil {
			size = min(segmentSize, 2*len(f.last.cells))
		}
		s = &segment{cells: make([]*cell.Cell, size)}
	}
	if f.last == nil {
		f.first = s
	} else {
		f.last.next = s
	}
	f.last = s
	return s
}

func (f *fifo) pop() *cell.Cell {
	s := f.first
	if f.n == 0 {
		return nil
	}
	c := s.cells[s.head]
	s.cells[s.head] = nil
	s.head++
	f.n--
	if s.head == s.tail {
		f.retire(s)
	}
	return c
}

// retire takes an empty first segment out, or starts it over if it is the only one.
func (f *fifo) retire(s *segment) {
	if s.next == nil {
		s.head, s.tail = 0, 0
		return
	}
	f.first = s.next
	s.next, s.head, s.tail = nil, 0, 0
	f.spare = s
}

func (f *fifo) peek() *cell.Cell {
	if f.n == 0 {
		return nil
	}
	return f.first.cells[f.first.head]
}

func (f *fifo) unpop(c *cell.Cell) {
	s := f.first
	if s == nil || s.head == 0 {
		if s != nil && s.tail == 0 {
			f.push(c)
			return
		}
		s = &segment{cells: make([]*cell.Cell, firstSize), head: firstSize, tail: firstSize, next: f.first}
		f.first = s
		if f.last == nil {
			f.last = s
		}
	}
	s.head--
	s.cells[s.head] = c
	f.n++
}

// ranking is a heap in which a waiting call rises one level a second. Since
// all rise at the same speed their order never changes, so the key is fixed:
// the moment at which a call of level 0 would have had to arrive to be equal.
type ranking struct {
	cells []ranked
	seq   int64
}

type ranked struct {
	cell *cell.Cell
	key  int64
	seq  int64
}

func rank(stamp int64, level int) int64 {
	const most = int(1<<62) / int(time.Second)
	return stamp - int64(max(-most, min(most, level)))*int64(time.Second)
}

func less(a, b ranked) bool {
	if a.key != b.key {
		return a.key < b.key
	}
	return a.seq < b.seq
}

func (r *ranking) next() int64 { r.seq++; return r.seq }

func (r *ranking) Len() int           { return len(r.cells) }
func (r *ranking) Less(i, j int) bool { return less(r.cells[i], r.cells[j]) }
func (r *ranking) Swap(i, j int)      { r.cells[i], r.cells[j] = r.cells[j], r.cells[i] }
func (r *ranking) Push(x any)         { r.cells = append(r.cells, x.(ranked)) }
func (r *ranking) Pop() any {
	n := len(r.cells) - 1
	x := r.cells[n]
	r.cells[n] = ranked{}
	r.cells = r.cells[:n]
	return x
}
