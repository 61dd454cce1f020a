// Quickstart turns a slow loop into a pool of workers.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/troupe-go/troupe/task"
)

// slow stands for a request, a query, a long computation. It ends with ctx.
func slow(ctx context.Context, x int) (int, error) {
	select {
	case <-time.After(100 * time.Millisecond):
		return x * x, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func run(ctx context.Context, out io.Writer) error {
	square := task.MustNew(slow, task.Workers(8))
	defer square.Stop()

	ten := square.Submit(ctx, 10) // a *task.Future[int], at once
	numbers := []int{1, 2, 3, 4, 5, 6, 7, 8}
	for v, err := range square.Map(ctx, slices.Values(numbers)) { // in order, as they come
		if err != nil {
			return err
		}
		fmt.Fprint(out, v, " ")
	}
	v, err := ten.Await(ctx)
	fmt.Fprintln(out, v)
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}
