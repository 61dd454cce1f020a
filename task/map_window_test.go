package task_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

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
					if yielded++; yielded == 1500 {
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
					equal(t, "items", i, 30)
				})
				for i := range 30 {
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
