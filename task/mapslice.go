package task

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/pool"
)

// MapSlice runs every element of in and returns the results in order. The
// first failure in time cancels the rest and is returned at once; so is the end
// of ctx.
func (t *Task[In, Out]) MapSlice(ctx context.Context, in []In, opts ...MapOption) ([]Out, error) {
	m, err := newMapping(opts)
	switch {
	case err != nil:
		return nil, err
	case ctx == nil:
		return nil, errNilContext
	case t.err != nil:
		return nil, t.err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case len(in) == 0:
		return []Out{}, nil
	case t.chunkable() && !m.watched():
		return t.sweep(ctx, in)
	}
	return t.mapEach(ctx, in, m)
}

// mapEach is MapSlice with one call for each element.
func (t *Task[In, Out]) mapEach(ctx context.Context, in []In, m mapping) (out []Out, err error) {
	window := m.window
	if window == 0 {
		window = max(leastWindow, 2*t.core.pool.Size())
	}
	report := m.reporter(t.Name(), len(in))
	defer func() { report.finish(err) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer func() { cancel(err) }()

	out = make([]Out, len(in))
	futures := make([]*Future[Out], len(in))
	done := make(chan int, len(in))
	next := 0
	for finished := 0; finished < len(in); finished++ {
		for ; next < len(in) && next-finished < window; next++ {
			i := next
			futures[i] = t.Submit(ctx, in[i])
			futures[i].OnDone(func(Out, error) { done <- i })
			assist(ctx, futures[i])
		}
		select {
		case i := <-done:
			out[i], err, _ = futures[i].Poll()
			report.item(err)
			if err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return out, nil
}

func assist[T any](ctx context.Context, f *Future[T]) {
	c, _ := actor.CellOf(f)
	c.Assist(ctx)
}

const (
	chunkTime = 50_000 // ns that a chunk should take
	mostChunk = 1024
	fairEvery = 1_000_000 // ns after which a sweep lets other calls go first
)

// sweep is MapSlice as a few loops, one for each worker, that hand themselves
// chunks of the slice: as large as quick elements ask for, and smaller towards
// the end so that all loops end together.
type sweep[In, Out any] struct {
	task    *Task[In, Out]
	in      []In
	out     []Out
	loops   int
	next    atomic.Int64 // first element that no loop has taken
	left    atomic.Int64 // loops that have not ended
	spec    *pool.Spec
	ctx     context.Context
	over    chan struct{}
	once    sync.Once
	err     error // of the first failure; set before over is closed
	stopped atomic.Bool
}

// loop is one of them, as a call.
type loop[In, Out any] struct {
	future actor.Future[struct{}] // first
	sweep  *sweep[In, Out]
}

func (t *Task[In, Out]) sweep(ctx context.Context, in []In) ([]Out, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &sweep[In, Out]{task: t, in: in, out: make([]Out, len(in)), ctx: ctx, over: make(chan struct{})}
	s.loops = min(len(in), max(1, t.core.pool.Size()))
	s.spec = t.core.pool.Bind(&pool.Spec{Bulk: true, Run: s.run})
	s.left.Store(int64(s.loops))
	for range s.loops {
		s.submit()
	}
	select {
	case <-s.over:
	case <-ctx.Done():
		s.end(context.Cause(ctx))
	}
	cancel(s.err)
	if s.err != nil {
		return nil, s.err // loops that still run write to out, which nobody reads
	}
	return s.out, nil
}

// end completes the sweep; the first call counts.
func (s *sweep[In, Out]) end(err error) {
	s.once.Do(func() {
		s.err = err
		s.stopped.Store(true)
		close(s.over)
	})
}

func (s *sweep[In, Out]) submit() {
	l := &loop[In, Out]{sweep: s}
	c, _ := actor.CellOf(&l.future)
	c.SetParent(s.ctx)
	c.Owner = &s.spec.Owner
	c.Watch(func() {
		if err := c.Err(); err != nil {
			s.end(err)
		}
		if s.left.Add(-1) == 0 {
			s.end(nil)
		}
	})
	s.task.core.pool.Submit(c)
	c.Assist(s.ctx)
}

// run implements pool.Spec.Run.
func (s *sweep[In, Out]) run(c *cell.Cell, w pool.Settler) {
	if err := s.work(c, w); w.Settle(c, err) {
		c.Publish(err)
	}
}

func (s *sweep[In, Out]) work(c *cell.Cell, w pool.Settler) error {
	ctx := c.AsContext()
	fn, began := s.task.core.fn, w.Clock()
	for size := int64(1); !s.stopped.Load() && !c.Aborted(); {
		from := s.next.Add(size) - size
		to := min(from+size, int64(len(s.in)))
		if from >= to {
			return nil
		}
		w.Begin(int(to - from))
		start := w.Clock()
		for i := from; i < to; i++ {
			v, err := fn(ctx, s.in[i])
			if err != nil {
				w.Done(int(i-from), w.Clock()-start)
				return bare(err)
			}
			s.out[i] = v
		}
		now := w.Clock()
		w.Mark(now)
		w.Done(int(to-from), now-start)
		size = s.resize(size, now-start, to)
		if now-began > fairEvery && w.Crowded() {
			s.left.Add(1)
			s.submit() // at the end of the queue
			return nil
		}
	}
	return nil
}

// resize picks the size of the next chunk from the time that the last one took.
func (s *sweep[In, Out]) resize(size, took, at int64) int64 {
	if took < chunkTime/2 {
		size *= 2
	} else if took > chunkTime*2 {
		size /= 2
	}
	fair := (int64(len(s.in)) - at) / int64(2*s.loops)
	return max(1, min(size, fair, mostChunk))
}
