package task_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
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

const warmCalls = 300

// warm makes the pool know that its calls are quick.
func warm(t *testing.T, p *task.Task[int, int]) {
	t.Helper()
	for range warmCalls {
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
		const n = 200
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
				const n = 5_000
				for v, err := range p.Map(ctx, upTo(n), task.Window(window)) {
					if v != i*i || err != nil {
						t.Fatalf("item %d: got %d, %v", i, v, err)
					}
					i++
				}
				equal(t, "items", i, n)
				s := p.Stats()
				equal(t, "Submitted", s.Submitted, n)
				equal(t, "Finished", s.Finished, n)
			})
		}
	}
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
		vs, _ := outcomes(p.Map(t.Context(), upTo(300), task.Unordered(), task.Window(50)))
		slices.Sort(vs)
		equalSlices(t, "values", vs, squares(300))
		p.Stop()
	})
}
