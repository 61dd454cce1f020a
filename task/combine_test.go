package task_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
