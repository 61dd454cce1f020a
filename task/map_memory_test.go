package task_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/troupe-go/troupe/task"
)

// TestMapTakesConstantMemory is the scaled form of ten million items.
func TestMapTakesConstantMemory(t *testing.T) {
	n := 1_000_000
	if testing.Short() || raceEnabled {
		n = 50_000
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
