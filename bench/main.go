package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"time"

	"github.com/troupe-go/troupe/bench/internal/harness"
	"github.com/troupe-go/troupe/remote"
)

// modules are those whose versions are printed.
var modules = []string{
	"github.com/troupe-go/troupe",
	"golang.org/x/sync",
	"golang.org/x/time",
	"go.uber.org/ratelimit",
	"github.com/panjf2000/ants/v2",
	"github.com/alitto/pond/v2",
	"github.com/sourcegraph/conc",
	"github.com/gammazero/workerpool",
	"github.com/asynkron/protoactor-go",
	"google.golang.org/grpc",
}

func main() {
	remote.Main()
	if isServer() {
		os.Exit(runServer(os.Stdin, os.Stdout, os.Stderr))
	}
	if harness.IsChild() {
		// Not a ctx that can end: watching one costs every competitor something.
		os.Exit(harness.RunChild(context.Background(), rows()))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := bench(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

// bench measures what args ask for and writes the table to out; how far it is
// goes to log.
func bench(ctx context.Context, args []string, out, log io.Writer) error {
	config, err := parse(args, log)
	if err != nil {
		return err
	}
	results, interrupted := harness.Measure(ctx, rows(), config)
	if len(results) == 0 {
		return errors.Join(interrupted, errors.New("nothing measured"))
	}
	fmt.Fprintf(out, "%s; %d rounds, scale %g\n\n", harness.Environment(time.Now(), modules...), config.Rounds, config.Scale)
	return errors.Join(interrupted, harness.WriteTable(out, results, subject))
}

// parse reads the command line.
func parse(args []string, log io.Writer) (harness.Config, error) {
	c := harness.Config{Subject: subject, Log: log}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.IntVar(&c.Rounds, "rounds", 5, "how often each row is run")
	flags.Float64Var(&c.Scale, "scale", 1, "multiplies the sizes of the workloads")
	flags.BoolVar(&c.Verbose, "v", false, "print every sample as it is taken")
	flags.Func("only", "measure rows whose name matches this `regexp`", pattern(&c.Only))
	flags.Func("peer", "measure competitors whose name matches this `regexp`, and the baseline", pattern(&c.Peers))
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	switch {
	case flags.NArg() > 0:
		return c, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case c.Rounds < 1:
		return c, fmt.Errorf("-rounds %d: want at least 1", c.Rounds)
	case c.Scale <= 0:
		return c, fmt.Errorf("-scale %g: want more than 0", c.Scale)
	}
	return c, nil
}

func pattern(to **regexp.Regexp) func(string) error {
	return func(s string) (err error) {
		*to, err = regexp.Compile(s)
		return err
	}
}
