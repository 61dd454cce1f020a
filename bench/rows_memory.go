package main

import (
	"context"
	"fmt"
	"iter"
	"runtime/metrics"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// memoryRows are the rows about memory that grows with the work, or must not.
func memoryRows() []harness.Row {
	return []harness.Row{
		{
			Name:        "memory of a queued call",
			Unit:        "B",
			Goals:       []harness.Goal{harness.AtMost(150, "B")},
			Competitors: queues(),
		},
		{
			Name:        "10,000,000 items through Map: highest heap",
			Unit:        "MiB",
			Goals:       []harness.Goal{harness.AtMost(16, "MiB")}, // constant: at 16 bytes an item it would be 160
			Competitors: streams(),
		},
	}
}

// queues has each peer whose Submit waits for no worker queue calls behind one
// that is blocked.
func queues() []harness.Competitor {
	return competitors(append(peers(), troupeSubmit()...), func(p peer) harness.Run {
		if p.queue == nil {
			return nil
		}
		calls := 1_000_000
		if p.name == "goroutine each" {
			calls /= 10 // a stack each; the bytes per call are the same
		}
		return func(ctx context.Context, m *harness.Meter) error {
			in := inputs(m.Scale(calls))
			gate := make(chan struct{})
			b := p.queue(func(_ context.Context, x int) (int, error) {
				<-gate
				return x * x, nil
			}, 1, len(in))
			defer b.Stop()
			before := measureUsage()
			collect := b.Submit(ctx, in)
			after := measureUsage()
			m.Report((after.bytes - before.bytes) / float64(len(in)))
			close(gate)
			out, err := collect()
			if err != nil {
				return err
			}
			return checkSquares(in, out)
		}
	})
}

// streams has each peer map a long lazy sequence.
func streams() []harness.Competitor {
	const items = 10_000_000
	return competitors(append(peers(), troupeMap()...), func(p peer) harness.Run {
		if p.stream == nil {
			return nil
		}
		return func(ctx context.Context, m *harness.Meter) error {
			s := p.stream(tiny, poolSize)
			defer s.Stop()
			n := m.Scale(items)
			before, peak := heapNow(), 0.0
			err := m.Time(n, func() (err error) {
				peak, err = streamWatched(ctx, s, n)
				return err
			})
			m.Report(max(0, peak-before) / (1 << 20))
			return err
		}
	})
}

// streamWatched maps n items, checks each result, and looks at the heap after
// every few thousand.
func streamWatched(ctx context.Context, s streamer, n int) (peak float64, err error) {
	const every = 1 << 14
	next, wrong := 0, 0
	err = s.Stream(ctx, count(n), func(v int) {
		if v != next*next {
			wrong++
		}
		if next%every == 0 {
			peak = max(peak, heapNow())
		}
		next++
	})
	if err == nil && (next != n || wrong > 0) {
		err = fmt.Errorf("%d results of %d, %d of them wrong", next, n, wrong)
	}
	return peak, err
}

// heapNow returns the bytes in objects, live or not yet swept, without
// stopping the world.
func heapNow() float64 {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	return float64(heap[0].Value.Uint64())
}

// count yields 0, 1, ... n-1.
func count(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for x := range n {
			if !yield(x) {
				return
			}
		}
	}
}
