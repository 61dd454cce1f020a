package harness

import (
	"fmt"
	"math"
	"strconv"
)

// Goal is one figure that the subject of a row has to reach.
type Goal struct {
	Text  string                                             // "≤ 0.75"
	check func(r Result, subject Cell) (got string, ok bool) // the figure reached, as text
}

// AtMost asks that the subject's cell is not above limit.
func AtMost(limit float64, unit string) Goal {
	return Goal{
		Text: "≤ " + join(exact(limit), unit),
		check: func(_ Result, subject Cell) (string, bool) {
			return join(figure(subject.Value), unit), subject.Value <= limit
		},
	}
}

// AllocsAtMost asks that an operation allocates at most n times. A twentieth is
// granted for what the runtime and the workload itself allocate now and then.
func AllocsAtMost(n float64) Goal {
	return Goal{
		Text: join(exact(n), "allocs"),
		check: func(_ Result, subject Cell) (string, bool) {
			return join(figure(subject.Sample.AllocsPerOp), "allocs"), subject.Sample.AllocsPerOp <= n+0.05
		},
	}
}

// BytesAtMost asks that an operation allocates at most limit bytes, besides
// the bytes per operation that the workload keeps for itself whoever competes.
func BytesAtMost(limit, workload float64) Goal {
	return Goal{
		Text: "≤ " + join(exact(limit), "B a call"),
		check: func(_ Result, subject Cell) (string, bool) {
			own := math.Max(0, subject.Sample.BytesPerOp-workload)
			return join(figure(math.Round(own)), "B"), math.Round(own) <= limit
		},
	}
}

// AsBest asks that the subject is not slower than the best peer of the row; a
// twentieth above it counts as equal.
func AsBest() Goal {
	return Goal{
		Text: "as the best",
		check: func(r Result, subject Cell) (string, bool) {
			best, ok := r.bestPeer()
			if !ok {
				return figure(subject.Value) + ", no peer measured", true
			}
			return fmt.Sprintf("%s, best %s", figure(subject.Value), figure(best)), subject.Value <= best*1.05
		},
	}
}

// verdict tells whether the row's subject reached the goal, and its figure.
func (g Goal) verdict(r Result) string {
	subject, ok := r.Subject()
	if !ok {
		return "not measured"
	}
	got, ok := g.check(r, subject)
	if !ok {
		return fmt.Sprintf("no (%s)", got)
	}
	return fmt.Sprintf("yes (%s)", got)
}

// exact prints a limit as it was written.
func exact(limit float64) string { return strconv.FormatFloat(limit, 'g', -1, 64) }

func join(figure, unit string) string {
	if unit == "" {
		return figure
	}
	return figure + " " + unit
}
