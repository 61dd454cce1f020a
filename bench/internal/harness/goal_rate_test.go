package harness

import "testing"

func TestPerSecondAtLeastReadsTheTimeOfAnOperation(t *testing.T) {
	row := func(nanoseconds float64) Result {
		return Result{
			subject: "own",
			Cells:   map[string]Cell{"own": {Value: 0.5, Sample: Sample{NsPerOp: nanoseconds}}},
		}
	}
	goal := PerSecondAtLeast(50000)
	if got, want := goal.Text, "≥ 50000/s"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	for nanoseconds, want := range map[float64]string{
		20000: "yes (50000/s)",
		10000: "yes (100000/s)",
		20100: "no (49751/s)",
	} {
		if got := goal.verdict(row(nanoseconds)); got != want {
			t.Errorf("%v ns: %q, want %q", nanoseconds, got, want)
		}
	}
}
