package main

import "sync"

// posting moves money into an account, or out of it. The id makes it safe to ask again: it is booked once.
type posting struct {
	id      string // of the transfer, and which part of it
	account string
	amount  int
}

// ledger stands for a database. It outlives the members; what is in it has happened.
type ledger struct {
	mu    sync.Mutex
	lines map[string][]posting // by account
}

func newLedger() *ledger {
	l := &ledger{lines: map[string][]posting{}}
	for n := range accounts {
		l.book(posting{id: "opening", account: name(n), amount: opening})
	}
	return l
}

func (l *ledger) book(p posting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines[p.account] = append(l.lines[p.account], p)
}

// balances adds up what was booked.
func (l *ledger) balances() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]int{}
	for name, lines := range l.lines {
		for _, p := range lines {
			all[name] += p.amount
		}
	}
	return all
}

// load makes an account of its lines in the ledger.
func (l *ledger) load(name string) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &account{booked: map[string]bool{}}
	for _, p := range l.lines[name] {
		a.balance += p.amount
		a.booked[p.id] = true
	}
	return a
}

type account struct {
	balance int
	booked  map[string]bool
}
