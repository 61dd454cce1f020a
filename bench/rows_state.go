package main

import (
	"context"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// stateBaseline is the same call to a task, which owns no state.
const stateBaseline = "troupe task"

// stateRows are calls to something that owns a state, against calls to a task.
func stateRows() []harness.Row {
	const alone, kept, shared = 200_000, 1_000_000, 500_000
	return []harness.Row{
		{
			Name:        "stateful, one call at a time, Ask+Await",
			Baseline:    stateBaseline,
			Goals:       []harness.Goal{harness.AtMost(1.2, ""), harness.AllocsAtMost(1)},
			Competitors: ownersInTurn(1, 1, alone),
		},
		{
			Name:        "stateful, 1,000,000 tiny calls, Ask+Await",
			Baseline:    stateBaseline,
			Goals:       []harness.Goal{harness.AtMost(1.2, ""), harness.AllocsAtMost(1)},
			Competitors: ownersAtOnce(1, kept),
		},
		{
			Name:        "stateful, 4 members, 64 goroutines, each call awaited",
			Baseline:    stateBaseline,
			Goals:       []harness.Goal{harness.AtMost(1.2, "")},
			Competitors: ownersInTurn(4, 64, shared),
		},
	}
}

// tally is the state that members own: how many calls they have served.
type tally struct{ calls int }

func newTally(context.Context) (*tally, error) { return &tally{}, nil }

// square is tiny with a state.
func (t *tally) square(_ context.Context, x int) (int, error) {
	t.calls++
	return x * x, nil
}

// ownSquare makes a state and returns what works on it.
func ownSquare() function { return new(tally).square }

// An owner has members with a state each, and calls that any of them may serve.
type owner interface {
	caller
	batcher
}

// ownerPeer is one competitor of these rows.
type ownerPeer struct {
	name string
	open func(members int) owner
}

// owners returns the competitors, troupe last.
func owners() []ownerPeer {
	return []ownerPeer{
		{stateBaseline, func(n int) owner { return troupeSubmitter{open(tiny, n)} }},
		{"owning goroutine", func(n int) owner { return newOwningGoroutines(n) }},
		{"mutex", func(n int) owner { return newLockedStates(n) }},
		{"protoactor", func(n int) owner { return newOwningProtoPool(ownSquare, n) }},
		{"troupe AskKey", func(n int) owner { return newTroupeKeyed(n) }},
		{subject, func(n int) owner { return newTroupeWorker(n) }},
	}
}

func ownerCompetitors(run func(open func(int) owner) harness.Run) []harness.Competitor {
	var found []harness.Competitor
	for _, o := range owners() {
		found = append(found, harness.Competitor{Name: o.name, Run: run(o.open)})
	}
	return found
}

// ownersInTurn has so many goroutines make calls and wait for each.
func ownersInTurn(members, goroutines, calls int) []harness.Competitor {
	return ownerCompetitors(func(open func(int) owner) harness.Run {
		return func(ctx context.Context, m *harness.Meter) error {
			o := open(members)
			defer o.Stop()
			if err := callEach(ctx, o, 1, warmUp); err != nil {
				return err
			}
			each := max(1, m.Scale(calls)/goroutines)
			return m.Time(goroutines*each, func() error { return callEach(ctx, o, goroutines, each) })
		}
	})
}

// ownersAtOnce makes all calls before the first result is looked at.
func ownersAtOnce(members, calls int) []harness.Competitor {
	return ownerCompetitors(func(open func(int) owner) harness.Run {
		return func(ctx context.Context, m *harness.Meter) error {
			o := open(members)
			defer o.Stop()
			if _, err := submit(ctx, o, inputs(warmUp)); err != nil {
				return err
			}
			in := inputs(m.Scale(calls))
			var out []int
			err := m.Time(len(in), func() (err error) {
				out, err = submit(ctx, o, in)
				return err
			})
			if err != nil {
				return err
			}
			return checkSquares(in, out)
		}
	})
}
