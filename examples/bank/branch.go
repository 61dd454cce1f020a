package main

import (
	"context"
	"errors"

	"github.com/troupe-go/troupe/task"
)

const closed = "account-13" // takes no money

var (
	errNoMoney = errors.New("not enough money")
	errClosed  = errors.New("account is closed")
)

// moment is when a branch crashes.
type moment int

const (
	never moment = iota
	beforeBooking
	afterBooking
)

// branch is the state of one member. It has the accounts whose keys are its own, and nobody else has them, so it needs
// no lock. After a crash a fresh branch takes its place, which finds them in the ledger.
type branch struct {
	bank     *bank
	accounts map[string]*account
}

func (b *branch) account(name string) *account {
	if b.accounts[name] == nil {
		b.accounts[name] = b.bank.ledger.load(name)
	}
	return b.accounts[name]
}

// post books p, unless that was done before. A refusal is for certain: nothing was booked, and asking again is no use.
// After any other error the caller cannot know, and has to ask again.
func (b *branch) post(ctx context.Context, p posting) (balance int, err error) {
	a := b.account(p.account)
	if a.booked[p.id] {
		return a.balance, nil
	}
	crash := b.bank.crash[p.id]
	if task.Info(ctx).Attempt > 1 {
		crash = never
	}
	if crash == beforeBooking {
		panic(p.id + ": crash before it is booked")
	}
	if p.account == closed && p.amount > 0 {
		return 0, task.Permanent(errClosed)
	}
	if a.balance+p.amount < 0 {
		return 0, task.Permanent(errNoMoney)
	}
	b.bank.ledger.book(p)
	if crash == afterBooking {
		panic(p.id + ": crash between ledger and balance")
	}
	a.booked[p.id] = true
	a.balance += p.amount
	return a.balance, nil
}

func (b *branch) balance(_ context.Context, name string) (int, error) {
	return b.account(name).balance, nil
}

// Close is called once for each branch, also when a crash ended it.
func (b *branch) Close() error {
	b.bank.closed.Add(1)
	return nil
}
