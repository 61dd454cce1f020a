package main

import (
	"context"
	"sync"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// callRows are the rows in which every call is awaited before the next.
func callRows() []harness.Row {
	const alone, shared = 200_000, 500_000
	return []harness.Row{
		{
			Name:        "one call at a time, Call",
			Baseline:    baseline,
			Goals:       []harness.Goal{harness.AtMost(0.75, ""), harness.AllocsAtMost(0)},
			Competitors: callers(troupeCall(), 1, alone),
		},
		{
			Name:        "one call at a time, Submit+Await",
			Baseline:    baseline,
			Goals:       []harness.Goal{harness.AtMost(1.1, ""), harness.AllocsAtMost(1)},
			Competitors: callers(troupeSubmit(), 1, alone),
		},
		{
			Name:        "64 goroutines, each call awaited, Submit+Await",
			Baseline:    baseline,
			Goals:       []harness.Goal{harness.AtMost(0.9, "")},
			Competitors: callers(troupeSubmit(), 64, shared),
		},
		{
			Name:        "64 goroutines, each call awaited, Call",
			Baseline:    baseline,
			Competitors: callers(troupeCall(), 64, shared),
		},
	}
}

// callers has all peers and troupe make calls from so many goroutines.
func callers(troupe []peer, goroutines, calls int) []harness.Competitor {
	return competitors(append(peers(), troupe...), func(p peer) harness.Run {
		if p.call == nil {
			return nil
		}
		return func(ctx context.Context, m *harness.Meter) error {
			c := p.call(tiny, poolSize)
			defer c.Stop()
			if err := callEach(ctx, c, 1, warmUp); err != nil {
				return err
			}
			each := max(1, m.Scale(calls)/goroutines)
			return m.Time(goroutines*each, func() error { return callEach(ctx, c, goroutines, each) })
		}
	})
}

// callEach makes n calls from each of so many goroutines; alone, from this one.
func callEach(ctx context.Context, c caller, goroutines, n int) error {
	if goroutines == 1 {
		return callInTurn(ctx, c, n)
	}
	var wg sync.WaitGroup
	failed := make(chan error, goroutines)
	for range goroutines {
		wg.Go(func() {
			if err := callInTurn(ctx, c, n); err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

func callInTurn(ctx context.Context, c caller, n int) error {
	for x := range n {
		v, err := c.Call(ctx, x)
		if err != nil {
			return err
		}
		if v != x*x {
			return errWrong
		}
	}
	return nil
}
