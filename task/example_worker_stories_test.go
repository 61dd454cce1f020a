package task_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// Journal outlives the members that write to it.
type Journal struct{ lines []int }

// Account is a state that can be made again from its journal.
type Account struct {
	journal *Journal
	balance int
}

func (a *Account) Pay(_ context.Context, amount int) (int, error) {
	if amount == 13 {
		a.balance = -1 // halfway through
		panic(errors.New("unlucky"))
	}
	a.journal.lines = append(a.journal.lines, amount)
	a.balance += amount
	return a.balance, nil
}

// Restart a worker: a call that panics fails alone. Its member gets a fresh
// state, and the calls that wait are kept, until the budget of restarts is spent.
func Example_restartAWorker() {
	ctx := context.Background()
	journal := &Journal{}
	account := task.MustNewWorker(func(context.Context) (*Account, error) {
		a := &Account{journal: journal}
		for _, amount := range journal.lines {
			a.balance += amount
		}
		return a, nil
	}, task.Name("account"), task.Supervise(supervisor.Policy{MaxRestarts: 1}))
	defer account.Stop()

	for _, amount := range []int{5, 13, 2, 13, 3} {
		balance, err := task.Ask(ctx, account, (*Account).Pay, amount).Await(ctx)
		switch {
		case errors.Is(err, task.ErrFailed):
			fmt.Println("too many restarts:", account.Name(), "has failed for good")
		case errors.Is(err, task.ErrPanicked):
			fmt.Println("failed:", errors.Unwrap(err))
		default:
			fmt.Println("balance:", balance)
		}
	}
	// Output:
	// balance: 5
	// failed: unlucky
	// balance: 7
	// failed: unlucky
	// too many restarts: account has failed for good
}
