package main

import (
	"context"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// ownBytes is what a batch allocates per call whoever competes: its slices of
// handles and of results.
const ownBytes = 16

// batchRows are the rows in which a million calls are under way at once, with
// the results in order.
func batchRows() []harness.Row {
	const calls = 1_000_000
	return []harness.Row{
		{
			Name:     "1,000,000 tiny calls, Submit+Await",
			Baseline: baseline,
			Goals: []harness.Goal{
				harness.AtMost(0.75, ""),
				harness.AllocsAtMost(1),
				harness.BytesAtMost(96, ownBytes),
			},
			Competitors: batches(append(peers(), troupeSubmit()...), calls),
		},
		{
			Name:     "1,000,000 tiny calls, Map",
			Baseline: baseline,
			Goals:    []harness.Goal{harness.AtMost(0.35, "")},
			Competitors: batches(append(
				named(baseline, "raw 1024", "conc stream"), troupeMap()...), calls),
		},
		{
			Name:     "batch over a slice of 1,000,000, MapSlice",
			Baseline: baseline,
			Goals:    []harness.Goal{harness.AtMost(0.18, "")},
			Competitors: batches(append(
				named(baseline, "raw 1024", "errgroup", "pond", "conc pool", "conc iter"), troupeMapSlice()...), calls),
		},
	}
}

// batches has each peer run one batch of calls.
func batches(ps []peer, calls int) []harness.Competitor {
	return competitors(ps, func(p peer) harness.Run {
		if p.batch == nil {
			return nil
		}
		return func(ctx context.Context, m *harness.Meter) error {
			b := p.batch(tiny, poolSize)
			defer b.Stop()
			if _, err := submit(ctx, b, inputs(warmUp)); err != nil {
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
			return checkSquares(in, out)
		}
	})
}
