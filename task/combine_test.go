package task_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// promises are futures and what completes them.
type promises struct {
	fs       []*task.Future[int]
	complete []func(int, error) bool
}

func newPromises(n int) *promises {
	p := &promises{}
	for range n {
		f, complete := actor.NewFuture[int]()
		p.fs, p.complete = append(p.fs, f), append(p.complete, complete)
	}
	return p
}

// after completes future i with i after so many seconds, or with errBoom if
// failing.
func (p *promises) after(seconds, i int, failing bool) {
	time.AfterFunc(time.Duration(seconds)*time.Second, func() {
		if failing {
			p.complete[i](0, fmt.Errorf("future %d: %w", i, errBoom))
			return
		}
		p.complete[i](i, nil)
	})
}

// took runs fn and returns how much of the bubble's time it took, in seconds.
// What polls would need more than the events do.
func took(fn func()) float64 {
	start := time.Now()
	fn()
	return time.Since(start).Seconds()
}

func TestGatherReturnsAllValuesInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPromises(4)
		for i, s := range []int{3, 1, 4, 2} {
			p.after(s, i, false)
		}
		var got []int
		var err error
		equal(t, "seconds", took(func() { got, err = task.Gather(t.Context(), p.fs...) }), 4)
		equal(t, "error", err, nil)
		equalSlices(t, "values", got, []int{0, 1, 2, 3})
		got, err = task.Gather(t.Context(), p.fs...)
		equal(t, "error", err, nil)
		equalSlices(t, "values again", got, []int{0, 1, 2, 3})
	})
}

func TestGatherReturnsTheFirstFailureInTimeAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPromises(4)
		p.after(3, 0, true)
		p.after(2, 2, true)
		p.after(1, 3, false) // 1 is never done
		var got []int
		var err error
		equal(t, "seconds", took(func() { got, err = task.Gather(t.Context(), p.fs...) }), 2)
		equal(t, "error", err.Error(), "future 2: boom")
		if got != nil {
			t.Errorf("got values %v beside the error", got)
		}
		time.Sleep(time.Hour)
	})
}

func TestGatherMapReturnsAllValuesByKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPromises(3)
		m := map[string]*task.Future[int]{"a": p.fs[0], "b": p.fs[1], "c": p.fs[2]}
		p.after(1, 0, false)
		p.after(3, 1, false)
		p.after(2, 2, false)
		var got map[string]int
		var err error
		equal(t, "seconds", took(func() { got, err = task.GatherMap(t.Context(), m) }), 3)
		equal(t, "error", err, nil)
		if want := map[string]int{"a": 0, "b": 1, "c": 2}; !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		f, complete := actor.NewFuture[int]()
		m["d"] = f
		complete(0, errBoom)
		_, err = task.GatherMap(t.Context(), m)
		is(t, "error", err, errBoom)
		m["d"] = nil
		_, err = task.GatherMap(t.Context(), m)
		if !containsText(err, "nil future at key d") {
			t.Errorf("got error %v", err)
		}
	})
}

func TestSettleReturnsAllOutcomesInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPromises(3)
		p.after(3, 0, false)
		p.after(1, 1, true)
		p.after(2, 2, false)
		var got []task.Result[int]
		var err error
		equal(t, "seconds", took(func() { got, err = task.Settle(t.Context(), p.fs...) }), 3)
		equal(t, "error", err, nil)
		equal(t, "0", got[0], task.Result[int]{Value: 0})
		is(t, "1", got[1].Err, errBoom)
		equal(t, "2", got[2], task.Result[int]{Value: 2})
	})
}

func TestSettleGivesUnfinishedOnesTheCauseWhenCtxEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPromises(4)
		p.after(1, 1, true)
		p.after(2, 3, false)
		p.after(9, 0, false)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errCause)
		defer cancel()
		var got []task.Result[int]
		var err error
		equal(t, "seconds", took(func() { got, err = task.Settle(ctx, p.fs...) }), 5)
		is(t, "error", err, errCause)
		is(t, "0", got[0].Err, errCause)
		is(t, "1", got[1].Err, errBoom)
		is(t, "2", got[2].Err, errCause)
		equal(t, "3", got[3], task.Result[int]{Value: 3})
		time.Sleep(time.Hour)
	})
}

func TestAsCompletedYieldsOutcomesAsTheyFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPromises(5)
		p.complete[3](3, nil)
		p.complete[1](1, nil)
		p.after(1, 4, true)
		p.after(2, 0, false)
		p.after(3, 2, false)
		seq := task.AsCompleted(t.Context(), p.fs...)
		for _, want := range [][]int{{1, 3, 4, 0, 2}, {0, 1, 2, 3, 4}} { // then all are done
			var order []int
			for i, r := range seq {
				order = append(order, i)
				if i == 4 {
					is(t, "4", r.Err, errBoom)
				} else {
					equal(t, "outcome", r, task.Result[int]{Value: i})
				}
			}
			equalSlices(t, "order", order, want)
		}
	})
}

func TestAsCompletedGivesUnfinishedOnesTheCauseWhenCtxEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPromises(4)
		p.after(1, 2, false)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errCause)
		defer cancel()
		var order []int
		for i, r := range task.AsCompleted(ctx, p.fs...) {
			order = append(order, i)
			switch i {
			case 0:
				is(t, "0", r.Err, errCause)
				p.complete[3](3, nil) // before it is yielded
			case 1:
				is(t, "1", r.Err, errCause)
			default:
				equal(t, "outcome", r, task.Result[int]{Value: i})
			}
		}
		equalSlices(t, "order", order, []int{2, 0, 1, 3})
	})
}

func TestEndedCtxStillGivesWhatIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errCause)
		p := newPromises(3)
		p.complete[0](0, nil)
		p.complete[2](2, nil)
		_, err := task.Gather(ctx, p.fs...)
		is(t, "Gather", err, errCause)
		vs, err := task.Gather(ctx, p.fs[0], p.fs[2])
		equal(t, "Gather of what is done", err, nil)
		equalSlices(t, "values", vs, []int{0, 2})
		rs, err := task.Settle(ctx, p.fs...)
		is(t, "Settle", err, errCause)
		equal(t, "0", rs[0], task.Result[int]{Value: 0})
		is(t, "1", rs[1].Err, errCause)
		equal(t, "2", rs[2], task.Result[int]{Value: 2})
		var order []int
		for i := range task.AsCompleted(ctx, p.fs...) {
			order = append(order, i)
		}
		equalSlices(t, "AsCompleted", order, []int{0, 2, 1})
		done, pending, err := task.Wait(ctx, task.WaitAll, p.fs...)
		is(t, "Wait", err, errCause)
		equal(t, "done", len(done), 2)
		equal(t, "pending", len(pending), 1)
	})
}

func TestWaitReturnsAsItsModeSays(t *testing.T) {
	t.Parallel()
	// Future 0 finishes after 1 s, 1 fails after 2 s, 2 finishes after 3 s.
	for _, tc := range []struct {
		mode    task.WaitMode
		futures []int
		bound   int // of ctx, in seconds
		seconds int
		done    []int
		ended   bool
	}{
		{task.WaitAll, []int{2, 1, 0}, 9, 3, []int{2, 1, 0}, false},
		{task.WaitAny, []int{2, 1, 0}, 9, 1, []int{0}, false},
		{task.WaitFirstError, []int{2, 1, 0}, 9, 2, []int{1, 0}, false},
		{task.WaitFirstError, []int{2, 0}, 9, 3, []int{2, 0}, false},
		{task.WaitFirstError, []int{1}, 9, 2, []int{1}, false},
		{task.WaitAny, []int{1, 2}, 9, 2, []int{1}, false},
		{task.WaitAll, nil, 9, 0, nil, false},
		{task.WaitAny, nil, 9, 0, nil, false},
		{task.WaitFirstError, nil, 9, 0, nil, false},
		{task.WaitAll, []int{0, 0, 1}, 9, 2, []int{0, 0, 1}, false},
		{task.WaitAny, []int{2, 2}, 9, 3, []int{2, 2}, false},
		{task.WaitAll, []int{2, 1, 0}, -2, 2, []int{0}, true}, // just before 2 s
		{task.WaitAny, []int{2, 1}, -1, 1, nil, true},
		{task.WaitFirstError, []int{2, 0}, -3, 3, []int{0}, true},
	} {
		t.Run(fmt.Sprint(tc.mode, tc.futures, tc.bound), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPromises(3)
				p.after(1, 0, false)
				p.after(2, 1, true)
				p.after(3, 2, false)
				var fs []*task.Future[int]
				for _, i := range tc.futures {
					fs = append(fs, p.fs[i])
				}
				bound := time.Duration(tc.bound) * time.Second
				if bound < 0 {
					bound = -bound - 1
				}
				ctx, cancel := context.WithTimeoutCause(t.Context(), bound, errCause)
				defer cancel()
				start := time.Now()
				done, pending, err := task.Wait(ctx, tc.mode, fs...)
				equal(t, "took", (time.Since(start) + 1).Truncate(time.Second), time.Duration(tc.seconds)*time.Second)
				if tc.ended {
					is(t, "error", err, errCause)
				} else {
					equal(t, "error", err, nil)
				}
				var want []*task.Future[int]
				for _, i := range tc.done {
					want = append(want, p.fs[i])
				}
				equalSlices(t, "done", done, want)
				equal(t, "all", len(done)+len(pending), len(fs))
				for _, f := range pending {
					if slices.Contains(want, f) {
						t.Error("a future is done and pending")
					}
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestWaitOfAnUnknownModeIsAnError(t *testing.T) {
	t.Parallel()
	p := newPromises(2)
	for _, m := range []task.WaitMode{-1, 3} {
		done, pending, err := task.Wait(t.Context(), m, p.fs...)
		if want := fmt.Sprintf("task: Wait: unknown mode WaitMode(%d)", m); !containsText(err, want) {
			t.Errorf("got error %v, want %q", err, want)
		}
		equal(t, "done", len(done), 0)
		equalSlices(t, "pending", pending, p.fs)
	}
	for m, want := range map[task.WaitMode]string{task.WaitAll: "WaitAll", task.WaitAny: "WaitAny", task.WaitFirstError: "WaitFirstError"} {
		equal(t, "String", m.String(), want)
	}
}

func TestNoFuturesGiveEmptyResultsAtOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 { // also if ctx has ended
		vs, err := task.Gather[int](ctx)
		if vs == nil || len(vs) != 0 || err != nil {
			t.Errorf("Gather: got %#v, %v", vs, err)
		}
		rs, err := task.Settle[int](ctx)
		if rs == nil || len(rs) != 0 || err != nil {
			t.Errorf("Settle: got %#v, %v", rs, err)
		}
		m, err := task.GatherMap(ctx, map[string]*task.Future[int](nil))
		if m == nil || len(m) != 0 || err != nil {
			t.Errorf("GatherMap: got %#v, %v", m, err)
		}
		for range task.AsCompleted[int](ctx) {
			t.Error("AsCompleted yields something")
		}
		cancel()
	}
}

func TestNilFuturesAndContextsAreErrors(t *testing.T) {
	t.Parallel()
	var noCtx context.Context
	f := actor.Completed(1, nil)
	for name, fs := range map[string][]*task.Future[int]{"nil future at index 1": {f, nil}, "nil context": {f, f}} {
		ctx := t.Context()
		if name == "nil context" {
			ctx = noCtx
		}
		check := func(what string, err error) {
			t.Helper()
			if !containsText(err, name) {
				t.Errorf("%s: got error %v, want %q", what, err, name)
			}
		}
		_, err := task.Gather(ctx, fs...)
		check("Gather", err)
		_, err = task.Settle(ctx, fs...)
		check("Settle", err)
		_, pending, err := task.Wait(ctx, task.WaitAll, fs...)
		check("Wait", err)
		equal(t, "pending", len(pending), 2)
		n := 0
		for _, r := range task.AsCompleted(ctx, fs...) {
			check("AsCompleted", r.Err)
			n++
		}
		equal(t, "outcomes", n, 2)
		for range task.AsCompleted(ctx, fs...) {
			break
		}
	}
	_, err := task.GatherMap(noCtx, map[int]*task.Future[int]{1: f})
	if !containsText(err, "nil context") {
		t.Errorf("GatherMap: got error %v", err)
	}
}

func TestSameFutureTwiceCountsAtBothPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPromises(2)
		p.after(1, 1, false)
		p.after(2, 0, false)
		fs := []*task.Future[int]{p.fs[1], p.fs[0], p.fs[1], p.fs[1]}
		var order []int
		for i, r := range task.AsCompleted(t.Context(), fs...) {
			order = append(order, i)
			equal(t, "value", r.Value, []int{1, 0, 1, 1}[i])
		}
		equalSlices(t, "order", order, []int{0, 2, 3, 1})
		vs, err := task.Gather(t.Context(), fs...)
		equal(t, "error", err, nil)
		equalSlices(t, "Gather", vs, []int{1, 0, 1, 1})
		rs, err := task.Settle(t.Context(), fs...)
		equal(t, "error", err, nil)
		equal(t, "Settle", len(rs), 4)
	})
}

// TestWaitingLeavesNothingBehind repeats each combinator on a Future that stays
// open.
func TestWaitingLeavesNothingBehind(t *testing.T) {
	n := 100_000
	if raceEnabled {
		n = 20_000
	}
	open, _ := actor.NewFuture[int]()
	failed := actor.Completed(0, errBoom)
	soon := func() *task.Future[int] {
		f, complete := actor.NewFuture[int]()
		go complete(0, errBoom)
		return f
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, use := range map[string]func(){
		"AsCompleted left": func() {
			for range task.AsCompleted(t.Context(), open, failed) {
				break
			}
			for range task.AsCompleted(t.Context(), open, soon()) {
				break
			}
		},
		"AsCompleted ended": func() {
			for range task.AsCompleted(ended, open, open) {
				continue
			}
		},
		"Gather": func() { _, _ = task.Gather(t.Context(), open, soon()) },
		"Settle": func() { _, _ = task.Settle(ended, open, failed) },
		"Wait any": func() {
			_, _, _ = task.Wait(t.Context(), task.WaitAny, open, soon())
		},
		"Await": func() { _, _ = open.Await(ended) },
		"Then cancelled": func() {
			task.Then(open, func(_ context.Context, x int) (int, error) { return x, nil }).Cancel()
		},
	} {
		use()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range n {
			use()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > int64(n)*4 {
			t.Errorf("%s: %d bytes are left after %d times", name, grown, n)
		}
	}
}

func TestManyWaitersOfManyFuturesAllSeeThem(t *testing.T) {
	t.Parallel()
	p := newPromises(200)
	var wg sync.WaitGroup
	for w := range 12 {
		wg.Go(func() {
			switch w % 4 {
			case 0:
				vs, err := task.Gather(t.Context(), p.fs...)
				equal(t, "error", err, nil)
				equalSlices(t, "Gather", vs, slices.Collect(upTo(200)))
			case 1:
				rs, _ := task.Settle(t.Context(), p.fs...)
				for i, r := range rs {
					equal(t, "Settle", r, task.Result[int]{Value: i})
				}
			case 2:
				seen := map[int]bool{}
				for i, r := range task.AsCompleted(t.Context(), p.fs...) {
					equal(t, "AsCompleted", r.Value, i)
					seen[i] = true
				}
				equal(t, "AsCompleted", len(seen), 200)
			case 3:
				done, pending, err := task.Wait(t.Context(), task.WaitAll, p.fs...)
				equal(t, "done", len(done), 200)
				equal(t, "pending", len(pending), 0)
				equal(t, "error", err, nil)
			}
		})
	}
	for i := range 200 {
		wg.Go(func() { p.complete[i](i, nil) })
	}
	wg.Wait()
}

func TestCombinatorsDoNotCancelTheOthers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				return 0, errBoom
			}
			return g.pass(ctx, x)
		}, task.Workers(2), task.System(sys))
		defer p.Stop()
		fs := submitAll(t.Context(), p, 3)
		_, err := task.Gather(t.Context(), fs...)
		is(t, "Gather", err, errBoom)
		for range task.AsCompleted(t.Context(), fs...) {
			break
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = task.Settle(ctx, fs...)
		is(t, "Settle", err, context.DeadlineExceeded)
		close(g.open)
		equal(t, "1", result(t, fs[1]), 1)
		equal(t, "2", result(t, fs[2]), 2)
	})
}
