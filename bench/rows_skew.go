package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// skewRows show whether calls wait behind a long one while a worker is idle.
func skewRows() []harness.Row {
	const workers, calls = 8, 2000
	return []harness.Row{{
		Name:        "1 in 100 calls 100 times longer, 8 workers",
		Unit:        "× ideal",
		Goals:       []harness.Goal{harness.AtMost(1.05, "")},
		Competitors: skewed(workers, calls),
	}}
}

func skewed(workers, calls int) []harness.Competitor {
	return competitors(append(limitedPeers(), troupeSubmit()...), func(p peer) harness.Run {
		if p.batch == nil {
			return nil
		}
		return func(ctx context.Context, m *harness.Meter) error {
			n := m.Scale(calls)
			work := newSkewedWork(n)
			b := p.batch(work.call, workers)
			defer b.Stop()
			in := inputs(n)
			err := m.Time(n, func() error {
				_, err := submit(ctx, b, in)
				return err
			})
			m.Report(float64(m.Elapsed()) / float64(makespan(work.took, workers)))
			return err
		}
	})
}

// skewedWork is a set of calls of which one in a hundred is long. Where the
// long ones stand is drawn once, the same for everyone: at regular places they
// would meet the same few workers of a pool that deals calls out in turn.
type skewedWork struct {
	planned []time.Duration
	took    []time.Duration // each written by its own call
}

func newSkewedWork(n int) *skewedWork {
	w := &skewedWork{planned: make([]time.Duration, n), took: make([]time.Duration, n)}
	for i := range w.planned {
		w.planned[i] = time.Millisecond
	}
	random := rand.New(rand.NewPCG(1, 100))
	for _, i := range random.Perm(n)[:n/100] {
		w.planned[i] *= 100
	}
	return w
}

func (w *skewedWork) call(_ context.Context, x int) (int, error) {
	start := time.Now()
	time.Sleep(w.planned[x])
	w.took[x] = time.Since(start)
	return x, nil
}

// makespan returns how long so many workers need for calls of these durations
// if each call, in order, goes to whichever worker is free first.
func makespan(durations []time.Duration, workers int) time.Duration {
	free := make([]time.Duration, workers)
	for _, d := range durations {
		first := 0
		for i := range free {
			if free[i] < free[first] {
				first = i
			}
		}
		free[first] += d
	}
	return slices.Max(free)
}
