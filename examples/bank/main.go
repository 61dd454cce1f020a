// Bank keeps accounts in the members of a stateful worker, and its money together while members crash.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"os/signal"

	"github.com/troupe-go/troupe/task"
)

const accounts, opening = 100, 100 // how many, and with how much each

func name(n int) string { return fmt.Sprintf("account-%02d", n) }

// orders makes n transfers for a day, always the same.
func orders(day, n int) iter.Seq[order] {
	random := rand.New(rand.NewPCG(uint64(day), 0))
	return func(yield func(order) bool) {
		for i := range n {
			from := random.IntN(accounts)
			to := (from + 1 + random.IntN(accounts-1)) % accounts
			if !yield(order{number: day*n + i, amount: 1 + random.IntN(50), from: name(from), to: name(to)}) {
				return
			}
		}
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bank:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bank", flag.ExitOnError)
	days := flags.Int("days", 5, "an audit ends each")
	n := flags.Int("n", 2000, "transfers a day")
	_ = flags.Parse(args)

	crash := map[string]moment{} // on purpose
	for i := 50; i < *days**n; i += 1000 {
		crash[fmt.Sprintf("transfer %d out", i)] = afterBooking
		crash[fmt.Sprintf("transfer %d in", i+300)] = afterBooking
		crash[fmt.Sprintf("transfer %d out", i+600)] = beforeBooking
	}
	k, err := newBank(crash, out)
	if err != nil {
		return err
	}
	defer k.branches.Stop()
	transfers, err := task.New(k.transfer, task.Name("transfers"), task.Workers(1000))
	if err != nil {
		return err
	}
	defer transfers.Stop()

	for day := 0; day < *days && ctx.Err() == nil; day++ {
		var done, refused, returned, failed int
		for _, err := range transfers.Map(ctx, orders(day, *n), task.Unordered(), task.Window(*n)) {
			switch {
			case err == nil:
				done++
			case errors.Is(err, errClosed):
				returned++
			case errors.Is(err, errNoMoney):
				refused++
			case ctx.Err() == nil:
				failed++
			}
		}
		k.printf("day %d: %d transfers, %d without enough money, %d returned, %d failed\n", day+1, done, refused, returned, failed)
		if ctx.Err() == nil {
			if _, err := k.audit(ctx); err != nil {
				return fmt.Errorf("audit: %w", err)
			}
		}
	}
	return errors.Join(context.Cause(ctx), k.close(transfers))
}
