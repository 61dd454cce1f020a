package task_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

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
