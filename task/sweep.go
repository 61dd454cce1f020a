package task

import (
	"context"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/pool"
)

const (
	grabTime = 50_000 // ns of work that a lane should take from the slice at once
	mostGrab = 1024   // elements
	handful  = 16     // most elements that are begun in a row
	handTime = 256    // ns of work that those may be

	slowElement = 2_000 // ns; at less, the time is taken after so many handfuls:
	timeEvery   = 8
)

// sweep is MapSlice as a few legs, one for each worker. Each has a lane of
// elements to run: it fills the lane from the slice, with as many as quick
// elements ask for and fewer towards the end, and when nothing is left there it
// takes from the other lanes. So what is behind a slow element does not stay
// there.
type sweep[In, Out any] struct {
	task  *Task[In, Out]
	in    []In
	out   []Out
	ctx   context.Context
	spec  *pool.Spec
	first uint64       // number of the call that the first element is
	next  atomic.Int64 // first element that no lane has taken
	left  atomic.Int64 // elements that have not succeeded
	lanes []lane
	over  atomic.Bool // nothing more is to begin
	asks  atomic.Bool // elements have asked their ctx for Done
	done  chan struct{}
	once  sync.Once
	err   error // of the first failure; set before done is closed
}

// lane holds the elements that one leg runs next.
type lane struct {
	mu       sync.Mutex
	from, to int64
	_        [64]byte
}

// leg is one of the calls that a sweep consists of.
type leg[In, Out any] struct {
	future actor.Future[struct{}] // first
	sweep  *sweep[In, Out]
	lane   *lane

	// Of the worker that runs it.
	worker pool.Settler
	ctx    turns
	hand   [handful]In // elements that were taken from the lane
	n, at  int         // how many; the one that runs
	good   int         // elements that succeeded since mark
	mark   int64       // when the time was last taken
	each   int64       // ns that an element takes
}

func (l *leg[In, Out]) cell() *cell.Cell { return cellOf(&l.future) }

// sweep is MapSlice for a pool that can run several elements as one call.
func (t *Task[In, Out]) sweep(ctx context.Context, in []In, window int) ([]Out, error) {
	first, err := t.core.pool.Reserve(len(in))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s := &sweep[In, Out]{task: t, in: in, out: make([]Out, len(in)), ctx: ctx, first: first, done: make(chan struct{})}
	s.spec = t.core.pool.Bind(&pool.Spec{Bulk: true, Run: s.run})
	s.left.Store(int64(len(in)))
	legs := min(len(in), max(1, t.core.pool.Size()))
	if window > 0 {
		legs = min(legs, window)
	}
	s.lanes = make([]lane, legs)
	for i := range legs {
		c := s.submit(&s.lanes[i])
		if i+1 == legs {
			c.Assist(ctx) // one leg that runs is enough
		}
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		s.end(context.Cause(ctx))
	}
	cancel(s.err) // also for legs that have not begun, and that nobody needs
	if s.err != nil {
		return nil, s.err // legs that still run write to out, which nobody reads
	}
	return s.out, nil
}

// submit sends off a leg for a lane.
func (s *sweep[In, Out]) submit(n *lane) *cell.Cell {
	l := &leg[In, Out]{sweep: s, lane: n}
	c := l.cell()
	c.SetParent(s.ctx)
	c.Owner = &s.spec.Owner
	c.Watch(func() {
		if err := c.Err(); err != nil {
			s.end(err)
		}
	})
	s.task.core.pool.Submit(c)
	return c
}

// end completes the sweep; the first call counts. When it returns, no element
// is read any more.
func (s *sweep[In, Out]) end(err error) {
	s.once.Do(func() {
		s.err = err
		s.over.Store(true)
		size := int64(len(s.in))
		dropped := size - min(s.next.Swap(size), size)
		for i := range s.lanes {
			n := &s.lanes[i]
			n.mu.Lock()
			dropped += n.to - n.from
			n.from = n.to
			n.mu.Unlock()
		}
		s.drop(int(dropped))
		close(s.done)
	})
}

// drop counts elements that will not be run.
func (s *sweep[In, Out]) drop(n int) { s.task.core.pool.Dropped(n) }

// run implements pool.Spec.Run.
func (s *sweep[In, Out]) run(c *cell.Cell, w pool.Settler) {
	l := (*leg[In, Out])(unsafe.Pointer(c)) //nolint:gosec // as in callOf
	l.worker, l.mark, l.each = w, w.Begun(), s.task.core.pool.Pace()
	l.ctx.begin(c, &s.asks)
	returned, err := false, error(nil)
	defer func() { // also on runtime.Goexit
		if !returned {
			err = l.crash(recover())
		}
		l.account()
		w.Mark(l.mark)
		if w.Settle(c, err) {
			c.Publish(err)
		}
	}()
	err = l.work()
	returned = true
}

// work runs elements until none is left, one fails, or others shall go first.
func (l *leg[In, Out]) work() error {
	s, began := l.sweep, l.mark
	for round := 1; ; round++ {
		from := l.take()
		if l.n == 0 {
			return nil
		}
		if err := l.runHand(from); err != nil {
			return err
		}
		if l.each < slowElement && round%timeEvery != 0 {
			continue
		}
		l.account()
		if l.mark-began < fairEvery {
			continue
		}
		if l.worker.Crowded() && !s.over.Load() {
			s.submit(l.lane).Expect() // at the end of the queue
			return nil
		}
		began = l.mark
	}
}

// take takes the next elements of the lane in hand, after it has filled the
// lane if need be, and returns the first.
func (l *leg[In, Out]) take() (from int64) {
	s, n := l.sweep, l.lane
	for {
		n.mu.Lock()
		from = n.from
		l.n = int(min(n.to-n.from, l.most()))
		n.from += int64(l.n)
		copy(l.hand[:l.n], s.in[from:n.from])
		n.mu.Unlock()
		if l.n > 0 {
			l.worker.Number(s.first + uint64(from))
			return from
		}
		if s.over.Load() || l.cell().Aborted() || !l.fill() {
			return 0
		}
	}
}

// most is how many elements may be run in a row.
func (l *leg[In, Out]) most() int64 {
	if l.each <= 0 {
		return 1
	}
	return max(1, min(handTime/l.each, handful))
}

// fill puts new elements into the leg's lane, which is empty: from the slice,
// else half of what another lane has. It reports false if there are none.
func (l *leg[In, Out]) fill() bool {
	s, n := l.sweep, l.lane
	from, to := l.grab()
	if from >= to {
		if from, to = s.steal(n); from >= to {
			return false
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.over.Load() { // nobody looks into this lane again
		s.drop(int(to - from))
		return false
	}
	n.from, n.to = from, to
	return true
}

// grab takes elements from the slice.
func (l *leg[In, Out]) grab() (from, to int64) {
	s, n := l.sweep, int64(1)
	if l.each > 0 {
		fair := (int64(len(s.in)) - s.next.Load()) / int64(2*len(s.lanes))
		n = max(1, min(grabTime/l.each, fair, mostGrab))
	}
	from = s.next.Add(n) - n
	to = min(from+n, int64(len(s.in)))
	if from < to {
		l.worker.Given(int(to - from))
	}
	return from, to
}

// steal takes the second half of a lane that is not empty.
func (s *sweep[In, Out]) steal(own *lane) (from, to int64) {
	for i := range s.lanes {
		n := &s.lanes[i]
		if n == own {
			continue
		}
		n.mu.Lock()
		from, to = n.from+(n.to-n.from)/2, n.to
		n.to = from
		n.mu.Unlock()
		if from < to {
			return from, to
		}
	}
	return 0, 0
}

// runHand runs the elements in hand, of which the first is element from.
func (l *leg[In, Out]) runHand(from int64) error {
	l.at = 0
	s, c := l.sweep, l.cell()
	if l.late() {
		return nil
	}
	fn, over, out := s.task.core.fn, &s.over, s.out[from:from+int64(l.n)]
	for i := range out {
		l.at = i
		v, err := fn(l.ctx.now, l.hand[i])
		if over.Load() || c.Stirred() {
			l.ctx.next(c, &s.asks)
			if l.late() {
				return nil
			}
		}
		if err != nil {
			return l.fail(bare(err))
		}
		out[i] = v
	}
	l.good += l.n
	return nil
}

// late reports whether the sweep is over, and then counts as cancelled what is
// in hand and has not ended.
func (l *leg[In, Out]) late() bool {
	if !l.sweep.over.Load() && !l.cell().Aborted() {
		return false
	}
	l.good += l.at
	l.sweep.drop(l.n - l.at)
	return true
}

// fail takes the failure of the element that runs, and returns the error of the
// leg's call.
func (l *leg[In, Out]) fail(err error) error {
	s := l.sweep
	l.good += l.at
	if s.ctx.Err() != nil {
		// It may have failed because its ctx has ended, and be quicker than
		// those who are to end the sweep for that.
		s.end(context.Cause(s.ctx))
		s.drop(l.n - l.at)
		return nil
	}
	s.drop(l.n - l.at - 1)
	l.worker.Done(0, 1, l.worker.Clock()-l.mark)
	return err
}

// crash takes the panic of the element that runs, or its runtime.Goexit.
func (l *leg[In, Out]) crash(reason any) error {
	l.good += l.at
	l.sweep.drop(l.n - l.at - 1)
	return l.worker.Contain(reason)
}

// account counts what was done since mark.
func (l *leg[In, Out]) account() {
	now := l.worker.Clock()
	if n := l.good; n > 0 {
		l.worker.Done(n, 0, now-l.mark)
		l.each += (max(1, (now-l.mark)/int64(n)) - l.each) / 2
		l.good = 0
		if l.sweep.left.Add(-int64(n)) == 0 {
			l.sweep.end(nil)
		}
	}
	l.mark = now
}
