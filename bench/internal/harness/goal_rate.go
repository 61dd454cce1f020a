package harness

import "math"

// PerSecondAtLeast asks that the subject does at least limit operations in a
// second, whatever the cells of the row show.
func PerSecondAtLeast(limit float64) Goal {
	return Goal{
		Text: "≥ " + exact(limit) + "/s",
		check: func(_ Result, subject Cell) (string, bool) {
			rate := float64(1e9) / subject.Sample.NsPerOp
			return figure(math.Round(rate)) + "/s", rate >= limit
		},
	}
}
