package task

import (
	"context"
	"iter"
	"sync/atomic"
	"unsafe"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/pool"
)

// chunk is a run of Map's inputs that travel as one call.
type chunk[In, Out any] struct {
	future actor.Future[struct{}] // first
	in     []In
	out    []Result[Out]
	done   atomic.Int32 // how many of out can be read, also if the chunk was aborted
	took   int64        // ns for all of it
}

// chunks is one ordered Map whose items travel in chunks.
type chunks[In, Out any] struct {
	task   *Task[In, Out]
	ctx    context.Context
	spec   *pool.Spec
	window int
	size   int // of the next chunk
	flying []*chunk[In, Out]
	ahead  int // items in flying
	filled []In
	spare  [][]Result[Out]
	inputs [][]In
	yield  func(Out, error) bool
}

func (t *Task[In, Out]) mapChunks(ctx context.Context, in iter.Seq[In], window int, yield func(Out, error) bool) error {
	m := &chunks[In, Out]{task: t, ctx: ctx, window: window, size: 1, yield: yield}
	m.spec = t.core.pool.Bind(&pool.Spec{Bulk: true, Run: m.run})
	defer m.abandon()
	for x := range in {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m.filled = append(m.filled, x)
		if len(m.filled) < m.size {
			continue
		}
		m.submit()
		for len(m.flying) > 0 && (m.ahead+m.size > window || m.flying[0].ready()) {
			if !m.next() {
				return context.Cause(ctx)
			}
		}
	}
	if len(m.filled) > 0 {
		m.submit()
	}
	for len(m.flying) > 0 {
		if !m.next() {
			break
		}
	}
	return context.Cause(ctx)
}

func (k *chunk[In, Out]) cell() *cell.Cell {
	c, _ := actor.CellOf(&k.future)
	return c
}

func (k *chunk[In, Out]) ready() bool { return k.cell().IsDone() }

// submit sends off what was read.
func (m *chunks[In, Out]) submit() {
	k := &chunk[In, Out]{in: m.filled}
	if n := len(m.spare); n > 0 {
		k.out, m.spare = m.spare[n-1], m.spare[:n-1]
	}
	if cap(k.out) < len(k.in) {
		k.out = make([]Result[Out], max(len(k.in), min(m.window, 2*m.size)))
	}
	k.out = k.out[:len(k.in)]
	m.filled = nil
	if n := len(m.inputs); n > 0 {
		m.filled, m.inputs = m.inputs[n-1], m.inputs[:n-1]
	}
	m.flying = append(m.flying, k)
	m.ahead += len(k.in)
	m.send(k)
}

func (m *chunks[In, Out]) send(k *chunk[In, Out]) {
	c := k.cell()
	c.SetParent(m.ctx)
	c.Owner = &m.spec.Owner
	m.task.core.pool.Submit(c)
}

// run implements pool.Spec.Run.
func (m *chunks[In, Out]) run(c *cell.Cell, w pool.Settler) {
	k := (*chunk[In, Out])(unsafe.Pointer(c)) //nolint:gosec // as in callOf
	start := w.Begun()
	w.Begin(len(k.in))
	failed := 0
	for i := 0; i < len(k.in) && !c.Aborted(); {
		i = m.stretch(k, i, w, &failed)
	}
	end := w.Clock()
	w.Mark(end)
	k.took = end - start
	w.Done(len(k.in)-failed, k.took)
	if w.Settle(c, nil) {
		c.Publish(nil)
	}
}

// stretch runs items from i on until the end or a panic, and returns the next.
func (m *chunks[In, Out]) stretch(k *chunk[In, Out], i int, w pool.Settler, failed *int) (next int) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if r := recover(); r != nil {
			*failed++
			k.out[i] = Result[Out]{Err: w.Contain(r)}
			k.done.Store(int32(i + 1))
			next = i + 1
		}
	}()
	ctx, fn := k.cell().AsContext(), m.task.core.fn
	for ; i < len(k.in); i++ {
		v, err := fn(ctx, k.in[i])
		if err != nil {
			err = bare(err)
			*failed++
			w.Fail(1)
		}
		k.out[i] = Result[Out]{Value: v, Err: err}
		k.done.Store(int32(i + 1))
		if k.cell().Aborted() {
			i++
			break
		}
	}
	returned = true
	return i
}

// next waits for the first chunk and yields it; false ends the iteration.
func (m *chunks[In, Out]) next() bool {
	k := m.flying[0]
	c := k.cell()
	if c.Wait(m.ctx) != nil || m.ctx.Err() != nil {
		return false
	}
	ready := int(k.done.Load())
	for i := range ready {
		if !m.yield(k.out[i].Value, k.out[i].Err) {
			return false
		}
		if m.ctx.Err() != nil {
			return false
		}
	}
	m.flying = append(m.flying[:0], m.flying[1:]...)
	m.ahead -= len(k.in)
	if ready < len(k.in) {
		return m.rest(k, ready)
	}
	if !c.Aborted() {
		m.recycle(k)
	}
	m.resize(k)
	return true
}

// rest deals with a chunk that ended early: the item at which it did has the
// chunk's error, and what follows is tried again, unless the pool has stopped.
func (m *chunks[In, Out]) rest(k *chunk[In, Out], at int) bool {
	var zero Out
	if !m.yield(zero, k.cell().Err()) {
		return false
	}
	if at+1 == len(k.in) {
		return true
	}
	again := &chunk[In, Out]{in: k.in[at+1:], out: make([]Result[Out], len(k.in)-at-1)}
	m.flying = append([]*chunk[In, Out]{again}, m.flying...)
	m.ahead += len(again.in)
	m.send(again)
	return true
}

// recycle keeps the slices of a chunk that nobody can touch any more.
func (m *chunks[In, Out]) recycle(k *chunk[In, Out]) {
	clear(k.in)
	clear(k.out)
	m.inputs = append(m.inputs, k.in[:0])
	m.spare = append(m.spare, k.out[:0])
	k.in, k.out = nil, nil
}

// resize makes chunks larger while the items are quick: a chunk costs about as
// much as two switches between goroutines, and should be worth it.
func (m *chunks[In, Out]) resize(k *chunk[In, Out]) {
	switch {
	case k.took < tinyItem*int64(m.size): // too little work to share
		m.size = min(m.size*2, m.window)
	case k.took < quickChunk:
		m.size = min(m.size*2, max(1, m.window/2))
	case k.took > 4*quickChunk:
		m.size = max(1, m.size/2)
	}
}

const (
	quickChunk = 10_000 // ns
	tinyItem   = 100    // ns
)

// abandon cancels what was read ahead.
func (m *chunks[In, Out]) abandon() {
	for _, k := range m.flying {
		k.future.Cancel()
	}
}
