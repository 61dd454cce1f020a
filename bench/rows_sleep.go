package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// sleepRows are the rows in which workers wait for something else.
func sleepRows() []harness.Row {
	const calls = 10_000
	row := func(workers int) harness.Row {
		return harness.Row{
			Name:        fmt.Sprintf("10,000 sleeps of 1 ms, %d workers", workers),
			Unit:        "× ideal",
			Goals:       []harness.Goal{harness.AsBest()},
			Competitors: sleepers(workers, calls),
		}
	}
	return []harness.Row{row(100), row(1000)}
}

// limitedPeers returns those that keep to the number of workers, the
// goroutine per call among them by a semaphore.
func limitedPeers() []peer {
	ps := peers()
	i := slices.IndexFunc(ps, func(p peer) bool { return p.name == "goroutine each" })
	ps[i] = limitedGoroutinePeer()
	return ps
}

// sleep is a function that waits for a millisecond.
func sleep(_ context.Context, x int) (int, error) {
	time.Sleep(time.Millisecond)
	return x * x, nil
}

func sleepers(workers, calls int) []harness.Competitor {
	return competitors(append(limitedPeers(), troupeSubmit()...), func(p peer) harness.Run {
		if p.batch == nil {
			return nil
		}
		return func(ctx context.Context, m *harness.Meter) error {
			b := p.batch(sleep, workers)
			defer b.Stop()
			if _, err := submit(ctx, b, inputs(workers)); err != nil {
				return err
			}
			in := inputs(m.Scale(calls))
			var out []int
			err := m.Time(len(in), func() (err error) {
				out, err = submit(ctx, b, in)
				return err
			})
			if err != nil {
				return err
			}
			rounds := (len(in) + workers - 1) / workers
			ideal := time.Duration(rounds) * time.Millisecond
			m.Report(float64(m.Elapsed()) / float64(ideal))
			return checkSquares(in, out)
		}
	})
}
