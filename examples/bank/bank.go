package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

type order struct {
	number, amount int
	from, to       string
}

type bank struct {
	ledger         *ledger
	crash          map[string]moment // postings that crash their member when they are first tried
	branches       *task.Worker[*branch]
	opened, closed atomic.Int32

	mu  sync.Mutex
	out io.Writer // members print too
}

func (k *bank) printf(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fmt.Fprintf(k.out, format, args...)
}

func newBank(crash map[string]moment, out io.Writer) (k *bank, err error) {
	k = &bank{ledger: newLedger(), crash: crash, out: out}
	k.branches, err = task.NewWorker(k.open, task.Name("branches"), task.Workers(8),
		task.Supervise(supervisor.Policy{MaxRestarts: 1000, Within: time.Minute}),
		task.Retries(task.RetryPolicy{
			Max: 3, Backoff: task.Constant(time.Millisecond),
			On: func(a task.Attempt) bool { k.printf("  %v\n", a.Err); return true },
		}))
	return k, err
}

func (k *bank) open(context.Context) (*branch, error) {
	k.opened.Add(1)
	return &branch{bank: k, accounts: map[string]*account{}}, nil
}

// transfer asks two members, one after the other. They do not ask each other: with transfers both ways at once they
// would wait in a circle, and be told ErrWouldDeadlock.
func (k *bank) transfer(ctx context.Context, o order) (struct{}, error) {
	ctx = context.WithoutCancel(ctx) // what is begun is finished
	post := func(half, name string, amount int) error {
		p := posting{id: fmt.Sprintf("transfer %d %s", o.number, half), account: name, amount: amount}
		_, err := task.AskKey(ctx, k.branches, name, (*branch).post, p).Await(ctx)
		return err
	}
	if err := post("out", o.from, -o.amount); err != nil {
		return struct{}{}, err
	}
	err := post("in", o.to, o.amount)
	if errors.Is(err, errClosed) {
		err = errors.Join(err, post("back", o.from, o.amount))
	}
	return struct{}{}, err
}

// audit compares what the members say with the ledger, while no transfer is under way.
func (k *bank) audit(ctx context.Context) (total int, err error) {
	booked, said := k.ledger.balances(), map[string]*task.Future[int]{}
	for name := range booked {
		said[name] = task.AskKey(ctx, k.branches, name, (*branch).balance, name)
	}
	balances, err := task.GatherMap(ctx, said)
	if err != nil {
		return 0, err
	}
	for name, balance := range balances {
		if total += balance; balance != booked[name] || balance < 0 {
			return 0, fmt.Errorf("%s: %d are booked, and its member says %d", name, booked[name], balance)
		}
	}
	if total != accounts*opening {
		return 0, fmt.Errorf("%d of %d are left", total, accounts*opening)
	}
	return total, nil
}

// close waits for the transfers that are under way, for the last audit, and prints what the supervisor did.
func (k *bank) close(transfers *task.Task[order, struct{}]) error {
	if left := transfers.Stop().Abandoned; left > 0 {
		return fmt.Errorf("%d transfers are still under way", left)
	}
	total, err := k.audit(context.Background())
	k.branches.Stop()
	s := k.branches.Stats()
	k.printf("restarts: %d, postings tried again: %d; branches opened: %d, closed: %d\n", s.Restarts, s.Retries, k.opened.Load(), k.closed.Load())
	k.printf("total: %d\n", total)
	return err
}
