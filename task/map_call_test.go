package task_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/task"
)

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
					// A third of 200, without the first that each worker has had.
					if e := ends.Load(); e < 66-3 {
						t.Errorf("the ctx of %d items has ended when 200 are through, want at least 63", e)
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
