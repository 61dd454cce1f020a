package task_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

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
	for round := range 30 {
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
