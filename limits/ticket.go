package limits

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
)

var errNilGrantee = errors.New("limits: nil grantee")

// The states of a ticket. Only the first changes, once:
//
//	waiting --granted, or all its Sets closed--> settled
//	   \------------- Cancel -----------------> cancelled
const (
	waiting int32 = iota
	settled
	cancelled
)

// A ticket is a request that waits: at one Set, or at several of a Pool, of
// which the first that can grant it takes it. Whoever changes its state then
// owns its outcome and tells it.
type ticket struct {
	ready   chan struct{} // closed to tell a caller that blocks; or
	to      Grantee       // told
	entries []*entry      // set before the first is queued
	buf     [1]*entry
	own     place // of the first entry

	state  atomic.Int32
	open   atomic.Int32 // entries at Sets that have not been closed
	permit *Permit      // the outcome: set by who settles it, before it is told
	err    error
	after  *ticket // in a list of tickets
}

// A place is an entry with the permit that it waits for.
type place struct {
	entry  entry
	permit Permit
}

// newTicket returns a ticket for the one to be told, nil for a caller that
// blocks in wait.
func newTicket(to Grantee) *ticket {
	t := &ticket{to: to}
	if to == nil {
		t.ready = make(chan struct{})
	}
	t.entries = t.buf[:0]
	return t
}

// place adds an entry that takes need from s, not queued yet.
func (t *ticket) place(s *Set, need []int64) *entry {
	p := &t.own
	if len(t.entries) > 0 {
		p = new(place)
	}
	p.permit.init(s, need)
	p.entry.ticket, p.entry.permit = t, &p.permit
	t.entries = append(t.entries, &p.entry)
	t.open.Add(1)
	return &p.entry
}

// settle claims the outcome of t. It is the only way to it, so that of several
// Sets, a Close and a Cancel exactly one decides.
func (t *ticket) settle() bool { return t.state.CompareAndSwap(waiting, settled) }

func (t *ticket) cancelled() bool { return t.state.Load() == cancelled }

// wait blocks until t is told of its outcome or ctx ends.
func (t *ticket) wait(ctx context.Context) (*Permit, error) {
	select {
	case <-t.ready:
	case <-ctx.Done():
		if t.Cancel() {
			return nil, context.Cause(ctx)
		}
		// Settled at this very moment. Whoever did is about to say so; to
		// ignore it would lose what was granted.
		<-t.ready
	}
	return t.permit, t.err
}

// Cancel implements [Ticket].
func (t *ticket) Cancel() bool {
	if !t.state.CompareAndSwap(waiting, cancelled) {
		return false
	}
	var told tickets
	for _, e := range t.entries {
		told.join(e.permit.set.leave(e, true))
	}
	told.tell()
	return true
}

// tell passes the outcome on. No Set is locked.
func (t *ticket) tell() {
	if t.ready != nil {
		close(t.ready)
		return
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		if v == nil {
			v = "runtime.Goexit" // which still ends this goroutine
		}
		t.permit.Release()
		slog.Error("limits: panic in Granted", "grantee", fmt.Sprintf("%T", t.to), "panic", v)
	}()
	t.to.Granted(t.permit, t.err)
	returned = true
}

// tickets is a list of settled tickets which are to be told of it.
type tickets struct{ head, tail *ticket }

func (ts *tickets) add(t *ticket) { ts.join(tickets{head: t, tail: t}) }

func (ts *tickets) join(more tickets) {
	switch {
	case more.head == nil:
	case ts.head == nil:
		*ts = more
	default:
		ts.tail.after = more.head
		ts.tail = more.tail
	}
}

// tell tells each ticket in order, and ends its wait at the other Sets of a
// Pool, which may let others through there.
func (ts tickets) tell() {
	if ts.head != nil {
		ts.each()
	}
}

// each does so. A Grantee may end the goroutine; those behind it, who have been
// granted what they waited for, are then told on its way out.
func (ts tickets) each() {
	defer func() { ts.tell() }()
	for ts.head != nil {
		t := ts.head
		ts.head = t.after
		if len(t.entries) > 1 {
			for _, e := range t.entries {
				ts.join(e.permit.set.leave(e, false))
			}
		}
		t.tell()
	}
}
