package main

import (
	"slices"
	"testing"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

func newTinyMeter() *harness.Meter { return harness.NewMeter(0.001) }

// TestRemoteRowsRun runs these rows once, very small, also with -short: troupe
// and who it is compared with. TestEveryRowRuns runs all competitors.
func TestRemoteRowsRun(t *testing.T) {
	for _, row := range slices.Concat(remoteRows(), childRows(), lossRows()) {
		for _, c := range row.Competitors {
			if c.Name != subject && c.Name != row.Baseline {
				continue
			}
			t.Run(row.Name+", "+c.Name, func(t *testing.T) {
				m := newTinyMeter()
				if err := c.Run(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				if m.Sample().Value <= 0 {
					t.Errorf("measured %v", m.Sample())
				}
			})
		}
	}
}

func TestRemoteRowsHaveTheirBaselineAndTroupe(t *testing.T) {
	for _, row := range slices.Concat(remoteRows(), childRows(), lossRows()) {
		var names []string
		for _, c := range row.Competitors {
			names = append(names, c.Name)
		}
		for _, want := range []string{row.Baseline, subject} {
			if want != "" && !slices.Contains(names, want) {
				t.Errorf("%q lacks %q", row.Name, want)
			}
		}
	}
}
