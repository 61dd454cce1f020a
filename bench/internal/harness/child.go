package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// orderVariable tells a process of this program that it is a child, and what
// to run.
const orderVariable = "TROUPE_BENCH_RUN"

// order is one run, as the parent asks its child for it.
type order struct {
	Row, Competitor string
	Scale           float64
}

// IsChild tells whether this process was started to do one run.
func IsChild() bool { return os.Getenv(orderVariable) != "" }

// RunChild does the run that this process was started for, writes the sample
// to standard output, and returns the exit status. What goes wrong goes to
// standard error, where the parent reads it.
func RunChild(ctx context.Context, rows []Row) (status int) {
	text := os.Getenv(orderVariable)
	_ = os.Unsetenv(orderVariable) // processes that a competitor starts have another purpose
	sample, err := follow(ctx, text, rows)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(sample)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func follow(ctx context.Context, text string, rows []Row) (Sample, error) {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return Sample{}, fmt.Errorf("%s: %w", orderVariable, err)
	}
	for _, row := range rows {
		for _, competitor := range row.Competitors {
			if row.Name != o.Row || competitor.Name != o.Competitor {
				continue
			}
			runtime.GC()
			m := NewMeter(o.Scale)
			err := competitor.Run(ctx, m)
			return m.Sample(), err
		}
	}
	return Sample{}, fmt.Errorf("no competitor %q in a row %q", o.Competitor, o.Row)
}

// runInChild has a new process of this program do the run. When ctx ends the
// child is killed: it has nothing to clean up.
func runInChild(ctx context.Context, o order) (Sample, error) {
	program, err := os.Executable()
	if err != nil {
		return Sample{}, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return Sample{}, err
	}
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), orderVariable+"="+string(text))
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return Sample{}, errors.Join(err, errors.New(firstLines(complaints.String())))
	}
	var sample Sample
	err = json.Unmarshal(out.Bytes(), &sample)
	return sample, err
}

// firstLines returns the beginning of what a child complained, which may be
// the stacks of all its goroutines.
func firstLines(text string) string {
	const most = 1000
	return text[:min(len(text), most)]
}
