package harness

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"time"
)

// Config says what to measure and how often.
type Config struct {
	Rounds  int            // at least 1
	Scale   float64        // multiplies the sizes of the workloads; above 0
	Only    *regexp.Regexp // rows to measure; nil: all
	Peers   *regexp.Regexp // competitors to measure besides each row's baseline; nil: all
	Subject string         // the competitor that goals are about
	Log     io.Writer      // told how far it is
	Verbose bool           // tell Log every sample too

	run func(context.Context, order) (Sample, error) // for tests; nil: runInChild
}

// Measure measures those rows that c selects, one after another. When ctx ends
// it returns what was measured in full, with the cause.
func Measure(ctx context.Context, rows []Row, c Config) ([]Result, error) {
	if c.run == nil {
		c.run = runInChild
	}
	var results []Result
	for _, row := range rows {
		if c.Only != nil && !c.Only.MatchString(row.Name) {
			continue
		}
		row.Competitors = c.selected(row)
		if len(row.Competitors) == 0 {
			continue
		}
		start := time.Now()
		fmt.Fprintf(c.Log, "%s ...\n", row.Name)
		result := c.measure(ctx, row)
		if ctx.Err() != nil {
			return results, context.Cause(ctx)
		}
		fmt.Fprintf(c.Log, "%s: %v\n", row.Name, time.Since(start).Round(time.Millisecond))
		results = append(results, result)
	}
	return results, nil
}

// selected returns the row's competitors that c asks for. The baseline stays:
// without it there is no ratio.
func (c Config) selected(row Row) []Competitor {
	var kept []Competitor
	asked := false
	for _, competitor := range row.Competitors {
		wanted := c.Peers == nil || c.Peers.MatchString(competitor.Name)
		asked = asked || wanted
		if wanted || competitor.Name == row.Baseline {
			kept = append(kept, competitor)
		}
	}
	if !asked {
		return nil
	}
	return kept
}

// measure runs all rounds of a row. A competitor that fails once is out; a
// baseline that does leaves the row without cells.
func (c Config) measure(ctx context.Context, row Row) Result {
	result := Result{Row: row, Errors: map[string]error{}, subject: c.Subject}
	measured := samples{}
	for round := range c.Rounds {
		for i := range row.Competitors {
			name := row.Competitors[(round+i)%len(row.Competitors)].Name
			if ctx.Err() != nil || result.Errors[name] != nil {
				continue
			}
			sample, err := c.run(ctx, order{Row: row.Name, Competitor: name, Scale: c.Scale})
			if err != nil {
				result.Errors[name] = err
				delete(measured, name)
			} else {
				measured[name] = append(measured[name], sample)
			}
			c.tell(row.Name, name, sample, err)
		}
	}
	if row.ratio() && result.Errors[row.Baseline] != nil {
		return result
	}
	if ctx.Err() == nil {
		result.Cells = measured.cells(row.Baseline)
	}
	return result
}

// tell logs how a run went.
func (c Config) tell(row, competitor string, sample Sample, err error) {
	switch {
	case err != nil:
		fmt.Fprintf(c.Log, "%s: %s: %v\n", row, competitor, err)
	case c.Verbose:
		fmt.Fprintf(c.Log, "%s: %s: %s\n", row, competitor, sample)
	}
}
