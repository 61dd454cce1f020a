package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

var errNoPanic = errors.New("a call that panicked has no error")

// restartRows are about how soon a member that has panicked serves again, with
// a fresh state, without backoff and without a budget.
func restartRows() []harness.Row {
	const crashes = 1000
	goal := []harness.Goal{harness.AtMost(1000, "µs")}
	return []harness.Row{
		{
			Name: "panic to next call served, which waits: median", Unit: "µs",
			Goals:       goal,
			Competitors: mortals(crashes, 0.5, false),
		},
		{
			Name: "panic to next call served, which waits: p99", Unit: "µs",
			Goals:       goal,
			Competitors: mortals(crashes, 0.99, false),
		},
		{
			Name: "panic to next call served, made after its error: median", Unit: "µs",
			Goals:       goal,
			Competitors: mortals(crashes, 0.5, true),
		},
		{
			Name: "panic to next call served, made after its error: p99", Unit: "µs",
			Goals:       goal,
			Competitors: mortals(crashes, 0.99, true),
		},
	}
}

// fuse is a state that panics on demand. What it is replaced by has no memory
// of that, so when it last blew is kept beside it.
type fuse struct {
	blown *time.Time
	calls int // since it was made
}

// served is what the call after a panic tells.
type served struct {
	after time.Duration // since the panic
	calls int           // of the state, this one included
}

func (f *fuse) blow(context.Context) (served, error) {
	f.calls++
	*f.blown = time.Now()
	panic("blown")
}

func (f *fuse) serve(context.Context) (served, error) {
	f.calls++
	return served{after: time.Since(*f.blown), calls: f.calls}, nil
}

// A mortal panics and is restarted.
type mortal interface {
	Ready(ctx context.Context) error
	// Crash makes it panic, calls it again, and returns what that call tells; if
	// told, that call is made when the error of the first is there.
	Crash(ctx context.Context, told bool) (served, error)
	Stop()
}

func mortals(crashes int, quantile float64, told bool) []harness.Competitor {
	competitor := func(name string, open func() (mortal, error)) harness.Competitor {
		return harness.Competitor{Name: name, Run: func(ctx context.Context, m *harness.Meter) error {
			mo, err := open()
			if err != nil {
				return err
			}
			defer mo.Stop()
			took, err := crashOften(ctx, mo, m.Scale(crashes), told)
			if err != nil {
				return err
			}
			slices.Sort(took)
			m.Report(float64(took[int(quantile*float64(len(took)-1))].Nanoseconds()) / 1000)
			return nil
		}}
	}
	found := []harness.Competitor{competitor(subject, newTroupeMortal)}
	if !told { // protoactor tells nobody that a call has panicked
		found = append([]harness.Competitor{competitor("protoactor", newProtoMortal)}, found...)
	}
	return found
}

func crashOften(ctx context.Context, m mortal, times int, told bool) ([]time.Duration, error) {
	if err := m.Ready(ctx); err != nil {
		return nil, err
	}
	const warm = 20
	var took []time.Duration
	for i := range warm + times {
		s, err := m.Crash(ctx, told)
		if err != nil {
			return nil, err
		}
		if s.calls != 1 {
			return nil, errors.New("the state has survived the panic")
		}
		if i >= warm {
			took = append(took, s.after)
		}
	}
	return took, nil
}
