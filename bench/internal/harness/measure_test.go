package harness

import (
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"testing"
)

// recorder is a fake for the child processes: it notes what was asked for and
// answers from a table of values, one a round.
type recorder struct {
	asked  []string
	values map[string][]float64
	rounds map[string]int
}

func (r *recorder) run(_ context.Context, o order) (Sample, error) {
	r.asked = append(r.asked, o.Competitor)
	i := r.rounds[o.Competitor]
	r.rounds[o.Competitor]++
	values := r.values[o.Competitor]
	if i >= len(values) {
		return Sample{}, errors.New("broken")
	}
	return Sample{Value: values[i], NsPerOp: values[i]}, nil
}

func setup(values map[string][]float64) (*recorder, Config, []Row) {
	r := &recorder{values: values, rounds: map[string]int{}}
	c := Config{Rounds: 3, Scale: 1, Subject: "own", Log: io.Discard, run: r.run}
	row := Row{Name: "work", Baseline: "raw"}
	for _, name := range []string{"raw", "peer", "own"} {
		row.Competitors = append(row.Competitors, Competitor{Name: name})
	}
	return r, c, []Row{row}
}

func TestEachRoundStartsWithAnotherCompetitor(t *testing.T) {
	same := []float64{1, 1, 1}
	r, c, rows := setup(map[string][]float64{"raw": same, "peer": same, "own": same})
	if _, err := Measure(t.Context(), rows, c); err != nil {
		t.Fatal(err)
	}
	want := []string{"raw", "peer", "own", "peer", "own", "raw", "own", "raw", "peer"}
	if !slices.Equal(r.asked, want) {
		t.Errorf("ran %v, want %v", r.asked, want)
	}
}

func TestCellIsTheMedianOfRatiosWithinARound(t *testing.T) {
	_, c, rows := setup(map[string][]float64{
		"raw":  {100, 1000, 100},
		"peer": {200, 2000, 100},
		"own":  {50, 300, 90}, // 0.5, 0.3, 0.9; the ratio of the medians is 0.9
	})
	results, err := Measure(t.Context(), rows, c)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"raw": 1, "peer": 2, "own": 0.5} {
		if got := results[0].Cells[name].Value; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestCompetitorThatFailsIsOut(t *testing.T) {
	r, c, rows := setup(map[string][]float64{"raw": {1, 1, 1}, "peer": {1}, "own": {2, 2, 2}})
	results, err := Measure(t.Context(), rows, c)
	if err != nil {
		t.Fatal(err)
	}
	if r.rounds["peer"] != 2 {
		t.Errorf("ran %d times, want 2", r.rounds["peer"])
	}
	if results[0].Errors["peer"] == nil {
		t.Error("its error is lost")
	}
	if _, ok := results[0].Cells["peer"]; ok {
		t.Error("it has a cell")
	}
	if got := results[0].Cells["own"].Value; got != 2 {
		t.Errorf("another one has %v, want 2", got)
	}
}

func TestFailedBaselineLeavesNoCells(t *testing.T) {
	_, c, rows := setup(map[string][]float64{"raw": {1}, "peer": {1, 1, 1}, "own": {1, 1, 1}})
	results, err := Measure(t.Context(), rows, c)
	if err != nil {
		t.Fatal(err)
	}
	if len(results[0].Cells) != 0 {
		t.Errorf("cells %v, want none", results[0].Cells)
	}
}

func TestPeerFilterKeepsTheBaseline(t *testing.T) {
	same := []float64{1, 1, 1}
	r, c, rows := setup(map[string][]float64{"raw": same, "peer": same, "own": same})
	c.Rounds, c.Peers = 1, regexp.MustCompile("own")
	if _, err := Measure(t.Context(), rows, c); err != nil {
		t.Fatal(err)
	}
	if want := []string{"raw", "own"}; !slices.Equal(r.asked, want) {
		t.Errorf("ran %v, want %v", r.asked, want)
	}
}

func TestInterruptedRowIsLeftOut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, c, rows := setup(map[string][]float64{"raw": {1, 1, 1}})
	c.run = func(ctx context.Context, o order) (Sample, error) {
		cancel()
		return r.run(ctx, o)
	}
	results, err := Measure(ctx, rows, c)
	if !errors.Is(err, context.Canceled) || len(results) != 0 {
		t.Errorf("%d results and %v, want none and %v", len(results), err, context.Canceled)
	}
	if len(r.asked) != 1 {
		t.Errorf("%d runs, want 1", len(r.asked))
	}
}

func TestChildFollowsItsOrder(t *testing.T) {
	rows := []Row{{Name: "work", Competitors: []Competitor{{
		Name: "own",
		Run: func(_ context.Context, m *Meter) error {
			m.Report(float64(m.Scale(100)))
			return nil
		},
	}}}}
	s, err := follow(t.Context(), `{"Row":"work","Competitor":"own","Scale":0.5}`, rows)
	if err != nil || s.Value != 50 {
		t.Errorf("%v, %v; want 50", s.Value, err)
	}
	if _, err := follow(t.Context(), `{"Row":"work","Competitor":"other"}`, rows); err == nil {
		t.Error("an unknown competitor was run")
	}
}
