package task_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// mapKinds are pools for which Map takes different ways. Each has 3 workers,
// but for Inline.
func mapKinds() map[string][]task.Option {
	return map[string][]task.Option{
		"plain":       {task.Workers(3)},
		"idle":        {task.Workers(3), task.IdleTimeout(time.Hour)},
		"timeout":     {task.Workers(3), task.Timeout(time.Hour)},
		"queue wait":  {task.Workers(3), task.QueueTimeout(time.Hour)},
		"retries":     {task.Workers(3), task.Retries(task.RetryPolicy{})},
		"until":       {task.Workers(3), task.Until(func(int) error { return nil })},
		"bounded":     {task.Workers(3), task.Queue(2)},
		"priority":    {task.Workers(3), task.Priority(func(x int) int { return -x })},
		"round robin": {task.Workers(3), task.Balance(task.RoundRobin)},
		"least total": {task.Workers(3), task.Balance(task.LeastTotal)},
		"on demand":   {task.Workers(3), task.OnDemand()},
		"no cap":      {task.OnDemand()},
		"inline":      {task.Inline()},
		"supervised":  {task.Workers(3), task.Supervise(supervisor.Policy{MaxRestarts: -1})},
		"limited":     {task.Workers(3), task.Limits(limits.MustNew(limits.Resource("slots", 3)))},
	}
}

// eachKind runs body in a bubble for every kind of pool; Workers counts for all
// but Inline.
func eachKind(t *testing.T, body func(t *testing.T, opts []task.Option, kind string)) {
	t.Helper()
	kinds := mapKinds()
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, sys *actor.System) {
				body(t, append(mapKinds()[name], task.System(sys)), name)
			})
		})
	}
}

// upTo yields 0, 1, … n-1.
func upTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// endless yields 0, 1, … and counts what was read.
func endless(read *atomic.Int64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; ; i++ {
			read.Add(1)
			if !yield(i) {
				return
			}
		}
	}
}

// warm makes the pool know that its calls are quick.
func warm(t *testing.T, p *task.Task[int, int]) {
	t.Helper()
	for range 2000 {
		if _, err := p.Call(context.Background(), -1); err != nil {
			t.Fatal(err)
		}
	}
}

// outcomes collects what a Map yields.
func outcomes(seq iter.Seq2[int, error]) (vs []int, errs []error) {
	for v, err := range seq {
		vs, errs = append(vs, v), append(errs, err)
	}
	return vs, errs
}

func squares(n int) []int {
	want := make([]int, n)
	for i := range want {
		want[i] = i * i
	}
	return want
}

func TestMapYieldsAllResultsInOrder(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			if x%10 == 0 {
				time.Sleep(rand.N(time.Millisecond))
			}
			return x * x, nil
		}, opts...)
		defer p.Stop()
		const n = 500
		for _, window := range []int{1, 2, 7, 0, 1000} {
			var mo []task.MapOption
			if window > 0 {
				mo = append(mo, task.Window(window))
			}
			vs, errs := outcomes(p.Map(t.Context(), upTo(n), mo...))
			equalSlices(t, fmt.Sprint("window ", window), vs, squares(n))
			equal(t, "failures", slices.IndexFunc(errs, func(err error) bool { return err != nil }), -1)
		}
		s := p.Stats()
		equal(t, "Submitted", s.Submitted, 5*n)
		equal(t, "Finished", s.Finished, 5*n)
	})
}

func TestMapOfQuickItemsYieldsAllResultsInOrder(t *testing.T) {
	t.Parallel()
	for _, withEnd := range []bool{false, true} {
		for _, window := range []int{1, 2, 3, 16, 17, 1000} {
			t.Run(fmt.Sprint(withEnd, window), func(t *testing.T) {
				p := task.MustNew(sq, task.Workers(3), task.System(newSystem()))
				defer p.Stop()
				ctx := context.Background()
				if withEnd {
					ctx = t.Context()
				}
				i := 0
				for v, err := range p.Map(ctx, upTo(20_000), task.Window(window)) {
					if v != i*i || err != nil {
						t.Fatalf("item %d: got %d, %v", i, v, err)
					}
					i++
				}
				equal(t, "items", i, 20_000)
				s := p.Stats()
				equal(t, "Submitted", s.Submitted, 20_000)
				equal(t, "Finished", s.Finished, 20_000)
			})
		}
	}
}

func TestMapReadsWindowInputsAheadAndNoMore(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		for _, tc := range []struct {
			workers, window, want int
		}{{3, 0, 16}, {8, 0, 16}, {20, 0, 40}, {3, 1, 1}, {3, 5, 5}, {3, 100, 100}} {
			if kind == "inline" && tc.workers != 3 {
				continue
			}
			if kind != "inline" && tc.workers != 3 {
				opts = append(opts, task.Workers(tc.workers))
			}
			p := task.MustNew(func(_ context.Context, x int) (int, error) {
				time.Sleep(time.Second)
				return x, nil
			}, opts...)
			var mo []task.MapOption
			if tc.window > 0 {
				mo = append(mo, task.Window(tc.window))
			}
			var read atomic.Int64
			yielded, most := 0, 0
			for range p.Map(t.Context(), endless(&read), mo...) {
				most = max(most, int(read.Load())-yielded)
				if yielded++; yielded == 50 {
					break
				}
			}
			switch {
			case kind == "inline": // each is done when it is read
				equal(t, "read ahead", most, 1)
			case kind == "bounded" && most < tc.want: // the queue holds fewer
			default:
				equal(t, fmt.Sprintf("read ahead with %d workers and Window(%d)", tc.workers, tc.window), most, tc.want)
			}
			p.Stop()
		}
	})
}

func TestUnorderedReadsWindowInputsAheadAndNoMore(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			time.Sleep(time.Second)
			return x, nil
		}, task.Workers(3), task.System(sys))
		defer p.Stop()
		for _, window := range []int{1, 2, 5, 16} {
			var read atomic.Int64
			yielded, most := 0, 0
			for range p.Map(t.Context(), endless(&read), task.Window(window), task.Unordered()) {
				most = max(most, int(read.Load())-yielded)
				if yielded++; yielded == 50 {
					break
				}
			}
			equal(t, "read ahead", most, window)
		}
	})
}

func TestMapOfQuickItemsNeverReadsBeyondTheWindow(t *testing.T) {
	t.Parallel()
	for _, ctx := range []context.Context{context.Background(), t.Context()} {
		for _, window := range []int{1, 2, 7, 16, 64} {
			for _, unordered := range []bool{false, true} {
				p := task.MustNew(sq, task.Workers(3), task.System(newSystem()))
				warm(t, p)
				opts := []task.MapOption{task.Window(window)}
				if unordered {
					opts = append(opts, task.Unordered())
				}
				var read atomic.Int64
				yielded := int64(0)
				for range p.Map(ctx, endless(&read), opts...) {
					if ahead := read.Load() - yielded; ahead > int64(window) {
						t.Fatalf("Window(%d): read %d ahead", window, ahead)
					}
					if yielded++; yielded == 5000 {
						break
					}
				}
				p.Stop()
			}
		}
	}
}

func TestLargestWindowCostsOnlyWhatIsUsed(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]task.Option{nil, {task.Queue(100)}} {
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			p := task.MustNew(sq, append(opts, task.Workers(2), task.System(newSystem()))...)
			mo = append(mo, task.Window(math.MaxInt))
			vs, _ := outcomes(p.Map(t.Context(), upTo(100), mo...))
			slices.Sort(vs)
			equalSlices(t, "results", vs, squares(100))
			p.Stop()
		}
	}
}

func TestFailingItemIsYieldedInItsPlaceAndTheIterationGoesOn(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		type exit struct{}
		errs := map[int]any{3: errBoom, 7: "panic", 8: fmt.Errorf("wrapped: %w", errBoom), 11: exit{}, 12: exit{}, 40: "panic"}
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			switch e := errs[x].(type) {
			case error:
				return -1, e
			case string:
				panic(e)
			case exit:
				if kind != "inline" { // it would end this goroutine
					runtime.Goexit()
				}
				return 0, task.ErrGoexit
			}
			return x, nil
		}, opts...)
		defer p.Stop()
		i := 0
		for v, err := range p.Map(t.Context(), upTo(60)) {
			what := fmt.Sprint("item ", i)
			switch e := errs[i].(type) {
			case error:
				is(t, what, err, errBoom)
			case string:
				is(t, what, err, task.ErrPanicked)
				equal(t, what, as[*task.PanicError](t, what, err).Value, any("panic"))
			case exit:
				is(t, what, err, task.ErrGoexit)
			case nil:
				equal(t, what, v, i)
				equal(t, what, err, nil)
			default:
				t.Fatal(e)
			}
			i++
		}
		equal(t, "items", i, 60)
		if kind != "inline" {
			s := p.Stats()
			equal(t, "Submitted", s.Submitted, 60)
			equal(t, "Finished", s.Finished, 54)
			equal(t, "Panicked", s.Panicked, 2)
			equal(t, "Failed", s.Failed, 4)
			equal(t, "Cancelled", s.Cancelled, 0)
		}
	})
}

func TestFailingQuickItemsStayInTheirPlaces(t *testing.T) {
	t.Parallel()
	const n = 30_000
	p := task.MustNew(func(_ context.Context, x int) (int, error) {
		switch {
		case x < 0 || x%5 != 0:
			return x, nil
		case x%31 == 0:
			panic(x)
		case x%37 == 0:
			runtime.Goexit()
		case x%11 == 0:
			return 0, errBoom
		}
		return x, nil
	}, task.Workers(3), task.System(newSystem()))
	defer p.Stop()
	warm(t, p)
	var failed, panicked uint64
	i := 0
	for v, err := range p.Map(t.Context(), upTo(n), task.Window(300)) {
		switch {
		case i%5 != 0:
			if v != i || err != nil {
				t.Fatalf("item %d: got %d, %v", i, v, err)
			}
		case i%31 == 0:
			equal(t, "panic value", as[*task.PanicError](t, "item", err).Value, any(i))
			panicked++
		case i%37 == 0:
			is(t, "item", err, task.ErrGoexit)
			failed++
		case i%11 == 0:
			is(t, "item", err, errBoom)
			failed++
		default:
			if v != i || err != nil {
				t.Fatalf("item %d: got %d, %v", i, v, err)
			}
		}
		i++
	}
	equal(t, "items", i, n)
	s := p.Stats()
	equal(t, "Submitted", s.Submitted, n+2000)
	equal(t, "Failed", s.Failed, failed)
	equal(t, "Panicked", s.Panicked, panicked)
	equal(t, "Finished", s.Finished, n+2000-failed-panicked)
}

func TestMarksOfErrorsAreTakenOffInMapToo(t *testing.T) {
	t.Parallel()
	p := task.MustNew(func(_ context.Context, x int) (int, error) {
		if x == 0 {
			return 0, task.Permanent(errBoom)
		}
		return 0, task.RetryAfter(errBoom, time.Hour)
	}, task.Workers(1), task.System(newSystem()))
	defer p.Stop()
	for _, err := range p.Map(t.Context(), upTo(2)) {
		equal(t, "error", err, errBoom)
	}
	_, err := p.MapSlice(t.Context(), []int{1})
	equal(t, "error", err, errBoom)
}

func TestBreakCancelsWhatWasReadAhead(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			var begun, ended, read atomic.Int64
			p := task.MustNew(func(ctx context.Context, x int) (int, error) {
				begun.Add(1)
				if x == 0 || kind == "inline" {
					return x, nil
				}
				<-ctx.Done()
				ended.Add(1)
				return 0, ctx.Err()
			}, opts...)
			for v, err := range p.Map(t.Context(), endless(&read), mo...) {
				equal(t, "first", v, 0)
				equal(t, "first", err, nil)
				synctest.Wait()
				break
			}
			was := begun.Load()
			synctest.Wait()
			equal(t, "begun after break", begun.Load(), was)
			equal(t, "Busy", p.Stats().Busy, 0)
			if kind != "inline" {
				equal(t, "functions that saw their ctx end", ended.Load(), was-1)
			}
			v, err := p.Call(t.Context(), 0)
			equal(t, "a later call", v, 0)
			equal(t, "a later call", err, nil)
			p.Stop()
		}
	})
}

func TestBreakDoesNotWaitForFunctionsThatIgnoreTheirCtx(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				return 0, nil
			}
			return g.ignore(ctx, x)
		}, task.Workers(3), task.System(sys))
		for range p.Map(t.Context(), upTo(100)) {
			break
		}
		synctest.Wait()
		ran := len(g.ran())
		if ran > 3 {
			t.Errorf("%d functions run, want at most one for each worker", ran)
		}
		close(g.open)
		synctest.Wait()
		equal(t, "begun after break", len(g.ran()), 0)
		p.Stop()
	})
}

func TestPanicOfTheLoopBodyCancelsWhatWasReadAhead(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				return 0, nil
			}
			return g.pass(ctx, x)
		}, task.Workers(3), task.System(sys))
		func() {
			defer func() { equal(t, "recovered", recover(), any("body")) }()
			for range p.Map(t.Context(), upTo(100)) {
				panic("body")
			}
		}()
		synctest.Wait()
		equal(t, "Busy", p.Stats().Busy, 0)
		p.Stop()
	})
}

func TestPanicOfTheInputCancelsWhatWasReadAhead(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		g := newGate()
		if kind == "inline" {
			close(g.open)
		}
		p := task.MustNew(g.pass, opts...)
		func() {
			defer func() { equal(t, "recovered", recover(), any("input")) }()
			for range p.Map(t.Context(), func(yield func(int) bool) {
				for i := range 3 {
					yield(i)
				}
				panic("input")
			}) {
				continue
			}
		}()
		synctest.Wait()
		equal(t, "Busy", p.Stats().Busy, 0)
		p.Stop()
	})
}

func TestEndOfCtxIsYieldedLastWithItsCause(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			var begun, ended atomic.Int64
			p := task.MustNew(func(ctx context.Context, x int) (int, error) {
				begun.Add(1)
				defer ended.Add(1)
				if x < 2 {
					return x, nil
				}
				<-ctx.Done()
				return 0, errBoom
			}, opts...)
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(errCause) })
			vs, errs := outcomes(p.Map(ctx, upTo(100), mo...))
			equalSlices(t, "values", vs, []int{0, 1, 0})
			is(t, "last", errs[2], errCause)
			was := begun.Load()
			synctest.Wait()
			equal(t, "begun after the end", begun.Load(), was)
			equal(t, "functions that saw their ctx end", ended.Load(), was)
			p.Stop()
		}
	})
}

func TestMapReturnsAtTheEndOfCtxAlsoWhileFunctionsIgnoreIt(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		if kind == "inline" {
			return
		}
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			g := newGate()
			p := task.MustNew(g.ignore, opts...)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
			start := time.Now()
			vs, errs := outcomes(p.Map(ctx, upTo(100), mo...))
			equal(t, "took", time.Since(start), time.Second)
			equal(t, "items", len(vs), 1)
			is(t, "last", errs[0], errCause)
			cancel()
			close(g.open)
			p.Stop()
		}
	})
}

func TestMapUnderACtxThatHasEndedReadsNothing(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errCause)
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			var read atomic.Int64
			_, errs := outcomes(p.Map(ctx, endless(&read), mo...))
			equal(t, "items", len(errs), 1)
			is(t, "last", errs[0], errCause)
			equal(t, "read", read.Load(), 0)
		}
		p.Stop()
	})
}

func TestEndOfCtxAfterTheLastResultIsNotYielded(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		defer p.Stop()
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			ctx, cancel := context.WithCancel(t.Context())
			n := 0
			for _, err := range p.Map(ctx, upTo(10), mo...) {
				equal(t, "error", err, nil)
				if n++; n == 10 {
					cancel()
				}
			}
			equal(t, "items", n, 10)
			cancel()
		}
	})
}

func TestBodyThatEndsCtxMayLeaveOrGoOn(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		defer p.Stop()
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			ctx, cancel := context.WithCancelCause(t.Context())
			for range p.Map(ctx, upTo(100), mo...) {
				cancel(errCause)
				break // an item more would panic
			}
			equal(t, "cause", context.Cause(ctx), errCause)
			ctx, cancel = context.WithCancelCause(t.Context())
			defer cancel(nil)
			var last error
			n := 0
			for _, err := range p.Map(ctx, upTo(100), mo...) {
				cancel(errCause)
				last = err
				n++
			}
			equal(t, "items", n, 2)
			is(t, "last", last, errCause)
		}
	})
}

func TestMapOfNothingYieldsNothing(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			vs, _ := outcomes(p.Map(t.Context(), upTo(0), mo...))
			equal(t, "items", len(vs), 0)
		}
		p.Stop()
	})
}

func TestMistakesInACallOfMapAreItsOnlyItem(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq, task.System(newSystem()))
	defer p.Stop()
	ctx, in := t.Context(), upTo(3)
	var noCtx context.Context
	for name, seq := range map[string]iter.Seq2[int, error]{
		"nil context":                    p.Map(noCtx, in),
		"nil iterator":                   p.Map(ctx, nil),
		"Window(0): want at least 1":     p.Map(ctx, in, task.Window(0)),
		"Window(-2): want at least 1":    p.Map(ctx, in, task.Window(-2)),
		"OnProgress(nil)":                p.Map(ctx, in, task.OnProgress(nil)),
		"Total(-1)":                      p.Map(ctx, in, task.Total(-1)),
		"option 2 is nil":                p.Map(ctx, in, task.Unordered(), nil),
		"Window(0): want at least 1\nta": p.Map(ctx, in, task.Window(0), task.OnProgress(nil)),
	} {
		vs, errs := outcomes(seq)
		equal(t, "items", len(vs), 1)
		if errs[0] == nil || !containsText(errs[0], name) {
			t.Errorf("got %v, want an error about %q", errs[0], name)
		}
	}
	if _, err := p.MapSlice(ctx, []int{1}, task.Window(0), nil); !containsText(err, "Window(0)") || !containsText(err, "option 2 is nil") {
		t.Errorf("MapSlice: got %v", err)
	}
	if _, err := p.MapSlice(noCtx, []int{1}); !containsText(err, "nil context") {
		t.Errorf("MapSlice: got %v", err)
	}
}

func containsText(err error, text string) bool {
	return err != nil && len(text) > 0 && strings.Contains(err.Error(), text)
}

func TestWrongSettingOfAViewIsTheErrorOfEveryItem(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq, task.System(newSystem()))
	defer p.Stop()
	view := p.With(task.Timeout(-1))
	_, errs := outcomes(view.Map(t.Context(), upTo(3)))
	equal(t, "items", len(errs), 3)
	for _, err := range errs {
		if !containsText(err, "Timeout(-1ns)") {
			t.Errorf("got %v, want an error about Timeout", err)
		}
	}
	if _, err := view.MapSlice(t.Context(), []int{1, 2}); !containsText(err, "Timeout(-1ns)") {
		t.Errorf("MapSlice: got %v, want an error about Timeout", err)
	}
}

func TestSettingsOfAViewApplyToItsMap(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			select {
			case <-time.After(time.Duration(x) * time.Second):
				return x, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}, task.Workers(2), task.System(sys))
		defer p.Stop()
		odd := func(x int) error {
			if x%2 == 0 {
				return errBoom
			}
			return nil
		}
		_, errs := outcomes(p.With(task.Timeout(2*time.Second+1)).Map(t.Context(), upTo(4)))
		equal(t, "item 2", errs[2], nil)
		is(t, "item 3", errs[3], context.DeadlineExceeded)
		_, errs = outcomes(p.With(task.Until(odd)).Map(t.Context(), upTo(4)))
		is(t, "item 0", errs[0], errBoom)
		equal(t, "item 1", errs[1], nil)
		is(t, "item 2", errs[2], errBoom)
		equal(t, "item 3", errs[3], nil)
		_, err := p.With(task.Until(odd)).MapSlice(t.Context(), []int{1, 3, 2})
		is(t, "MapSlice", err, errBoom)
	})
}

// TestInputReadIsRunBeforeTheNextIsThere feeds Map from a channel, as a server
// does: what was read must not wait for company.
func TestInputReadIsRunBeforeTheNextIsThere(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		for _, quick := range []bool{false, true} {
			for _, mo := range [][]task.MapOption{nil, {task.Unordered()}, {task.Window(1000)}} {
				ran := make(chan int, 1)
				p := task.MustNew(func(_ context.Context, x int) (int, error) {
					if x >= 0 {
						ran <- x
					}
					return x, nil
				}, opts...)
				if quick {
					warm(t, p)
				}
				feed := make(chan int)
				var wg sync.WaitGroup
				wg.Go(func() {
					i := 0
					for v, err := range p.Map(t.Context(), received(feed), mo...) {
						equal(t, "value", v, i)
						equal(t, "error", err, nil)
						i++
					}
					equal(t, "items", i, 100)
				})
				for i := range 100 {
					start := time.Now()
					feed <- i
					equal(t, "ran", <-ran, i)
					if d := time.Since(start); d > 2*time.Millisecond {
						t.Fatalf("item %d was held for %v", i, d)
					}
					time.Sleep(time.Minute)
				}
				close(feed)
				wg.Wait()
				p.Stop()
			}
		}
	})
}

func received(c <-chan int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for x := range c {
			if !yield(x) {
				return
			}
		}
	}
}

// TestResultIsYieldedBeforeTheSecondNextInputIsRead says how long a result can
// wait: until the input that is being read is there.
func TestResultIsYieldedBeforeTheSecondNextInputIsRead(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}, {task.Window(1000)}} {
			p := task.MustNew(sq, opts...)
			warm(t, p)
			yielded := 0
			slow := func(yield func(int) bool) {
				for i := range 100 {
					time.Sleep(time.Second) // results of all that was read are there
					if yielded < i-1 {
						t.Errorf("input %d is read, but only %d results were yielded", i, yielded)
					}
					if !yield(i) {
						return
					}
				}
			}
			for range p.Map(t.Context(), slow, mo...) {
				yielded++
			}
			equal(t, "items", yielded, 100)
			p.Stop()
		}
	})
}

// TestSlowItemAmongQuickOnesHoldsNoOthersUp has one item in a thousand quick
// ones wait for an item after it, which other workers are free to run.
func TestItemsReadRunOnAllWorkersAtOnce(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		if kind == "inline" {
			return
		}
		var running, most atomic.Int64
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			n := running.Add(1)
			for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
				continue
			}
			time.Sleep(time.Second)
			running.Add(-1)
			return x, nil
		}, append(opts, task.Workers(3))...)
		start := time.Now()
		for range p.Map(t.Context(), upTo(30)) {
			continue
		}
		equal(t, "at once", most.Load(), 3)
		equal(t, "took", time.Since(start), 10*time.Second)
		p.Stop()
	})
}

func TestItemsThatTurnSlowAreSharedBetweenWorkers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			if x >= 1000 {
				time.Sleep(time.Second)
			}
			return x, nil
		}, task.Workers(4), task.System(sys))
		defer p.Stop()
		warm(t, p)
		start := time.Now()
		for range p.Map(t.Context(), upTo(1400), task.Window(400)) {
			continue
		}
		if d := time.Since(start); d > 150*time.Second {
			t.Errorf("400 items of a second on 4 workers took %v, want little more than 100 s", d)
		}
		in := make([]int, 1400)
		for i := range in {
			in[i] = i
		}
		warm(t, p)
		start = time.Now()
		if _, err := p.MapSlice(t.Context(), in); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > 115*time.Second {
			t.Errorf("400 elements of a second on 4 workers took %v, want little more than 100 s", d)
		}
	})
}

func TestMapOfEndlessInputIsLazy(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		defer p.Stop()
		var read atomic.Int64
		seq := p.Map(t.Context(), endless(&read))
		equal(t, "read before the loop", read.Load(), 0)
		n := 0
		for v := range seq {
			equal(t, "value", v, n*n)
			if n++; n == 200 {
				break
			}
		}
	})
}

func TestIteratorOfMapCanBeUsedAgain(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		defer p.Stop()
		seq := p.Map(t.Context(), upTo(50))
		for range 3 {
			vs, _ := outcomes(seq)
			equalSlices(t, "values", vs, squares(50))
		}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				vs, _ := outcomes(seq)
				equalSlices(t, "values", vs, squares(50))
			})
		}
		wg.Wait()
		// Inside of its own loop, too.
		for v := range seq {
			vs, _ := outcomes(seq)
			equalSlices(t, "values", vs, squares(50))
			if v == 9 {
				break
			}
		}
	})
}

func TestUnorderedYieldsResultsAsTheyFinish(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			time.Sleep(time.Duration(10-x) * time.Second)
			if x == 1 {
				return x, errBoom
			}
			return x, nil
		}, opts...)
		vs, errs := outcomes(p.Map(t.Context(), upTo(3), task.Unordered()))
		want := []int{2, 1, 0}
		if kind == "inline" {
			want = []int{0, 1, 2}
		}
		equalSlices(t, "values", vs, want)
		is(t, "item 1", errs[1], errBoom)
		p.Stop()
	})
}

func TestUnorderedYieldsEveryResultOnce(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		vs, _ := outcomes(p.Map(t.Context(), upTo(1000), task.Unordered(), task.Window(50)))
		slices.Sort(vs)
		equalSlices(t, "values", vs, squares(1000))
		p.Stop()
	})
}

func TestMapInsideAFunctionOfTheSamePoolDoesNotHang(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		if kind == "limited" {
			return // a function keeps its permit while it waits for others
		}
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}, {task.Window(1)}} {
			var p *task.Task[int, int]
			sum := func(ctx context.Context, depth int) (int, error) {
				if depth == 0 {
					return 1, nil
				}
				total := 0
				for v, err := range p.Map(ctx, func(yield func(int) bool) {
					for range 4 {
						if !yield(depth - 1) {
							return
						}
					}
				}, mo...) {
					if err != nil {
						return 0, err
					}
					total += v
				}
				return total, nil
			}
			o := opts
			if kind != "inline" {
				o = append(o, task.Workers(2))
			}
			p = task.MustNew(sum, o...)
			var fs []*task.Future[int]
			for range 4 {
				fs = append(fs, p.Submit(t.Context(), 3))
			}
			for _, f := range fs {
				equal(t, "sum", result(t, f), 64)
			}
			p.Stop()
		}
	})
}

// TestWaitingInsideAPoolAddsOneAtATime holds the promise of Workers: a function
// that waits for calls of its own pool lends them its place, and no more.
func TestWaitingInsideAPoolAddsOneAtATime(t *testing.T) {
	t.Parallel()
	waits := map[string]func(ctx context.Context, p *task.Task[int, int]) error{
		"Map": func(ctx context.Context, p *task.Task[int, int]) error {
			_, errs := outcomes(p.Map(ctx, upTo(20)))
			return errors.Join(errs...)
		},
		"Unordered": func(ctx context.Context, p *task.Task[int, int]) error {
			_, errs := outcomes(p.Map(ctx, upTo(20), task.Unordered()))
			return errors.Join(errs...)
		},
		"MapSlice": func(ctx context.Context, p *task.Task[int, int]) error {
			_, err := p.MapSlice(ctx, slices.Collect(upTo(20)))
			return err
		},
		"MapSlice watched": func(ctx context.Context, p *task.Task[int, int]) error {
			_, err := p.MapSlice(ctx, slices.Collect(upTo(20)), task.OnProgress(func(task.ProgressInfo) {}))
			return err
		},
		"Gather": func(ctx context.Context, p *task.Task[int, int]) error {
			_, err := task.Gather(ctx, submitAll(ctx, p, 20)...)
			return err
		},
		"Settle": func(ctx context.Context, p *task.Task[int, int]) error {
			_, err := task.Settle(ctx, submitAll(ctx, p, 20)...)
			return err
		},
		"AsCompleted": func(ctx context.Context, p *task.Task[int, int]) error {
			for _, r := range task.AsCompleted(ctx, submitAll(ctx, p, 20)...) {
				if r.Err != nil {
					return r.Err
				}
			}
			return nil
		},
	}
	for name, wait := range waits {
		for _, workers := range []int{1, 2} {
			t.Run(fmt.Sprint(name, workers), func(t *testing.T) {
				bubble(t, func(t *testing.T, sys *actor.System) {
					var running, most atomic.Int64
					var p *task.Task[int, int]
					p = task.MustNew(func(ctx context.Context, x int) (int, error) {
						if x < 0 {
							return 0, wait(ctx, p)
						}
						n := running.Add(1)
						for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
							continue
						}
						time.Sleep(time.Second)
						running.Add(-1)
						return x, nil
					}, task.Workers(workers), task.System(sys))
					if _, err := p.Call(t.Context(), -1); err != nil {
						t.Error(err)
					}
					if n := int(most.Load()); n > workers {
						t.Errorf("%d functions ran at once beside the one that waits, want at most %d", n, workers)
					}
					p.Stop()
				})
			})
		}
	}
}

func submitAll(ctx context.Context, p *task.Task[int, int], n int) (fs []*task.Future[int]) {
	for i := range n {
		fs = append(fs, p.Submit(ctx, i))
	}
	return fs
}

func TestStopDuringMapFailsTheRestInPlace(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		if kind == "inline" {
			return // there Stop comes between two items: see the next test
		}
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			g := newGate()
			p := task.MustNew(func(ctx context.Context, x int) (int, error) {
				if x < 5 {
					return x, nil
				}
				return g.pass(ctx, x)
			}, append(opts, task.Workers(3))...)
			var wg sync.WaitGroup
			wg.Go(func() {
				vs, errs := outcomes(p.Map(t.Context(), upTo(100), mo...))
				equal(t, "items", len(vs), 100)
				running, good := 0, 0
				for i, err := range errs {
					if err == nil {
						good++
						continue
					}
					is(t, fmt.Sprint("item ", i), err, task.ErrStopped)
					if errors.Is(err, context.Canceled) {
						running++
					}
				}
				equal(t, "items that ended before", good, 5)
				equal(t, "items that ran", running, 3)
			})
			synctest.Wait()
			p.Stop()
			wg.Wait()
			equal(t, "ran", len(g.ran()), 3)
		}
	})
}

func TestMapOfAStoppedTaskFailsEveryItem(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			p := task.MustNew(sq, opts...)
			n := 0
			for _, err := range p.Map(t.Context(), upTo(100), mo...) {
				if n == 0 {
					equal(t, "first", err, nil)
					p.Stop()
				}
				n++
				if n > 50 { // more than the window
					is(t, "late item", err, task.ErrStopped)
				}
			}
			equal(t, "items", n, 100)
			_, errs := outcomes(p.Map(t.Context(), upTo(100), mo...))
			equal(t, "items", len(errs), 100)
			for _, err := range errs {
				is(t, "item after Stop", err, task.ErrStopped)
			}
			_, err := p.MapSlice(t.Context(), []int{1})
			is(t, "MapSlice after Stop", err, task.ErrStopped)
		}
	})
}

func TestStopDuringMapOfQuickItemsLosesNone(t *testing.T) {
	t.Parallel()
	for round := range 60 {
		p := task.MustNew(sq, task.Workers(3), task.System(newSystem()))
		ctx := context.Background()
		if round%2 == 0 {
			ctx = t.Context()
		}
		if round%3 == 0 {
			warm(t, p)
		}
		var wg sync.WaitGroup
		at := rand.IntN(3000)
		mid := make(chan struct{})
		wg.Go(func() { <-mid; p.Stop() })
		i, failing := 0, false
		for v, err := range p.Map(ctx, upTo(4000), task.Window(64)) {
			switch {
			case err == nil && v != i*i:
				t.Fatalf("item %d: got %d", i, v)
			case err != nil:
				is(t, "item", err, task.ErrStopped)
				failing = true
			}
			if i == at {
				close(mid)
			}
			i++
		}
		equal(t, "items", i, 4000)
		wg.Wait()
		if s := p.Stats(); s.Submitted != s.Finished+s.Cancelled {
			t.Errorf("submitted %d, finished %d, cancelled %d", s.Submitted, s.Finished, s.Cancelled)
		}
		_ = failing
	}
}

func TestStopDoesNotWaitForFunctionsOfAMapThatIgnoreIt(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.ignore, task.Workers(2), task.StopGrace(time.Second), task.System(sys))
		var wg sync.WaitGroup
		start := time.Now()
		wg.Go(func() {
			_, errs := outcomes(p.Map(t.Context(), upTo(20)))
			equal(t, "items", len(errs), 20)
			equal(t, "Map took", time.Since(start), time.Second)
			for _, err := range errs {
				is(t, "item", err, task.ErrStopped)
			}
		})
		time.Sleep(time.Second)
		r := p.Stop()
		equal(t, "Stop took", time.Since(start), 2*time.Second)
		equal(t, "Abandoned", r.Abandoned, 2)
		equal(t, "Cancelled", r.Cancelled, 2)
		wg.Wait()
		close(g.open)
	})
}

func TestDrainDuringMapFinishesWhatWasBegun(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		if kind == "inline" {
			return
		}
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			time.Sleep(time.Second)
			return x, nil
		}, opts...)
		var wg sync.WaitGroup
		wg.Go(func() {
			n := 0
			var last error
			for v, err := range p.Map(t.Context(), upTo(100)) {
				if err == nil {
					equal(t, "value", v, n)
				} else {
					is(t, "item", err, task.ErrStopped)
				}
				last = err
				n++
			}
			equal(t, "items", n, 100)
			is(t, "last", last, task.ErrStopped)
		})
		time.Sleep(1500 * time.Millisecond)
		start := time.Now()
		if _, err := p.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > 10*time.Second { // it would take 33 s to the end of the input
			t.Errorf("Drain took %v", d)
		}
		wg.Wait()
	})
}

func TestResizeDuringMapTakesEffect(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			time.Sleep(time.Second)
			return x, nil
		}, task.Workers(1), task.System(sys))
		defer p.Stop()
		start := time.Now()
		i := 0
		for v := range p.Map(t.Context(), upTo(100)) {
			equal(t, "value", v, i)
			if i++; i == 10 {
				if err := p.Resize(10); err != nil {
					t.Error(err)
				}
			}
		}
		if d := time.Since(start); d < 18*time.Second || d > 22*time.Second {
			t.Errorf("10 items on one worker and 90 on ten took %v, want 19 s or little more", d)
		}
	})
}

func TestOtherCallsGetThroughWhileAMapRuns(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			if x >= 0 {
				time.Sleep(10 * time.Millisecond)
			}
			return x, nil
		}, task.Workers(2), task.System(sys))
		ctx, cancel := context.WithCancel(t.Context())
		var read atomic.Int64
		var wg sync.WaitGroup
		wg.Go(func() {
			for range p.Map(ctx, endless(&read)) {
				continue
			}
		})
		wg.Go(func() {
			_, _ = p.MapSlice(ctx, make([]int, 100_000))
		})
		time.Sleep(time.Second)
		for range 20 {
			start := time.Now()
			if _, err := p.Call(t.Context(), -1); err != nil {
				t.Error(err)
			}
			if d := time.Since(start); d > 100*time.Millisecond {
				t.Errorf("a call waited %v", d)
			}
		}
		cancel()
		wg.Wait()
		p.Stop()
	})
}

func TestCtxOfAnItemEndsWithTheItem(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		var ends atomic.Int64
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if ctx.Err() != nil {
				t.Errorf("item %d: its ctx has ended before it began", x)
			}
			if x%3 == 0 {
				context.AfterFunc(ctx, func() { ends.Add(1) })
			}
			return x, nil
		}, opts...)
		for _, ctx := range []context.Context{t.Context(), context.Background()} {
			ends.Store(0)
			n := 0
			for range p.Map(ctx, upTo(300)) {
				if n++; n == 200 {
					synctest.Wait()
					if e := ends.Load(); e < 66 { // of 200, a third
						t.Errorf("the ctx of %d items has ended when 200 are through, want at least 66", e)
					}
				}
			}
			synctest.Wait()
			equal(t, "items whose ctx has ended", ends.Load(), 100)
			ends.Store(0)
			if _, err := p.MapSlice(ctx, slices.Collect(upTo(300))); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			equal(t, "elements whose ctx has ended", ends.Load(), 100)
		}
		p.Stop()
	})
}

func TestInfoTellsItemsOfAMapApart(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		var mu sync.Mutex
		seen := map[uint64]int{}
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			time.Sleep(time.Millisecond)
			i := task.Info(ctx)
			mu.Lock()
			defer mu.Unlock()
			seen[i.Call]++
			equal(t, "Attempt", i.Attempt, 1)
			if i.Worker == "" || i.Task == "" {
				t.Errorf("got %+v", i)
			}
			return x, nil
		}, opts...)
		for range p.Map(t.Context(), upTo(100)) {
			continue
		}
		if _, err := p.MapSlice(t.Context(), make([]int, 100)); err != nil {
			t.Error(err)
		}
		p.Stop()
		equal(t, "numbers", len(seen), 200)
		for n := range seen {
			if n < 1 || n > 200 {
				t.Errorf("call number %d of 200", n)
			}
		}
	})
}

func TestValuesOfCtxReachTheItemsOfAMap(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		type key struct{}
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			v, _ := ctx.Value(key{}).(int)
			return x + v, nil
		}, opts...)
		for _, base := range []context.Context{t.Context(), context.Background()} {
			ctx := context.WithValue(base, key{}, 1000)
			for i := range 2 {
				if i == 1 {
					warm(t, p)
				}
				sum := 0
				for v := range p.Map(ctx, upTo(100)) {
					sum += v
				}
				equal(t, "sum", sum, 100*1000+4950)
			}
		}
		p.Stop()
	})
}

func TestMapKeepsTheOrderOfOneWorker(t *testing.T) {
	t.Parallel()
	for _, window := range []int{1, 16, 300} {
		for _, ctx := range []context.Context{t.Context(), context.Background()} {
			var ran []int
			var running atomic.Int32
			p := task.MustNew(func(_ context.Context, x int) (int, error) {
				if running.Add(1) != 1 {
					t.Error("one worker runs two items")
				}
				if x >= 0 {
					ran = append(ran, x)
				}
				running.Add(-1)
				return x, nil
			}, task.Workers(1), task.System(newSystem()))
			warm(t, p)
			for range p.Map(ctx, upTo(3000), task.Window(window)) {
				continue
			}
			equalSlices(t, "order", ran, slices.Collect(upTo(3000)))
			p.Stop()
		}
	}
}

func TestNoItemOfAMapIsRunTwice(t *testing.T) {
	t.Parallel()
	const n = 20_000
	p := task.MustNew(func(_ context.Context, x *atomic.Int32) (int, error) {
		if x.Add(1); rand.IntN(100) == 0 {
			runtime.Goexit()
		}
		return 0, nil
	}, task.Workers(4), task.System(newSystem()))
	items := make([]atomic.Int32, n)
	for range p.Map(t.Context(), func(yield func(*atomic.Int32) bool) {
		for i := range items {
			if !yield(&items[i]) {
				return
			}
		}
	}, task.Window(100)) {
		continue
	}
	for i := range items {
		if got := items[i].Load(); got != 1 {
			t.Fatalf("item %d ran %d times", i, got)
		}
	}
	p.Stop()
}

// TestMapTakesConstantMemory is the scaled form of ten million items.
func TestMapTakesConstantMemory(t *testing.T) {
	n := 1_000_000
	if testing.Short() || raceEnabled {
		n = 200_000
	}
	for _, ctx := range []context.Context{t.Context(), context.Background()} {
		for _, opts := range [][]task.MapOption{nil, {task.Window(1000)}, {task.Unordered()}} {
			p := task.MustNew(func(_ context.Context, x [64]byte) ([64]byte, error) { return x, nil },
				task.Workers(4), task.System(newSystem()))
			in := func(yield func([64]byte) bool) {
				for i := range n {
					if !yield([64]byte{0: byte(i)}) {
						return
					}
				}
			}
			var before, now runtime.MemStats
			i := 0
			for v, err := range p.Map(ctx, in, opts...) {
				if v[0] != byte(i) && len(opts) < 1 || err != nil {
					t.Fatalf("item %d: got %v, %v", i, v[0], err)
				}
				switch i++; i {
				case n / 10:
					runtime.GC()
					runtime.ReadMemStats(&before)
				case n - 1:
					runtime.GC()
					runtime.ReadMemStats(&now)
				}
			}
			equal(t, "items", i, n)
			if grown := int64(now.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
				t.Errorf("the heap has grown by %d bytes between item %d and %d", grown, n/10, n)
			}
			p.Stop()
		}
	}
}

func TestMapDoesNotKeepWhatItHasYielded(t *testing.T) {
	t.Parallel()
	var alive atomic.Int64
	p := task.MustNew(func(_ context.Context, x *[1000]byte) (*[1000]byte, error) { return x, nil },
		task.Workers(2), task.System(newSystem()))
	defer p.Stop()
	n := 0
	for range p.Map(t.Context(), func(yield func(*[1000]byte) bool) {
		for range 5000 {
			x := new([1000]byte)
			alive.Add(1)
			runtime.AddCleanup(x, func(int) { alive.Add(-1) }, 0)
			if !yield(x) {
				return
			}
		}
	}) {
		if n++; n%1000 == 0 {
			for range 100 { // cleanups run on a goroutine of the runtime's
				runtime.GC()
				if alive.Load() < 100 {
					break
				}
				runtime.Gosched()
			}
			if a := alive.Load(); a > 100 {
				t.Errorf("%d arguments are alive after %d items", a, n)
			}
		}
	}
}
