package task_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/task"
)

// elsewhere is a placement that keeps what it is given until the test says what
// becomes of it.
type elsewhere struct {
	job     place.Job
	pool    place.Pool
	arrived chan *sent
	stopped chan struct{}
	members chan *tenant
	openErr error
	refused error

	mu        sync.Mutex
	cancelled []uint64
	halted    error
}

// sent is a call that has reached the place.
type sent struct {
	ctx context.Context
	*place.Call
	back chan error
}

// value is what the call's function returns there.
func (s *sent) value(v int) { *s.Out.(*int) = v; s.back <- nil }

func newElsewhere() *elsewhere {
	return &elsewhere{arrived: make(chan *sent, 100), stopped: make(chan struct{}, 100), members: make(chan *tenant, 100)}
}

func (e *elsewhere) String() string { return "elsewhere" }

func (e *elsewhere) Place(job place.Job) (place.Site, error) {
	e.job = job
	return e, nil
}

func (e *elsewhere) Start(p place.Pool)          { e.pool = p }
func (e *elsewhere) Stop()                       { e.stopped <- struct{}{} }
func (e *elsewhere) Rest()                       {}
func (e *elsewhere) Wake(bool)                   {}
func (e *elsewhere) Ready(context.Context) error { return nil }
func (e *elsewhere) Refused() error              { return e.refused }
func (e *elsewhere) Missing() string             { return "waiting for somewhere" }
func (e *elsewhere) Stats() []place.Stat {
	return []place.Stat{{Name: "there", Capacity: 3, Active: 1, Total: 7}}
}
func (e *elsewhere) Halt(cause error)                             { e.mu.Lock(); defer e.mu.Unlock(); e.halted = cause }
func (e *elsewhere) Run(ctx context.Context, c *place.Call) error { return e.take(ctx, c) }

func (e *elsewhere) Cancel(call uint64, _ error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cancelled = append(e.cancelled, call)
}

func (e *elsewhere) take(ctx context.Context, c *place.Call) error {
	s := &sent{ctx: ctx, Call: c, back: make(chan error, 1)}
	e.arrived <- s
	return <-s.back
}

// tenant is a member that lives there.
type tenant struct {
	at     *elsewhere
	closed chan struct{}
}

func (e *elsewhere) Open(context.Context) (place.Member, error) {
	if e.openErr != nil {
		return nil, e.openErr
	}
	m := &tenant{at: e, closed: make(chan struct{}, 10)}
	e.members <- m
	return m, nil
}

func (m *tenant) Run(ctx context.Context, c *place.Call) error { return m.at.take(ctx, c) }
func (m *tenant) Close() error                                 { m.closed <- struct{}{}; return nil }

// onPlace runs body with a task that is placed elsewhere.
func onPlace(t *testing.T, body func(t *testing.T, e *elsewhere, far *task.Task[int, int]), opts ...task.Option) {
	t.Helper()
	bubble(t, func(t *testing.T, sys *actor.System) {
		e := newElsewhere()
		opts := append([]task.Option{task.Name("sq"), task.System(sys), task.On(e)}, opts...)
		far := task.MustNew(sq, opts...)
		body(t, e, far)
		far.Stop()
	})
}

func TestPlacedCallsWaitForRoom(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		fs := []*task.Future[int]{}
		for i := range 5 {
			fs = append(fs, far.Submit(t.Context(), i))
		}
		synctest.Wait()
		equal(t, "sent without room", len(e.arrived), 0)
		equal(t, "queued", far.Stats().Queued, 5)
		e.pool.Allow(2)
		synctest.Wait()
		equal(t, "sent with room for 2", len(e.arrived), 2)
		first, second := <-e.arrived, <-e.arrived
		equal(t, "numbers of the first two", first.ID+second.ID, 1+2)
		e.pool.Allow(1)
		first.value(10)
		synctest.Wait()
		equal(t, "sent with one under way and room for 1", len(e.arrived), 0)
		second.value(20)
		synctest.Wait()
		equal(t, "sent", len(e.arrived), 1)
		e.pool.Allow(10)
		for i := 2; i < 5; i++ {
			(<-e.arrived).value(10 * i)
		}
		for _, f := range fs {
			if _, err := f.Result(); err != nil {
				t.Error(err)
			}
		}
		s := far.Stats()
		equal(t, "workers", s.Workers, 3)
		equalSlices(t, "places", s.PerWorker, []task.WorkerStats{{Name: "there", Active: 1, Total: 7}})
		far.Stop()
		equal(t, "stops of the place", len(e.stopped), 1)
	})
}

func TestWhatWasNotSentKeepsItsPlaceAndItsQueueTimeout(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		start := time.Now()
		first := far.Submit(t.Context(), 1)
		far.Submit(t.Context(), 2)
		e.pool.Allow(1)
		s := <-e.arrived
		time.Sleep(time.Second)
		s.back <- &place.Undone{Err: errBoom}
		s = <-e.arrived
		equal(t, "number of the call that is sent next", s.ID, 1)
		equal(t, "attempt", s.Attempt, 1)
		e.pool.Allow(0)
		s.back <- &place.Undone{Err: errBoom}
		_, err := first.Result()
		var late *task.TimeoutError
		if !errors.As(err, &late) || late.Kind != task.QueueWait || time.Since(start) != 3*time.Second {
			t.Errorf("after %v: %v, want QueueWait after 3s", time.Since(start), err)
		}
	}, task.QueueTimeout(3*time.Second))
}

func TestALostCallRunsAgainOnlyIfItsPlaceSaysSo(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		f := far.Submit(t.Context(), 1)
		e.pool.Allow(1)
		(<-e.arrived).back <- &place.Lost{Err: errBoom, Again: true}
		s := <-e.arrived
		equal(t, "attempt", s.Attempt, 1)
		s.back <- &place.Lost{Err: errCause}
		if _, err := f.Result(); !errors.Is(err, errCause) {
			t.Errorf("got %v, want %v", err, errCause)
		}
		equal(t, "failed", far.Stats().Failed, 1)
	})
}

func TestARetryElsewhereCountsOnlyWhatRan(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		f := far.Submit(t.Context(), 1)
		e.pool.Allow(1)
		s := <-e.arrived
		equal(t, "watched by its ctx", s.Watched, false)
		s.back <- errBoom
		s = <-e.arrived
		equal(t, "attempt", s.Attempt, 2)
		s.back <- &place.Lost{Err: errBoom, Again: true}
		s = <-e.arrived
		equal(t, "attempt after a loss", s.Attempt, 2)
		s.value(7)
		v, err := f.Result()
		if v != 7 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
	}, task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(time.Second)}))
}

func TestAClosedPlaceFailsWhatWaitsAndWhatComes(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		waiting := far.Submit(t.Context(), 1)
		e.pool.Decline(errBoom)
		if _, err := waiting.Result(); !errors.Is(err, errBoom) {
			t.Errorf("a waiting call: %v", err)
		}
		if _, err := far.Call(t.Context(), 2); !errors.Is(err, errBoom) {
			t.Errorf("a call that comes: %v", err)
		}
		if err := far.Ready(t.Context()); !errors.Is(err, errBoom) {
			t.Errorf("Ready: %v", err)
		}
		e.pool.Decline(nil)
		e.pool.Allow(1)
		f := far.Submit(t.Context(), 3)
		(<-e.arrived).value(9)
		if v, err := f.Result(); v != 9 || err != nil {
			t.Errorf("afterwards: %d, %v", v, err)
		}
	})
}

func TestAPlaceThatGivesUpEndsThePool(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		f := far.Submit(t.Context(), 1)
		e.pool.Fail(errBoom)
		_, err := f.Result()
		if !errors.Is(err, task.ErrFailed) || !errors.Is(err, errBoom) {
			t.Errorf("got %v, want ErrFailed and the cause", err)
		}
		<-e.stopped
	})
}

func TestAPlaceIsToldOfCancels(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		f := far.Submit(t.Context(), 1)
		e.pool.Allow(5)
		s := <-e.arrived
		f.Cancel()
		e.mu.Lock()
		equalSlices(t, "cancelled", e.cancelled, []uint64{1})
		e.mu.Unlock()
		if s.ctx.Err() == nil {
			t.Error("the ctx of the call has not ended")
		}
		equal(t, "busy until it comes back", far.Stats().Busy, 1)
		s.value(1)
		synctest.Wait()
		equal(t, "busy afterwards", far.Stats().Busy, 0)

		bounded := far.With(task.Timeout(time.Second)).Submit(t.Context(), 2)
		s = <-e.arrived
		<-s.ctx.Done()
		if _, err := bounded.Result(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		s.back <- context.Cause(s.ctx)
	})
}

func TestAPanicElsewhereIsCountedAsOne(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		f := far.Submit(t.Context(), 1)
		e.pool.Allow(1)
		(<-e.arrived).back <- &task.PanicError{Task: "sq", Value: "there"}
		if _, err := f.Result(); !errors.Is(err, task.ErrPanicked) {
			t.Errorf("got %v", err)
		}
		s := far.Stats()
		equal(t, "panicked", s.Panicked, 1)
		equal(t, "failed", s.Failed, 0)
	})
}

// lend makes the next Call of far run in its caller.
func lend(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
	t.Helper()
	f := far.Submit(t.Context(), 0)
	e.pool.Allow(1)
	(<-e.arrived).value(0)
	if _, err := f.Result(); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // until its worker is idle
}

func TestACallerWaitsInAWorkersPlace(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		lend(t, e, far)
		got := make(chan int)
		go func() { v, _ := far.Call(context.Background(), 1); got <- v }()
		s := <-e.arrived
		equal(t, "watched", s.Watched, true)
		equal(t, "number", s.ID, 2)
		s.back <- &place.Undone{Err: errBoom} // it is submitted instead
		s = <-e.arrived
		s.value(5)
		equal(t, "value", <-got, 5)
		synctest.Wait()
		st := far.Stats()
		equal(t, "submitted", st.Submitted, 2)
		equal(t, "finished", st.Finished, 2)
	})
}

func TestStopTellsThePlaceOfCallersThatWaitThere(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		lend(t, e, far)
		got := make(chan error)
		go func() { _, err := far.Call(context.Background(), 1); got <- err }()
		s := <-e.arrived
		go func() {
			<-s.ctx.Done()
			s.back <- context.Cause(s.ctx)
		}()
		equal(t, "report", far.Stop(), task.Report{Cancelled: 1})
		if err := <-got; !errors.Is(err, task.ErrStopped) {
			t.Errorf("got %v", err)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if !errors.Is(e.halted, task.ErrStopped) {
			t.Errorf("the place was told %v", e.halted)
		}
	})
}

func TestMapReadsAheadForPlacesItDoesNotKnowYet(t *testing.T) {
	onPlace(t, func(t *testing.T, e *elsewhere, far *task.Task[int, int]) {
		read := 0
		inputs := func(yield func(int) bool) {
			for i := range 1000 {
				if read = i + 1; !yield(i) {
					return
				}
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		var got error
		go func() {
			for _, err := range far.Map(ctx, inputs) {
				got = err
			}
		}()
		synctest.Wait()
		equal(t, "inputs read", read, 256)
		cancel(errCause)
		synctest.Wait()
		if !errors.Is(got, errCause) {
			t.Errorf("the last item is %v, want %v", got, errCause)
		}
	})
}
