package main

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// crowdSize is how many members of their own there are in the rows about many.
const crowdSize = 100_000

// crowdRows are about very many stateful workers of one member each.
func crowdRows() []harness.Row {
	memory := func(until func(context.Context, crowd) error) []harness.Competitor {
		return crowdCompetitors(func(ctx context.Context, m *harness.Meter, open openCrowd) error {
			return crowdMemory(ctx, m, open, until)
		})
	}
	goals := func(limit float64, unit string) []harness.Goal { return []harness.Goal{harness.AtMost(limit, unit)} }
	return []harness.Row{
		{
			Name: "100,000 workers of one member, made: memory each", Unit: "B",
			Goals:       goals(1536, "B"),
			Competitors: memory(func(context.Context, crowd) error { return nil }),
		},
		{
			Name: "100,000 workers of one member, ready: memory each", Unit: "B",
			Goals:       goals(1536, "B"),
			Competitors: memory(func(ctx context.Context, c crowd) error { return c.Ready(ctx) }),
		},
		{
			Name: "100,000 workers of one member, called once: memory each", Unit: "B",
			Goals:       goals(1536, "B"),
			Competitors: memory(func(ctx context.Context, c crowd) error { return c.CallAll(ctx) }),
		},
		{
			Name: "100,000 workers of one member: make, ready, call once, stop", Unit: "s",
			Goals:       goals(5, "s"),
			Competitors: crowdCompetitors(crowdLife),
		},
	}
}

// A crowd is many states with something around each that serves calls.
type crowd interface {
	Ready(ctx context.Context) error   // all of them wait for calls
	CallAll(ctx context.Context) error // one call each, all in flight at once
	Stop()
}

type openCrowd = func(n int) (crowd, error)

func crowdCompetitors(run func(context.Context, *harness.Meter, openCrowd) error) []harness.Competitor {
	competitor := func(name string, open openCrowd) harness.Competitor {
		return harness.Competitor{Name: name, Run: func(ctx context.Context, m *harness.Meter) error { return run(ctx, m, open) }}
	}
	return []harness.Competitor{
		competitor("owning goroutine", newGoroutineCrowd),
		competitor("protoactor", newProtoCrowd),
		competitor(subject, newTroupeCrowd),
	}
}

// crowdMemory reports what each of a crowd holds after it was made and until
// has happened to it.
func crowdMemory(ctx context.Context, m *harness.Meter, open openCrowd, until func(context.Context, crowd) error) error {
	if err := liveAsCrowd(ctx, open, 1000); err != nil { // what is made once per process is nobody's
		return err
	}
	before := settle(0)
	n := m.Scale(crowdSize)
	c, err := open(n)
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := until(ctx, c); err != nil {
		return err
	}
	held := settle(before.goroutines).minus(before)
	m.Report(held.bytes / float64(n))
	return nil
}

// crowdLife reports how long a crowd takes from the first made to the last gone.
func crowdLife(ctx context.Context, m *harness.Meter, open openCrowd) error {
	if err := liveAsCrowd(ctx, open, 1000); err != nil {
		return err
	}
	n := m.Scale(crowdSize)
	err := m.Time(n, func() error { return liveAsCrowd(ctx, open, n) })
	m.Report(float64(m.Elapsed()) / float64(time.Second))
	return err
}

func liveAsCrowd(ctx context.Context, open openCrowd, n int) error {
	c, err := open(n)
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := c.Ready(ctx); err != nil {
		return err
	}
	return c.CallAll(ctx)
}
