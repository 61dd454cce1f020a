package harness

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// WriteTable writes results as one markdown table: a column per competitor,
// then what the subject costs per operation, the goals and whether they were reached.
func WriteTable(w io.Writer, results []Result, subject string) error {
	columns := columnNames(results, subject)
	header := append([]string{"workload", "unit", "baseline ns/op"}, columns...)
	header = append(header, subject+" ns/op", "B/op", "allocs/op", "goal", "reached")
	lines := [][]string{header, ruler(len(header))}
	for _, r := range results {
		lines = append(lines, line(r, columns))
	}
	for _, cells := range lines {
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")); err != nil {
			return err
		}
	}
	return nil
}

// columnNames returns the competitors in the order of their first appearance,
// the subject last.
func columnNames(results []Result, subject string) []string {
	var names []string
	for _, r := range results {
		for _, c := range r.Row.Competitors {
			if c.Name != subject && !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	return append(names, subject)
}

func ruler(n int) []string {
	cells := slices.Repeat([]string{"---:"}, n)
	cells[0], cells[1] = "---", "---"
	cells[n-2], cells[n-1] = "---", "---"
	return cells
}

func line(r Result, columns []string) []string {
	unit := r.Row.Unit
	if r.Row.ratio() {
		unit = "× " + r.Row.Baseline
	}
	cells := []string{r.Row.Name, unit, baselineTime(r)}
	for _, name := range columns {
		cells = append(cells, cellText(r, name))
	}
	cells = append(cells, subjectCost(r)...)
	return append(cells, goalTexts(r)...)
}

func baselineTime(r Result) string {
	c, ok := r.Cells[r.Row.Baseline]
	if !ok {
		return ""
	}
	return figure(c.Sample.NsPerOp)
}

func cellText(r Result, name string) string {
	if r.Errors[name] != nil {
		return "failed"
	}
	c, ok := r.Cells[name]
	if !ok {
		return ""
	}
	return figure(c.Value)
}

// subjectCost returns time, bytes and allocations per operation, empty where
// the row does not time the subject.
func subjectCost(r Result) []string {
	c, ok := r.Subject()
	if !ok || c.Sample.NsPerOp == 0 {
		return []string{"", "", ""}
	}
	return []string{
		figure(c.Sample.NsPerOp),
		figure(math.Round(c.Sample.BytesPerOp)),
		fmt.Sprintf("%.2f", c.Sample.AllocsPerOp),
	}
}

func goalTexts(r Result) []string {
	goals, verdicts := make([]string, 0, len(r.Row.Goals)), make([]string, 0, len(r.Row.Goals))
	for _, g := range r.Row.Goals {
		goals = append(goals, g.Text)
		verdicts = append(verdicts, g.verdict(r))
	}
	return []string{strings.Join(goals, ", "), strings.Join(verdicts, ", ")}
}

// figure prints two decimals below 100 and none above.
func figure(v float64) string {
	switch {
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case v == math.Trunc(v) && v != 1:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
