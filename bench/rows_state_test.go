package main

import (
	"slices"
	"testing"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

func TestEveryOwnerDoesTheWork(t *testing.T) {
	in := inputs(500)
	for _, o := range owners() {
		for _, members := range []int{1, 4} {
			own := o.open(members)
			if err := callEach(t.Context(), own, 8, 100); err != nil {
				t.Errorf("%s of %d: %v", o.name, members, err)
			}
			out, err := submit(t.Context(), own, in)
			if err == nil {
				err = checkSquares(in, out)
			}
			if err != nil {
				t.Errorf("%s of %d, at once: %v", o.name, members, err)
			}
			own.Stop()
		}
	}
}

// TestStatefulRowsRun runs these rows once, very small, also with -short.
func TestStatefulRowsRun(t *testing.T) {
	for _, row := range slices.Concat(stateRows(), crowdRows(), restartRows()) {
		for _, c := range row.Competitors {
			m := harness.NewMeter(0.002)
			if err := c.Run(t.Context(), m); err != nil {
				t.Errorf("%s: %s: %v", row.Name, c.Name, err)
			}
			// So few weigh next to nothing: what the process has let go of meanwhile
			// may be more.
			if m.Sample().Value <= 0 && row.Unit != "B" {
				t.Errorf("%s: %s measured %v", row.Name, c.Name, m.Sample())
			}
		}
	}
}
