package harness

import "context"

// Row is one workload: a line of the table.
type Row struct {
	Name        string       // what is done; -only matches it
	Unit        string       // of the cells; a row with a Baseline has none
	Baseline    string       // the competitor that counts as 1.00; "" prints values as they are
	Goals       []Goal       // what the subject has to reach, if anything was fixed
	Competitors []Competitor // in the order of their columns
}

// Competitor is one way to do a row's work.
type Competitor struct {
	Name string // the column
	Run  Run
}

// Run does the work once. What it does outside of [Meter.Time] is not
// measured: opening a pool, checking results, stopping.
type Run func(ctx context.Context, m *Meter) error

// ratio tells whether cells are relative to a baseline.
func (r Row) ratio() bool { return r.Baseline != "" }
