package main

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// limitRows are about limits that are not reached, or just so: what a grant
// costs, and how soon a waiter has what another gives back.
func limitRows() []harness.Row {
	const grants, holds, handOvers = 2_000_000, 500_000, 2000
	return []harness.Row{
		{
			Name: "one rate grant", Unit: "ns",
			Goals:       []harness.Goal{harness.AtMost(100, "ns")},
			Competitors: granters(1, 1, grants),
		},
		{
			Name: "one rate grant, 64 goroutines", Unit: "ns",
			Goals:       []harness.Goal{harness.AtMost(150, "ns")},
			Competitors: granters(1, 64, grants),
		},
		{
			Name: "three rates at once", Unit: "ns",
			Goals:       []harness.Goal{harness.AtMost(300, "ns")},
			Competitors: granters(3, 1, grants),
		},
		{
			Name: "three rates at once, 64 goroutines", Unit: "ns",
			Goals:       []harness.Goal{harness.AtMost(300, "ns")},
			Competitors: granters(3, 64, grants),
		},
		{
			Name: "semaphore of 4, 64 goroutines", Unit: "ns",
			Goals:       []harness.Goal{harness.AtMost(600, "ns")},
			Competitors: semaphores(4, 64, holds),
		},
		{
			Name: "freed permit to its waiter, median", Unit: "µs",
			Goals:       []harness.Goal{harness.AtMost(50, "µs")},
			Competitors: handsOver(handOvers),
		},
		{
			Name: "freed permit to the call of a task, median", Unit: "µs",
			Goals:       []harness.Goal{harness.AtMost(50, "µs")},
			Competitors: []harness.Competitor{{Name: subject, Run: troupeGate(handOvers)}},
		},
	}
}

// limiter is one competitor of these rows; nil where it has no such thing.
type limiter struct {
	name string
	// rates opens so many limits that never run out, and returns what takes one
	// of each.
	rates func(keys int) (grant func(context.Context) error)
	// semaphore opens one of n.
	semaphore func(n int) semaphore
}

// A semaphore is acquired, and then released by what that has returned.
type semaphore interface {
	Acquire(ctx context.Context) (release func(), err error)
	Use(ctx context.Context) error // acquires, works, releases
}

// work is what is done while a semaphore is held. It lets others run, or with
// few cores 64 goroutines would hardly ever meet.
func work() { runtime.Gosched() }

// limiters returns the competitors, troupe last.
func limiters() []limiter {
	return []limiter{timeRateLimiter(), uberLimiter(), syncSemaphore(), channelSemaphore(), troupeGCRA(), troupeLimiter()}
}

// plenty is a rate a second that nobody reaches.
const plenty = 1_000_000_000

func granters(keys, goroutines, grants int) []harness.Competitor {
	return limitCompetitors(func(l limiter) harness.Run {
		if l.rates == nil {
			return nil
		}
		return func(ctx context.Context, m *harness.Meter) error {
			return timeEach(ctx, m, l.rates(keys), goroutines, grants)
		}
	})
}

func semaphores(size, goroutines, holds int) []harness.Competitor {
	return limitCompetitors(func(l limiter) harness.Run {
		if l.semaphore == nil {
			return nil
		}
		return func(ctx context.Context, m *harness.Meter) error {
			return timeEach(ctx, m, l.semaphore(size).Use, goroutines, holds)
		}
	})
}

func limitCompetitors(run func(limiter) harness.Run) []harness.Competitor {
	var found []harness.Competitor
	for _, l := range limiters() {
		if r := run(l); r != nil {
			found = append(found, harness.Competitor{Name: l.name, Run: r})
		}
	}
	return found
}

// timeEach does something often, by so many goroutines; alone, by this one.
func timeEach(ctx context.Context, m *harness.Meter, do func(context.Context) error, goroutines, times int) error {
	each := max(1, m.Scale(times)/goroutines)
	inTurn := func() error {
		for range each {
			if err := do(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	return m.Time(goroutines*each, func() error {
		if goroutines == 1 {
			return inTurn()
		}
		var wg sync.WaitGroup
		failed := make(chan error, goroutines)
		for range goroutines {
			wg.Go(func() { failed <- inTurn() })
		}
		wg.Wait()
		close(failed)
		for err := range failed {
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// asleep is how long a waiter is given to fall asleep before it is served.
const asleep = 200 * time.Microsecond

// handsOver has one goroutine release what another waits for.
func handsOver(times int) []harness.Competitor {
	return limitCompetitors(func(l limiter) harness.Run {
		if l.semaphore == nil {
			return nil
		}
		return func(ctx context.Context, m *harness.Meter) error {
			s := l.semaphore(1)
			took := make([]time.Duration, m.Scale(times))
			for i := range took {
				release, err := s.Acquire(ctx)
				if err != nil {
					return err
				}
				granted := make(chan time.Time)
				go func() {
					release, err := s.Acquire(ctx)
					at := time.Now()
					if err == nil {
						release()
					}
					granted <- at
				}()
				time.Sleep(asleep)
				start := time.Now()
				release()
				took[i] = (<-granted).Sub(start)
			}
			reportMedian(m, took)
			return nil
		}
	})
}

func reportMedian(m *harness.Meter, took []time.Duration) {
	slices.Sort(took)
	m.Report(float64(took[len(took)/2].Nanoseconds()) / 1000)
}
