package pool

import (
	"container/heap"
	"slices"

	"github.com/troupe-go/troupe/internal/cell"
)

// Many calls may come back at once, when a place is lost, and in any order: each
// is to cost little, whatever came back before it.

// insert gives a call that comes back its place by number: behind the older ones
// at the head, and ahead of all that are pushed later.
func (q *queue) insert(c *cell.Cell, level int) {
	h := q.head()
	switch {
	case q.ranks != nil:
		c.SetQueued()
		heap.Push(q.ranks, ranked{cell: c, key: rank(c.Stamp, level), seq: returnedSeq + int64(c.ID())})
	case h == nil || h.ID() >= c.ID():
		q.unpop(c, level)
	default:
		c.SetQueued()
		heap.Push(&q.returned, c)
		q.ahead = q.fifo.n
	}
}

// returnedSeq is where the sequence of returned calls begins in a ranking: ahead
// of all others of the same key.
const returnedSeq = -1 << 62

// waitsBehind reports whether the head of fifo goes before the returned calls,
// of which there are some: it is older than they are, and was there before. A
// retry that is pushed later may be older as well, and must not hold them up.
func (q *queue) waitsBehind() bool {
	c := q.fifo.peek()
	return c != nil && q.ahead > 0 && c.ID() < q.returned[0].ID()
}

// takeReturned is take while there are returned calls.
func (q *queue) takeReturned() *cell.Cell {
	if q.waitsBehind() {
		q.ahead--
		return q.fifo.pop()
	}
	c := heap.Pop(&q.returned).(*cell.Cell)
	if len(q.returned) == 0 {
		q.returned = nil // it may have been large
	}
	return c
}

// sweepReturned forgets the returned calls that have ended.
func (q *queue) sweepReturned() {
	q.returned = slices.DeleteFunc(q.returned, func(c *cell.Cell) bool { return !c.Queued() })
	heap.Init(&q.returned)
}

// byNumber is a heap of calls, the oldest first.
type byNumber []*cell.Cell

func (b byNumber) Len() int           { return len(b) }
func (b byNumber) Less(i, j int) bool { return b[i].ID() < b[j].ID() }
func (b byNumber) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *byNumber) Push(x any)        { *b = append(*b, x.(*cell.Cell)) }
func (b *byNumber) Pop() any {
	n := len(*b) - 1
	c := (*b)[n]
	(*b)[n] = nil
	*b = (*b)[:n]
	return c
}
