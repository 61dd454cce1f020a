package task_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// onceEach counts how often each Future completes.
type onceEach struct {
	given     atomic.Int64
	completed atomic.Int64
	open      sync.WaitGroup
}

// track sees f complete.
func track[T any](o *onceEach, t *testing.T, f *task.Future[T]) {
	o.given.Add(1)
	o.open.Add(1)
	var times atomic.Int32
	f.OnDone(func(_ T, err error) {
		if times.Add(1) != 1 {
			t.Error("a Future completes twice")
		}
		if err != nil && !expected(err) {
			t.Errorf("got error %v", err)
		}
		o.completed.Add(1)
		o.open.Done()
	})
}

// expected reports whether an error is one of the documented outcomes.
func expected(err error) bool {
	for _, want := range []error{
		errBoom, errCause, context.Canceled, context.DeadlineExceeded, task.ErrStopped, task.ErrQueueFull,
		task.ErrPanicked, task.ErrGoexit, task.ErrFailed, proto.ErrDeadLetter,
	} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

// unruly does anything that a function may do.
func unruly(ctx context.Context, x int) (int, error) {
	switch x % 97 {
	case 1:
		return 0, errBoom
	case 2:
		panic(x)
	case 3:
		runtime.Goexit()
	case 4:
		<-ctx.Done() // bounded by those who submit it
		return 0, ctx.Err()
	case 5, 6, 7:
		time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond) // work, not a wait for something
	case 8:
		context.AfterFunc(ctx, func() {})
	}
	return x, nil
}

// TestEverythingAtOnce runs all there is against the same few tasks from many
// goroutines: every Future completes exactly once, nothing hangs, and TestMain
// finds no goroutine afterwards.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"plain":      {task.Workers(3)},
		"bounded":    {task.Workers(2), task.Queue(4)},
		"rejecting":  {task.Workers(2), task.Queue(4), task.Reject()},
		"members":    {task.Workers(3), task.Balance(task.LeastActive)},
		"priority":   {task.Workers(2), task.Priority(func(x int) int { return x % 5 })},
		"on demand":  {task.OnDemand(), task.Workers(3)},
		"retries":    {task.Workers(2), task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(100 * time.Microsecond)})},
		"timeout":    {task.Workers(2), task.Timeout(time.Millisecond), task.QueueTimeout(20 * time.Millisecond)},
		"idle":       {task.Workers(3), task.IdleTimeout(time.Millisecond)},
		"supervised": {task.Workers(3), task.Supervise(supervisor.Policy{MaxRestarts: -1})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rounds := 12
			if testing.Short() {
				rounds = 3
			}
			for range rounds {
				everythingAtOnce(t, opts)
			}
		})
	}
}

func everythingAtOnce(t *testing.T, opts []task.Option) {
	sys := newSystem()
	p := task.MustNew(unruly, append(opts, task.System(sys), task.StopGrace(10*time.Second))...)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	o := &onceEach{}
	var wg sync.WaitGroup
	each := func(n int, fn func(i int)) {
		wg.Go(func() {
			for i := range n {
				fn(i)
			}
		})
	}
	bounded := func() (context.Context, context.CancelFunc) {
		return context.WithTimeoutCause(ctx, time.Duration(1+rand.IntN(3))*time.Millisecond, errCause)
	}
	for range 2 {
		each(100, func(int) { // submit
			ctx, cancel := bounded()
			f := p.Submit(ctx, rand.IntN(1000))
			track(o, t, f)
			f.OnDone(func(int, error) { cancel() })
		})
		each(100, func(int) { // try, and let the next depend on it
			ctx, cancel := bounded()
			context.AfterFunc(ctx, cancel)
			if f, ok := p.TrySubmit(ctx, rand.IntN(1000)); ok {
				track(o, t, f)
				track(o, t, p.SubmitFuture(ctx, f))
				track(o, t, task.Then(f, unruly))
			}
		})
		each(50, func(i int) { // call
			x := rand.IntN(1000)
			if x%97 == 3 {
				x++ // runtime.Goexit may end the caller of a quick function
			}
			ctx, cancel := bounded()
			defer cancel()
			if _, err := p.Call(ctx, x); err != nil && !expected(err) {
				t.Errorf("Call: %v", err)
			}
		})
		each(100, func(int) { // cancel
			f := p.Submit(ctx, rand.IntN(1000))
			track(o, t, f)
			runtime.Gosched()
			f.Cancel()
		})
	}
	each(5, func(i int) { // iterate
		ctx, cancel := bounded()
		defer cancel()
		var mo []task.MapOption
		if i%2 == 0 {
			mo = append(mo, task.Unordered())
		}
		n := 0
		for _, err := range p.Map(ctx, upTo(200), mo...) {
			if err != nil && !expected(err) {
				t.Errorf("Map: %v", err)
			}
			if n++; n == 150 {
				break
			}
		}
		if _, err := p.MapSlice(ctx, make([]int, 200)); err != nil && !expected(err) {
			t.Errorf("MapSlice: %v", err)
		}
	})
	each(5, func(i int) { // combine
		ctx, cancel := bounded()
		defer cancel()
		fs := submitAll(ctx, p, 10)
		for _, f := range fs {
			track(o, t, f)
		}
		for _, r := range task.AsCompleted(ctx, fs...) {
			if r.Err != nil && !expected(r.Err) {
				t.Errorf("AsCompleted: %v", r.Err)
			}
		}
	})
	each(20, func(i int) { _ = p.Resize(1 + i%4) })
	each(20, func(i int) { _ = p.Stats() })
	each(20, func(i int) { // messages
		pid := p.PID()
		if pid == nil {
			return // stopped before its first use
		}
		f, _ := actor.NewFuture[int]()
		track(o, t, f)
		sys.ActorSystem().Root.RequestWithCustomSender(pid, rand.IntN(1000), f.PID(sys))
		sys.ActorSystem().Root.Send(pid, "not a number")
		time.AfterFunc(5*time.Millisecond, func() { f.Cancel() }) // the pool may be gone
	})
	wg.Go(func() { // end
		for range rand.IntN(2000) {
			runtime.Gosched()
		}
		ctx, cancel := bounded()
		defer cancel()
		switch rand.IntN(4) {
		case 0:
			p.Stop()
		case 1:
			if _, err := p.Drain(ctx); err != nil && !expected(err) {
				t.Errorf("Drain: %v", err)
			}
		case 2:
			cancel()
			_ = sys.Stop(context.Background())
		}
	})
	wg.Wait()
	cancel(errCause)
	var stops sync.WaitGroup
	for range 3 {
		stops.Go(func() { p.Stop() })
	}
	stops.Wait()
	o.open.Wait()
	if o.given.Load() != o.completed.Load() {
		t.Errorf("%d Futures were given and %d have completed", o.given.Load(), o.completed.Load())
	}
	s := p.Stats()
	if ended := s.Finished + s.Failed + s.Panicked + s.Cancelled + s.TimedOut; s.Submitted != ended {
		t.Errorf("%d calls were accepted and %d have ended: %+v", s.Submitted, ended, s)
	}
	if s.Workers != 0 || s.Busy != 0 || s.Queued != 0 || s.Abandoned != 0 {
		t.Errorf("something is left: %+v", s)
	}
	if err := sys.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestTasksComeAndGo makes and stops many tasks of one System at once.
func TestTasksComeAndGo(t *testing.T) {
	t.Parallel()
	sys := newSystem()
	o := &onceEach{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 40 {
				p, err := task.New(sq, task.Workers(1+rand.IntN(3)), task.System(sys))
				if err != nil {
					t.Error(err)
					continue
				}
				for i := range rand.IntN(20) {
					track(o, t, p.Submit(context.Background(), i))
				}
				switch rand.IntN(3) {
				case 0:
					_, err = p.Drain(context.Background())
				case 1:
					_, err = p.MapSlice(context.Background(), make([]int, 10))
				}
				if err != nil {
					t.Error(err)
				}
				p.Stop()
			}
		})
	}
	wg.Wait()
	o.open.Wait()
	equal(t, "completed", o.completed.Load(), o.given.Load())
	equal(t, "error of Stop", sys.Stop(context.Background()), nil)
}
