package main

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// bigPool is the size of the pools whose life is measured.
const bigPool = 1000

// poolRows are the rows about a pool itself: its life, and what it holds when
// there is nothing to do.
func poolRows() []harness.Row {
	return []harness.Row{
		{
			Name:        "pool of 1000: make, run 1000, stop",
			Unit:        "ms",
			Goals:       []harness.Goal{harness.AtMost(1, "ms")},
			Competitors: lives(),
		},
		{
			Name:        "pool of 1000, idle: memory of a worker",
			Unit:        "B",
			Goals:       []harness.Goal{harness.AtMost(1024, "B")},
			Competitors: idlers(func(d usage) float64 { return d.bytes / bigPool }),
		},
		{
			Name:        "pool of 1000, idle: goroutines",
			Unit:        "count",
			Goals:       []harness.Goal{harness.AtMost(0, "")},
			Competitors: idlers(func(d usage) float64 { return d.goroutines }),
		},
	}
}

// lives has each peer make a pool, use it once and stop it, time and again.
func lives() []harness.Competitor {
	const pools = 50
	return competitors(append(limitedPeers(), troupeSubmit()...), func(p peer) harness.Run {
		if p.batch == nil {
			return nil
		}
		return func(ctx context.Context, m *harness.Meter) error {
			in := inputs(bigPool)
			if err := live(ctx, p, in); err != nil { // what is made once per process is no pool's
				return err
			}
			n := m.Scale(pools)
			err := m.Time(n, func() error {
				for range n {
					if err := live(ctx, p, in); err != nil {
						return err
					}
				}
				return nil
			})
			m.Report(float64(m.PerOp()) / float64(time.Millisecond))
			return err
		}
	})
}

func live(ctx context.Context, p peer, in []int) error {
	b := p.batch(tiny, bigPool)
	defer b.Stop()
	out, err := submit(ctx, b, in)
	if err != nil {
		return err
	}
	return checkSquares(in, out)
}

// idlers compares what a pool holds after all its workers were there.
func idlers(measure func(usage) float64) []harness.Competitor {
	idle := append(named(baseline, "ants", "pond", "gammazero", "protoactor"), troupeSubmit()...)
	return competitors(idle, func(p peer) harness.Run {
		return func(ctx context.Context, m *harness.Meter) error {
			if err := live(ctx, p, inputs(bigPool)); err != nil { // nor a worker's
				return err
			}
			before := settle(0)
			everyone := newBarrier(bigPool)
			b := p.batch(everyone.call, bigPool)
			defer b.Stop()
			if err := fill(ctx, b); err != nil {
				return err
			}
			after := settle(before.goroutines)
			m.Report(measure(after.minus(before)))
			return nil
		}
	})
}

// fill makes a pool of bigPool start all its workers: through Ready if it has
// that, else by as many calls that wait for each other.
func fill(ctx context.Context, b batcher) error {
	if r, ok := b.(interface{ Ready(context.Context) error }); ok {
		return r.Ready(ctx)
	}
	_, err := submit(ctx, b, inputs(bigPool))
	return err
}

// barrier is passed by all its calls at once.
type barrier struct {
	missing atomic.Int64
	open    chan struct{}
}

func newBarrier(n int64) *barrier {
	b := &barrier{open: make(chan struct{})}
	b.missing.Store(n)
	return b
}

func (b *barrier) call(ctx context.Context, x int) (int, error) {
	if b.missing.Add(-1) == 0 {
		close(b.open)
	}
	select {
	case <-b.open:
		return x, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("%d calls are missing: %w", b.missing.Load(), context.Cause(ctx))
	}
}

// usage is what a process holds.
type usage struct {
	bytes      float64 // live objects and stacks
	goroutines float64
}

// minus returns what u holds above other; collections leave less at times.
func (u usage) minus(other usage) usage {
	return usage{
		bytes:      max(0, u.bytes-other.bytes),
		goroutines: max(0, u.goroutines-other.goroutines),
	}
}

// settle measures once there are at most so many goroutines, or after a tenth
// of a second: the workers of a pool that lets them go need a moment to leave.
func settle(goroutines float64) usage {
	deadline := time.Now().Add(100 * time.Millisecond)
	for float64(runtime.NumGoroutine()) > goroutines && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	return measureUsage()
}

func measureUsage() usage {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return usage{
		bytes:      float64(s.HeapAlloc) + float64(s.StackInuse),
		goroutines: float64(runtime.NumGoroutine()),
	}
}
