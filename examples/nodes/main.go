// Nodes runs a batch of calls on three worker processes over TCP, kills one of them half-way, and shows what is lost: nothing
// of calls that may be run again, and of others those that were under way there, each with an error that says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "nodes:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("nodes", flag.ContinueOnError)
	n := flags.Int("n", 1000, "calls in a batch, at least 200")
	worker := flags.Bool("serve", false, "be one of the nodes: the arguments are the address, or an empty one, and the journal")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case *worker && flags.NArg() == 2:
		return serve(ctx, flags.Arg(0), flags.Arg(1), stdin, out)
	case *worker || flags.NArg() != 0:
		return errors.New("unexpected arguments")
	case *n < 200:
		return fmt.Errorf("-n %d: want at least 200", *n)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("not done in a minute"))
	defer cancel()
	return show(ctx, *n, out)
}

// show runs both batches on the same three nodes.
func show(ctx context.Context, n int, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "nodes")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	var fleet []*process
	defer func() {
		for _, p := range fleet {
			err = errors.Join(err, p.stop())
		}
	}()
	for i := range 3 {
		p := &process{name: fmt.Sprintf("node %d", i+1)}
		if err := p.start(dir); err != nil {
			return err
		}
		fleet = append(fleet, p)
		fmt.Fprintf(out, "%s serves at %s, %d calls at once\n", p.name, p.addr, capacity)
	}

	node, err := remote.Start(remote.Config{}) // of this process, through which it reaches the others
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop(context.WithoutCancel(ctx))) }()

	again := &batch{first: 0, n: n, node: node, fleet: fleet, dir: dir, out: out, again: true}
	once := &batch{first: n, n: n, node: node, fleet: fleet, dir: dir, out: out}
	fmt.Fprintf(out, "\n%d calls that may be run again, task.Idempotent:\n", n)
	if err := again.run(ctx, task.Idempotent()); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d calls that are run at most once, the default:\n", n)
	return once.run(ctx)
}
