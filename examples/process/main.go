// Process parses 2,000 inputs with a function that crashes, hangs and leaks on some of them. It runs in child
// processes, so that each of those costs one result and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// The task has to exist before main begins: the children look for it by its name.
var parsing = task.MustNew(parse, task.Name("parse"))

func main() {
	remote.Main() // in a child, this is where main ends
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "process:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	start := time.Now()
	printed := &lines{} // what children print goes to the log
	system := actor.NewSystem(actor.Logger(slog.New(slog.NewTextHandler(printed, nil))))
	children := remote.Processes(4, remote.MemoryLimit(192<<20), remote.KillGrace(50*time.Millisecond))
	safe := parsing.On(children, task.System(system), task.Timeout(time.Second),
		task.Supervise(supervisor.Policy{MaxRestarts: -1})) // here crashes are nothing special
	defer safe.Stop()

	in := inputs()
	seen, faults, i := make(map[string]*row), []error(nil), 0
	for v, err := range safe.Map(ctx, slices.Values(in)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name, number, _ := strings.Cut(in[i], "=")
		if outcome := outcomeOf(err); outcome != want[name] {
			faults = append(faults, fmt.Errorf("%s: %s (%w), want %s", in[i], outcome, err, want[name]))
		} else if err == nil && strconv.Itoa(v) != number {
			faults = append(faults, fmt.Errorf("%s: parsed as %d", in[i], v))
		}
		if seen[name] == nil {
			seen[name] = &row{err: err}
		}
		seen[name].count++
		i++
	}
	show(out, seen)
	fmt.Fprintf(out, "%d inputs in %.1f s, %d restarts, %d lines of children in the log\n",
		i, time.Since(start).Seconds(), safe.Stats().Restarts, printed.printed())
	if i != len(in) {
		faults = append(faults, fmt.Errorf("%d outcomes of %d inputs", i, len(in)))
	}
	return errors.Join(faults...)
}

// want is what becomes of each kind of input.
var want = map[string]string{
	"record": "result", "chatty": "result", "malformed": "error of the function", "panic": "*task.PanicError",
	"segfault": "*task.CrashError", "exit": "*task.CrashError", "leak": "*task.CrashError", "spin": "*task.TimeoutError",
}

// outcomeOf tells outcomes apart by their types.
func outcomeOf(err error) string {
	var crash *task.CrashError
	var panicked *task.PanicError
	var late *task.TimeoutError
	switch {
	case err == nil:
		return "result"
	case errors.As(err, &crash):
		return "*task.CrashError"
	case errors.As(err, &panicked):
		return "*task.PanicError"
	case errors.As(err, &late):
		return "*task.TimeoutError"
	}
	return "error of the function"
}

type row struct {
	count int
	err   error // the first
}

func show(out io.Writer, seen map[string]*row) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "INPUT\tCOUNT\tOUTCOME\tFOR EXAMPLE")
	for _, name := range []string{"record", "chatty", "malformed", "panic", "segfault", "exit", "leak", "spin"} {
		if r := seen[name]; r != nil {
			example := ""
			if r.err != nil {
				example = r.err.Error()
			}
			fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", name, r.count, outcomeOf(r.err), example)
		}
	}
	_ = table.Flush()
}
