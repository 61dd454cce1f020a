package task_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

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
