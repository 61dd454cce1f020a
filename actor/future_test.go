package actor_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
)

func TestAFutureCompletesOnceUnderARaceOfMany(t *testing.T) {
	sys := newSystem()
	as := sys.ActorSystem()
	bounded, cancel := context.WithCancel(context.Background())
	defer cancel()
	for range 500 {
		f, complete := actor.NewFuture[int]()
		pid := f.PID(sys)
		var wins, called atomic.Int32
		var seen sync.Map
		see := func(v int, err error) { seen.Store(actor.Result[int]{Value: v, Err: err}, true) }
		f.OnDone(func(v int, err error) { called.Add(1); see(v, err) })
		win := func(won bool) {
			if won {
				wins.Add(1)
			}
		}
		race(
			func() { win(complete(1, nil)) },
			func() { win(complete(2, errOwn)) },
			func() { win(f.Cancel()) },
			func() { as.Root.Send(pid, 3) },
			func() { as.Root.Send(pid, errCause) },
			func() { see(f.Result()) },
			func() { see(f.Await(bounded)) },
			func() { <-f.Done(); v, err, _ := f.Poll(); see(v, err) },
			func() { f.OnDone(func(v int, err error) { called.Add(1); see(v, err) }) },
		)
		outcomes := 0
		seen.Range(func(any, any) bool { outcomes++; return true })
		if wins.Load() > 1 || outcomes != 1 || called.Load() != 2 {
			t.Fatalf("wins %d, outcomes seen %d, callbacks %d, want at most 1, 1 and 2", wins.Load(), outcomes, called.Load())
		}
	}
	equal(t, "addresses left", registered(as, "future/"), 0)
}

func TestTheFirstOutcomeStays(t *testing.T) {
	f, complete := actor.NewFuture[int]()
	equal(t, "complete", complete(1, errOwn), true)
	equal(t, "complete again", complete(2, nil), false)
	equal(t, "Cancel", f.Cancel(), false)
	outcome(t, f, 1, errOwn)
	outcome(t, actor.Completed(3, nil), 3, nil)
	equal(t, "Cancel of a completed one", actor.Completed(3, nil).Cancel(), false)
}

func TestCancelCompletesAtOnce(t *testing.T) {
	f, complete := actor.NewFuture[int]()
	equal(t, "Cancel", f.Cancel(), true)
	equal(t, "Cancel again", f.Cancel(), false)
	equal(t, "complete", complete(1, nil), false)
	outcome(t, f, 0, context.Canceled)
}

func TestAwaitIsBoundByCtxOnly(t *testing.T) {
	f, complete := actor.NewFuture[int]()
	ended, end := context.WithCancelCause(context.Background())
	end(errCause)
	for range 10 {
		_, err := f.Await(ended)
		is(t, "Await with an ended ctx", err, errCause)
	}
	complete(1, nil)
	for range 10 { // the outcome goes before the end of ctx
		v, err := f.Await(ended)
		equal(t, "value", v, 1)
		equal(t, "error", err, nil)
	}
	v, err := f.Result()
	equal(t, "Result", v, 1)
	equal(t, "error", err, nil)
}

func TestAwaitIsWokenByOutcomeAndByCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, complete := actor.NewFuture[int]()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		start := time.Now()
		_, err := f.Await(ctx)
		is(t, "Await", err, errCause)
		equal(t, "waited", time.Since(start), time.Second)
		time.AfterFunc(time.Minute, func() { complete(1, errOwn) })
		v, err := f.Await(t.Context())
		equal(t, "value", v, 1)
		is(t, "Await", err, errOwn)
		equal(t, "waited", time.Since(start), time.Second+time.Minute)
	})
}

func TestANilCtxIsAnErrorAtOnce(t *testing.T) {
	f, _ := actor.NewFuture[int]()
	var none context.Context
	if _, err := f.Await(none); err == nil {
		t.Error("Await(nil): got no error")
	}
	equal(t, "still open", f.Cancel(), true)
}

func TestPollNeverBlocks(t *testing.T) {
	f, complete := actor.NewFuture[int]()
	v, err, done := f.Poll()
	if v != 0 || err != nil || done {
		t.Errorf("Poll of an open future: got %v, %v, %v", v, err, done)
	}
	complete(1, errOwn)
	outcome(t, f, 1, errOwn)
}

func TestDoneGivesOneChannel(t *testing.T) {
	f, complete := actor.NewFuture[int]()
	open := f.Done()
	equal(t, "Done", f.Done(), open)
	select {
	case <-open:
		t.Error("closed before the outcome is there")
	default:
	}
	complete(1, nil)
	<-open
	equal(t, "Done afterwards", f.Done(), open)
	late := actor.Completed(1, nil)
	<-late.Done()
	equal(t, "Done of a completed one", late.Done(), late.Done())
}

func TestCallbacksRunOnceInOrder(t *testing.T) {
	f, complete := actor.NewFuture[int]()
	var got []int
	add := func(n int) func(int, error) {
		return func(v int, err error) {
			if v != 7 || err != errOwn {
				t.Errorf("callback %d: got %v, %v", n, v, err)
			}
			got = append(got, n)
		}
	}
	f.OnDone(nil)
	f.OnDone(add(1))
	f.OnDone(func(v int, err error) {
		add(2)(v, err)
		f.OnDone(add(3)) // the outcome is there: at once
	})
	f.OnDone(add(4))
	complete(7, errOwn)
	f.OnDone(add(5))
	complete(8, nil)
	if want := []int{1, 2, 3, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("callbacks: got %v, want %v", got, want)
	}
}

func TestAPanicInACallbackIsContainedAndLogged(t *testing.T) {
	var log journal
	log.asDefault(t)
	f, complete := actor.NewFuture[int]()
	called := 0
	f.OnDone(func(int, error) { panic("oops") })
	f.OnDone(func(int, error) { called++ })
	complete(1, nil)
	f.OnDone(func(int, error) { panic("late oops") })
	equal(t, "other callbacks", called, 1)
	outcome(t, f, 1, nil)
	log.has(t, "panic=oops")
	log.has(t, `panic="late oops"`)
	log.has(t, "stack=")
}

func TestAFutureThatNobodyAwaitsHoldsNoGoroutine(t *testing.T) {
	sys := newSystem()
	sys.ActorSystem()
	before := runtime.NumGoroutine()
	open := make([]*actor.Future[int], 1000)
	for i := range open {
		open[i], _ = actor.NewFuture[int]()
		open[i].OnDone(func(int, error) {})
		open[i].Done()
		open[i].PID(sys)
	}
	if got := runtime.NumGoroutine(); got > before {
		t.Errorf("goroutines: got %d, want %d", got, before)
	}
	for _, f := range open {
		f.Cancel()
	}
	equal(t, "addresses left", registered(sys.ActorSystem(), "future/"), 0)
}

func TestAwaitInVainLeavesNothingBehind(t *testing.T) {
	f, complete := actor.NewFuture[int]()
	ended, end := context.WithCancel(context.Background())
	end()
	await := func(n int) {
		for i := range n {
			ctx := ended
			if i%2 == 0 {
				c, cancel := context.WithCancel(context.Background())
				stop := context.AfterFunc(ended, cancel) // ends while Await waits, or before
				defer stop()
				ctx = c
			}
			if _, err := f.Await(ctx); err != context.Canceled {
				t.Fatalf("Await: got %v", err)
			}
		}
	}
	await(10)
	before := objects()
	for range 1000 {
		await(100)
	}
	if got := objects(); got > before+10_000 {
		t.Errorf("100,000 waits left %d objects, want next to none", got-before)
	}
	complete(1, nil)
	outcome(t, f, 1, nil)
}

// objects counts what lives on the heap.
func objects() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapObjects
}

func TestACallIsOneSmallAllocation(t *testing.T) {
	got := testing.AllocsPerRun(1000, func() {
		f := actor.Completed(1, nil)
		f.Poll()
	})
	if got > 1 {
		t.Errorf("a future costs %v allocations, want 1", got)
	}
}
