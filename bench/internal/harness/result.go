package harness

import "slices"

// Result is a measured row.
type Result struct {
	Row     Row
	Cells   map[string]Cell  // by competitor; one that failed has none
	Errors  map[string]error // by competitor
	subject string
}

// Cell is one competitor's outcome over all rounds.
type Cell struct {
	Value  float64 // what the table shows: a ratio to the baseline, or the measure itself
	Sample Sample  // medians, each taken by itself
}

// Subject returns the cell of the competitor that the goals are about.
func (r Result) Subject() (Cell, bool) {
	c, ok := r.Cells[r.subject]
	return c, ok
}

// bestPeer returns the lowest value among all but the subject.
func (r Result) bestPeer() (best float64, ok bool) {
	for name, c := range r.Cells {
		if name != r.subject && (!ok || c.Value < best) {
			best, ok = c.Value, true
		}
	}
	return best, ok
}

// samples holds what was measured, by competitor and round. A failed
// competitor has fewer rounds than the others; a failed baseline fails the row.
type samples map[string][]Sample

// cells condenses the rounds: with a baseline each round yields one ratio.
func (s samples) cells(baseline string) map[string]Cell {
	cells := make(map[string]Cell, len(s))
	for name, rounds := range s {
		values := make([]float64, 0, len(rounds))
		for i, own := range rounds {
			value := own.Value
			if baseline != "" {
				value /= s[baseline][i].Value
			}
			values = append(values, value)
		}
		cells[name] = Cell{Value: median(values), Sample: medians(rounds)}
	}
	return cells
}

func medians(rounds []Sample) Sample {
	return Sample{
		Value:       medianOf(rounds, func(s Sample) float64 { return s.Value }),
		NsPerOp:     medianOf(rounds, func(s Sample) float64 { return s.NsPerOp }),
		BytesPerOp:  medianOf(rounds, func(s Sample) float64 { return s.BytesPerOp }),
		AllocsPerOp: medianOf(rounds, func(s Sample) float64 { return s.AllocsPerOp }),
	}
}

func medianOf(rounds []Sample, field func(Sample) float64) float64 {
	values := make([]float64, len(rounds))
	for i, s := range rounds {
		values[i] = field(s)
	}
	return median(values)
}

// median returns the middle of values, or the mean of the two middle ones; 0
// without values. It sorts values.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	slices.Sort(values)
	if n%2 == 1 {
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}
