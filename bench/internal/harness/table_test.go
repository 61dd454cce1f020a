package harness

import (
	"errors"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 2, 9}, 3},
	}
	for _, tt := range tests {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.values, got, tt.want)
		}
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1: "1.00", 0.354: "0.35", 99.5: "99.50", 128: "128", 1234.6: "1235"} {
		if got := figure(v); got != want {
			t.Errorf("figure(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestGoalVerdicts(t *testing.T) {
	result := Result{
		Cells: map[string]Cell{
			"own":  {Value: 0.7, Sample: Sample{NsPerOp: 70, BytesPerOp: 112.2, AllocsPerOp: 1.04}},
			"peer": {Value: 0.68},
			"slow": {Value: 2},
		},
		subject: "own",
	}
	tests := []struct {
		goal       Goal
		text, want string
	}{
		{AtMost(0.75, ""), "≤ 0.75", "yes (0.70)"},
		{AtMost(0.5, "ms"), "≤ 0.5 ms", "no (0.70 ms)"},
		{AllocsAtMost(1), "1 allocs", "yes (1.04 allocs)"},
		{AllocsAtMost(0), "0 allocs", "no (1.04 allocs)"},
		{BytesAtMost(96, 16), "≤ 96 B a call", "yes (96 B)"},
		{BytesAtMost(95, 16), "≤ 95 B a call", "no (96 B)"},
		{AsBest(), "as the best", "yes (0.70, best 0.68)"},
	}
	for _, tt := range tests {
		if got := tt.goal.verdict(result); tt.goal.Text != tt.text || got != tt.want {
			t.Errorf("%q: %q, want %q: %q", tt.goal.Text, got, tt.text, tt.want)
		}
	}
	if got := AsBest().verdict(Result{subject: "own"}); got != "not measured" {
		t.Errorf("without the subject: %q", got)
	}
}

func TestTableHasAColumnPerCompetitor(t *testing.T) {
	results := []Result{
		{
			Row: Row{
				Name:        "work",
				Baseline:    "raw",
				Goals:       []Goal{AtMost(0.75, "")},
				Competitors: []Competitor{{Name: "raw"}, {Name: "own"}, {Name: "peer"}},
			},
			Cells: map[string]Cell{
				"raw": {Value: 1, Sample: Sample{NsPerOp: 100}},
				"own": {Value: 0.5, Sample: Sample{NsPerOp: 50, BytesPerOp: 80, AllocsPerOp: 1}},
			},
			Errors:  map[string]error{"peer": errors.New("broken")},
			subject: "own",
		},
		{
			Row:     Row{Name: "memory", Unit: "B", Competitors: []Competitor{{Name: "own"}}},
			Cells:   map[string]Cell{"own": {Value: 123.4}},
			subject: "own",
		},
	}
	var out strings.Builder
	if err := WriteTable(&out, results, "own"); err != nil {
		t.Fatal(err)
	}
	const want = `| workload | unit | baseline ns/op | raw | peer | own | own ns/op | B/op | allocs/op | goal | reached |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |
| work | × raw | 100 | 1.00 | failed | 0.50 | 50 | 80 | 1.00 | ≤ 0.75 | yes (0.50) |
| memory | B |  |  |  | 123 |  |  |  |  |  |
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
