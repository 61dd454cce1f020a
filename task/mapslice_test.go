package task_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// watched makes MapSlice run each element as a call.
func watched() task.MapOption { return task.OnProgress(func(task.ProgressInfo) {}) }

// eachSlice runs body for every kind of pool and, where it makes a difference,
// with and without somebody who watches.
func eachSlice(t *testing.T, body func(t *testing.T, opts []task.Option, mo []task.MapOption, kind string)) {
	t.Helper()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		body(t, opts, nil, kind)
		if kind == "plain" {
			body(t, opts, []task.MapOption{watched()}, kind)
		}
	})
}

func TestMapSliceReturnsAllResultsInOrder(t *testing.T) {
	t.Parallel()
	eachSlice(t, func(t *testing.T, opts []task.Option, mo []task.MapOption, kind string) {
		p := task.MustNew(sq, opts...)
		total := uint64(0)
		for _, n := range []int{1, 2, 3, 17, 100, 1000} {
			for _, o := range [][]task.MapOption{nil, {task.Window(2)}, {task.Unordered()}} {
				out, err := p.MapSlice(t.Context(), slices.Collect(upTo(n)), append(o, mo...)...)
				equal(t, "error", err, nil)
				equalSlices(t, fmt.Sprint(n, " elements"), out, squares(n))
				total += uint64(n)
			}
		}
		s := p.Stats()
		equal(t, "Submitted", s.Submitted, total)
		equal(t, "Finished", s.Finished, total)
		given := uint64(0)
		for _, w := range s.PerWorker {
			given += w.Total
		}
		switch kind {
		case "inline", "on demand", "no cap": // there the workers are gone
		default:
			equal(t, "Total of all workers", given, total)
		}
		p.Stop()
	})
}

func TestMapSliceOfManyQuickElements(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq, task.Workers(4), task.System(newSystem()))
	defer p.Stop()
	for range 3 {
		out, err := p.MapSlice(t.Context(), slices.Collect(upTo(200_000)))
		equal(t, "error", err, nil)
		equalSlices(t, "results", out, squares(200_000))
	}
	s := p.Stats()
	equal(t, "Submitted", s.Submitted, 600_000)
	equal(t, "Finished", s.Finished, 600_000)
}

func TestMapSliceOfNothingIsEmpty(t *testing.T) {
	t.Parallel()
	eachSlice(t, func(t *testing.T, opts []task.Option, mo []task.MapOption, _ string) {
		p := task.MustNew(sq, opts...)
		for _, in := range [][]int{nil, {}} {
			out, err := p.MapSlice(t.Context(), in, mo...)
			equal(t, "error", err, nil)
			if out == nil || len(out) != 0 {
				t.Errorf("got %#v, want an empty slice", out)
			}
		}
		p.Stop()
	})
}

func TestMapSliceRunsEachElementOnce(t *testing.T) {
	t.Parallel()
	eachSlice(t, func(t *testing.T, opts []task.Option, mo []task.MapOption, _ string) {
		const n = 2000
		ran := make([]atomic.Int32, n)
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			ran[x].Add(1)
			return 0, nil
		}, opts...)
		_, err := p.MapSlice(t.Context(), slices.Collect(upTo(n)), mo...)
		equal(t, "error", err, nil)
		for i := range ran {
			if got := ran[i].Load(); got != 1 {
				t.Fatalf("element %d ran %d times", i, got)
			}
		}
		p.Stop()
	})
}

// TestFirstFailureInTimeIsReturnedAtOnce has element 0 ignore its ctx, element
// 1 fail late and element 2 fail first.
func TestFirstFailureInTimeIsReturnedAtOnce(t *testing.T) {
	t.Parallel()
	eachSlice(t, func(t *testing.T, opts []task.Option, mo []task.MapOption, kind string) {
		if kind == "inline" {
			return
		}
		var begun, saw atomic.Int64
		g := newGate()
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			begun.Add(1)
			switch x {
			case 0:
				return g.ignore(ctx, x)
			case 1:
				select {
				case <-time.After(time.Minute):
					return 0, errCause
				case <-ctx.Done():
					saw.Add(1)
					is(t, "cause that the others see", context.Cause(ctx), errBoom)
					return 0, ctx.Err()
				}
			case 2:
				time.Sleep(time.Second)
				return 0, errBoom
			}
			time.Sleep(time.Hour)
			return x, nil
		}, opts...)
		start := time.Now()
		out, err := p.MapSlice(t.Context(), slices.Collect(upTo(100)), append(mo, task.Window(3))...)
		is(t, "error", err, errBoom)
		equal(t, "took", time.Since(start), time.Second)
		if out != nil {
			t.Error("there are results beside the error")
		}
		synctest.Wait()
		equal(t, "functions that saw their ctx end", saw.Load(), 1)
		was := begun.Load()
		equal(t, "begun", was, 3)
		close(g.open)
		synctest.Wait()
		equal(t, "begun later", begun.Load(), was)
		s := p.Stats()
		equal(t, "Failed", s.Failed, 1)
		if ended := s.Finished + s.Failed + s.Panicked + s.Cancelled + s.TimedOut; s.Submitted != ended {
			t.Errorf("Submitted %d, ended %d: %+v", s.Submitted, ended, s)
		}
		p.Stop()
	})
}

func TestFailureAmongQuickElementsStopsTheRest(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"error", "panic", "Goexit"} {
		for range 20 {
			var late atomic.Int64
			var returned atomic.Bool
			p := task.MustNew(func(_ context.Context, x int) (int, error) {
				if returned.Load() {
					late.Add(1)
				}
				if x == 5000 {
					switch how {
					case "error":
						return 0, errBoom
					case "panic":
						panic(errBoom)
					case "Goexit":
						runtime.Goexit()
					}
				}
				return x, nil
			}, task.Workers(4), task.System(newSystem()))
			in := slices.Collect(upTo(20_000))
			_, err := p.MapSlice(t.Context(), in)
			returned.Store(true)
			clear(in) // the race detector sees who still reads
			switch how {
			case "error", "panic":
				is(t, how, err, errBoom)
			case "Goexit":
				is(t, how, err, task.ErrGoexit)
			}
			p.Stop()
			if late.Load() > 4 {
				t.Errorf("%d elements began after the failure was returned", late.Load())
			}
			s := p.Stats()
			if ended := s.Finished + s.Failed + s.Panicked + s.Cancelled; s.Submitted != 20_000 || ended != 20_000 {
				t.Errorf("%s: submitted %d, ended %d: %+v", how, s.Submitted, ended, s)
			}
			equal(t, how+": Failed and Panicked", s.Failed+s.Panicked, 1)
		}
	}
}

func TestPanicOfAnElementIsTheErrorOfMapSlice(t *testing.T) {
	t.Parallel()
	eachSlice(t, func(t *testing.T, opts []task.Option, mo []task.MapOption, kind string) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			switch x {
			case 7:
				panic("seven")
			case 1007:
				if kind != "inline" { // it would end this goroutine
					runtime.Goexit()
				}
				return 0, task.ErrGoexit
			}
			return x, nil
		}, opts...)
		_, err := p.MapSlice(t.Context(), slices.Collect(upTo(100)), mo...)
		equal(t, "value", as[*task.PanicError](t, "error", err).Value, any("seven"))
		equal(t, "task", as[*task.PanicError](t, "error", err).Task, p.Name())
		_, err = p.MapSlice(t.Context(), []int{1, 1007, 2}, mo...)
		is(t, "error", err, task.ErrGoexit)
		out, err := p.MapSlice(t.Context(), []int{1, 2}, mo...)
		equal(t, "error", err, nil)
		equalSlices(t, "later results", out, []int{1, 2})
		p.Stop()
	})
}

func TestEndOfCtxEndsMapSliceAtOnceWithItsCause(t *testing.T) {
	t.Parallel()
	eachSlice(t, func(t *testing.T, opts []task.Option, mo []task.MapOption, kind string) {
		for _, obeys := range []bool{true, false} {
			if kind == "inline" && !obeys {
				continue
			}
			var begun atomic.Int64
			g := newGate()
			p := task.MustNew(func(ctx context.Context, x int) (int, error) {
				begun.Add(1)
				if obeys {
					return g.pass(ctx, x)
				}
				return g.ignore(ctx, x)
			}, opts...)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
			defer cancel()
			start := time.Now()
			_, err := p.MapSlice(ctx, slices.Collect(upTo(100)), mo...)
			is(t, "error", err, errCause)
			equal(t, "took", time.Since(start), time.Second)
			was := begun.Load()
			close(g.open)
			synctest.Wait()
			equal(t, "begun after the end", begun.Load(), was)
			s := p.Stats()
			equal(t, "Finished", s.Finished, 0)
			equal(t, "Failed", s.Failed, 0)
			equal(t, "Cancelled", s.Cancelled, s.Submitted)
			_, err = p.MapSlice(ctx, []int{1}, mo...)
			is(t, "error under a ctx that has ended", err, errCause)
			equal(t, "begun", begun.Load(), was)
			p.Stop()
		}
	})
}

func TestStopEndsMapSlice(t *testing.T) {
	t.Parallel()
	eachSlice(t, func(t *testing.T, opts []task.Option, mo []task.MapOption, kind string) {
		if kind == "inline" {
			return
		}
		g := newGate()
		p := task.MustNew(g.pass, opts...)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := p.MapSlice(t.Context(), slices.Collect(upTo(100)), mo...)
			is(t, "error", err, task.ErrStopped)
		})
		synctest.Wait()
		p.Stop()
		wg.Wait()
		s := p.Stats()
		if ended := s.Finished + s.Failed + s.Cancelled; s.Submitted != ended {
			t.Errorf("Submitted %d, ended %d: %+v", s.Submitted, ended, s)
		}
	})
}

func TestStopDuringMapSliceOfQuickElements(t *testing.T) {
	t.Parallel()
	for range 30 {
		p := task.MustNew(sq, task.Workers(3), task.System(newSystem()))
		var wg sync.WaitGroup
		in := slices.Collect(upTo(100_000))
		wg.Go(func() {
			out, err := p.MapSlice(t.Context(), in)
			clear(in)
			if err == nil {
				equal(t, "results", len(out), 100_000)
				return
			}
			is(t, "error", err, task.ErrStopped)
		})
		runtime.Gosched()
		p.Stop()
		wg.Wait()
		if s := p.Stats(); s.Submitted != s.Finished+s.Cancelled {
			t.Errorf("Submitted %d, Finished %d, Cancelled %d", s.Submitted, s.Finished, s.Cancelled)
		}
	}
}

func TestDrainLetsMapSliceFinish(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			time.Sleep(time.Second)
			return x, nil
		}, task.Workers(3), task.System(sys))
		var wg sync.WaitGroup
		wg.Go(func() {
			out, err := p.MapSlice(t.Context(), slices.Collect(upTo(100)))
			equal(t, "error", err, nil)
			equal(t, "results", len(out), 100)
		})
		time.Sleep(1500 * time.Millisecond)
		_, err := p.Drain(t.Context())
		equal(t, "error of Drain", err, nil)
		wg.Wait()
	})
}

func TestMapSliceInsideAFunctionOfTheSamePoolDoesNotHang(t *testing.T) {
	t.Parallel()
	eachSlice(t, func(t *testing.T, opts []task.Option, mo []task.MapOption, kind string) {
		if kind == "limited" {
			return // a function keeps its permit while it waits for others
		}
		var p *task.Task[int, int]
		p = task.MustNew(func(ctx context.Context, depth int) (int, error) {
			if depth == 0 {
				time.Sleep(time.Millisecond)
				return 1, nil
			}
			out, err := p.MapSlice(ctx, []int{depth - 1, depth - 1, depth - 1, depth - 1}, mo...)
			sum := 0
			for _, v := range out {
				sum += v
			}
			return sum, err
		}, opts...)
		if kind != "inline" {
			equal(t, "Resize", p.Resize(2), nil)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				v, err := p.Call(t.Context(), 3)
				equal(t, "sum", v, 64)
				equal(t, "error", err, nil)
			})
		}
		wg.Wait()
		p.Stop()
	})
}

// TestMapSliceDoesNotWaitForWorkersItDoesNotNeed keeps all workers but one
// busy with something else.
func TestMapSliceDoesNotWaitForWorkersItDoesNotNeed(t *testing.T) {
	t.Parallel()
	eachSlice(t, func(t *testing.T, opts []task.Option, mo []task.MapOption, kind string) {
		switch kind {
		case "inline", "no cap", "round robin", "least total":
			return
		}
		g := newGate()
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x < 0 {
				return g.pass(ctx, x)
			}
			return x, nil
		}, opts...)
		busy := []*task.Future[int]{p.Submit(t.Context(), -1), p.Submit(t.Context(), -2)}
		synctest.Wait()
		start := time.Now()
		out, err := p.MapSlice(t.Context(), slices.Collect(upTo(100)), mo...)
		equal(t, "error", err, nil)
		equalSlices(t, "results", out, slices.Collect(upTo(100)))
		if d := time.Since(start); d > time.Millisecond {
			t.Errorf("took %v", d)
		}
		synctest.Wait()
		equal(t, "Queued", p.Stats().Queued, 0)
		close(g.open)
		for _, f := range busy {
			result(t, f)
		}
		p.Stop()
	})
}

func TestWindowBoundsWhatMapSliceRunsAtOnce(t *testing.T) {
	t.Parallel()
	eachSlice(t, func(t *testing.T, opts []task.Option, mo []task.MapOption, kind string) {
		if kind == "inline" {
			return
		}
		for _, tc := range []struct{ window, want int }{{1, 1}, {2, 2}, {3, 3}} {
			var running, most atomic.Int64
			p := task.MustNew(func(_ context.Context, x int) (int, error) {
				n := running.Add(1)
				for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
					continue
				}
				time.Sleep(time.Second)
				running.Add(-1)
				return x, nil
			}, opts...)
			_, err := p.MapSlice(t.Context(), slices.Collect(upTo(20)), append(mo, task.Window(tc.window))...)
			equal(t, "error", err, nil)
			equal(t, "at once", int(most.Load()), tc.want)
			p.Stop()
		}
	})
}

func TestElementBehindASlowOneIsTakenByAnotherWorker(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var begun atomic.Int64
		g := newGate()
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			begun.Add(1)
			if x == 5000 {
				return g.ignore(ctx, x)
			}
			return x, nil
		}, task.Workers(2), task.System(sys))
		warm(t, p)
		begun.Store(0)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := p.MapSlice(t.Context(), slices.Collect(upTo(20_000)))
			equal(t, "error", err, nil)
		})
		synctest.Wait()
		if n := begun.Load(); n < 20_000-10 {
			t.Errorf("%d of 20000 elements have begun while one is stuck, want nearly all", n)
		}
		close(g.open)
		wg.Wait()
		p.Stop()
	})
}

func TestManyMapSlicesShareThePool(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq, task.Workers(3), task.System(newSystem()))
	defer p.Stop()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				out, err := p.MapSlice(t.Context(), slices.Collect(upTo(1000+i)))
				equal(t, "error", err, nil)
				equalSlices(t, "results", out, squares(1000+i))
			}
		})
	}
	wg.Wait()
	s := p.Stats()
	equal(t, "Submitted", s.Submitted, 10*(8*1000+28))
	equal(t, "Finished", s.Finished, 10*(8*1000+28))
}

func TestMapSliceCanReturnErrorsThatAreJoined(t *testing.T) {
	t.Parallel()
	p := task.MustNew(func(_ context.Context, x int) (int, error) {
		return 0, errors.Join(errBoom, fmt.Errorf("element %d", x))
	}, task.System(newSystem()))
	defer p.Stop()
	_, err := p.MapSlice(t.Context(), []int{1})
	is(t, "error", err, errBoom)
}
