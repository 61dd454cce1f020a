// Package cell is one call in memory: the state of its future, the context it
// was submitted with and its place in a queue, in one allocation that the
// generic layers extend with the argument and the result.
//
// A cell is completed exactly once: whoever wins [Cell.Claim] writes the
// outcome and then calls [Cell.Publish]. Everybody else loses quietly.
package cell

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// State is where a cell stands.
//
//	Open ──Start──▶ Running ──Claim──▶ claimed ──Publish──▶ Done
//	  │ ◀──Reopen────┘                    ▲
//	  └──────────────Claim────────────────┘
type State uint64

const (
	Open    State = iota // a plain future, or a call that nobody runs now
	Running              // a worker is inside the function
	claimed              // somebody is writing the outcome
	Done                 // the outcome can be read
)

const (
	stateMask uint64 = 3
	aborted   uint64 = 1 << 2 // ended by someone other than its function
	queued    uint64 = 1 << 3 // held by a queue; guarded by the queue's lock
	asked     uint64 = 1 << 4 // its function has asked for Done
	hosting   uint64 = 1 << 5 // see Host
	idShift          = 8
)

// Why says for what reason a call was ended by somebody else than its function.
type Why int

// The reasons.
const (
	Cancelled Why = iota // by its Future, its caller's ctx, or a message
	TimedOut
	Stopped // with the pool
	Failed  // before its function could begin
)

// Owner is what stands behind a cell that is a call. Ended is called once,
// after the claim and before the outcome is published, when anybody but the
// function itself ends the call.
type Owner struct {
	Ended func(c *Cell, from State, why Why, cause error)

	// Help may run a call that nobody has begun on the goroutine of someone
	// who is about to wait for it; Expect may see to it that it is run.
	Help   func(c *Cell, ctx context.Context)
	GaveUp func(c *Cell) // a wait has ended before the call; nil: no interest
	Expect func(c *Cell)
	Log    func() *slog.Logger // where panics of callbacks go; nil: slog.Default
	Spec   any                 // the engine's own view of the owner
}

// Cell must be the first field of whatever embeds it. With an argument and a
// result of a word each it fills one cache line; whatever most calls do without
// is in Ext.
type Cell struct {
	word    atomic.Uint64
	waiters atomic.Pointer[waiter]
	Owner   *Owner // nil for a plain future; set before the cell is shared
	failure *error // written between Claim and Publish; nil: none

	Stamp int64               // engine time of submission, in ns; 0: not taken
	Ext   atomic.Pointer[Ext] // rare parts, made when first needed
}

// SetID stores the call's number, once.
func (c *Cell) SetID(id uint64) { c.word.Or(id << idShift) }

// Enlist is SetID and SetQueued at once.
func (c *Cell) Enlist(id uint64) { c.word.Or(id<<idShift | queued) }

// ID returns the call's number, 0 for a plain future.
func (c *Cell) ID() uint64 { return c.word.Load() >> idShift }

// State returns the state now; claimed shows as Running.
func (c *Cell) State() State {
	if s := State(c.word.Load() & stateMask); s != claimed {
		return s
	}
	return Running
}

// IsDone reports whether the outcome can be read.
func (c *Cell) IsDone() bool { return State(c.word.Load()&stateMask) == Done }

// IsOpen reports whether nobody has begun or ended the call.
func (c *Cell) IsOpen() bool { return State(c.word.Load()&stateMask) == Open }

// settled reports whether somebody has won the outcome, readable or not.
func (c *Cell) settled() bool { return State(c.word.Load()&stateMask) >= claimed }

// Aborted reports whether the call was ended by someone other than its function.
func (c *Cell) Aborted() bool { return c.word.Load()&aborted != 0 }

// Stirred reports whether the call is Aborted, or its function has asked for
// Done. Whoever runs many items as one call learns from it, at the price of one
// look, that there is something to do between two of them.
func (c *Cell) Stirred() bool { return c.word.Load()&(aborted|asked) != 0 }

// Queued reports whether a queue holds the cell; only under the queue's lock.
func (c *Cell) Queued() bool { return c.word.Load()&queued != 0 }

// SetQueued notes that a queue holds the cell; only under the queue's lock.
func (c *Cell) SetQueued() { c.word.Or(queued) }

// ClearQueued undoes SetQueued; only under the queue's lock.
func (c *Cell) ClearQueued() { c.word.And(^queued) }

// Start moves an open cell to Running and reports whether it did.
func (c *Cell) Start() bool { return c.move(Open, Running) }

// Reopen moves a running cell back to Open, for another attempt.
func (c *Cell) Reopen() bool { return c.move(Running, Open) }

func (c *Cell) move(from, to State) bool {
	for {
		w := c.word.Load()
		if State(w&stateMask) != from {
			return false
		}
		if c.word.CompareAndSwap(w, w&^stateMask|uint64(to)) {
			return true
		}
	}
}

// Host notes that something goes on inside the call which its function's end
// has to wait for, and reports whether that is still possible: the call is
// Running. Whoever ends the function looks at Hosting afterwards.
func (c *Cell) Host() bool {
	for {
		w := c.word.Load()
		if State(w&stateMask) != Running {
			return false
		}
		if c.word.CompareAndSwap(w, w|hosting) {
			return true
		}
	}
}

// Hosting reports whether Host was ever granted.
func (c *Cell) Hosting() bool { return c.word.Load()&hosting != 0 }

// Claim takes the right to complete the cell. It returns the state the cell
// was in and whether the claim was won.
func (c *Cell) Claim() (from State, won bool) { return c.claim(Running, 0) }

// ClaimRunning takes the right to complete the cell if it is Running.
func (c *Cell) ClaimRunning() bool { return c.move(Running, claimed) }

func (c *Cell) claim(last State, flags uint64) (State, bool) {
	for {
		w := c.word.Load()
		s := State(w & stateMask)
		if s > last {
			return s, false
		}
		if c.word.CompareAndSwap(w, w&^stateMask|uint64(claimed)|flags) {
			return s, true
		}
	}
}

// Publish makes the outcome readable and wakes whoever waits for it. Only the
// winner of the claim may call it, after writing the value.
func (c *Cell) Publish(err error) {
	c.fail(err)
	c.word.Or(uint64(Done)) // claimed is 2, Done is 3
	c.wake()
	c.announce()
}

// show is Publish without the callbacks, for which announce has to follow. It
// is written out there because it is not inlined.
func (c *Cell) show(err error) {
	c.fail(err)
	c.word.Or(uint64(Done))
	c.wake()
}

// fail stores the error. Most calls have none, so it has no room of its own.
func (c *Cell) fail(err error) {
	if err != nil {
		kept := err // else every err would go to the heap
		c.failure = &kept
	}
}

// wake wakes the parked waiters. A waiter pushes itself and then looks at the
// state; we have set the state and then look for waiters. One of the two sees
// the other.
func (c *Cell) wake() {
	if c.waiters.Load() != nil {
		c.flush()
	}
}

// announce closes the Done channel and runs the callbacks.
func (c *Cell) announce() {
	if w := c.watched(); w != nil {
		w.fire(c.Owner)
	}
}

// ClaimOutside takes the right to complete the cell for anybody but its
// function, and tells the owner; cause is what the function's ctx ends with.
// It must not be called under a lock of the owner.
func (c *Cell) ClaimOutside(cause error) bool { return c.claimOutside(Running, Cancelled, cause) }

// claimOutside claims the cell if it is not beyond last.
func (c *Cell) claimOutside(last State, why Why, cause error) bool {
	from, won := c.claim(last, aborted)
	if won && c.Owner != nil {
		c.Owner.Ended(c, from, why, cause)
	}
	return won
}

// Abort ends the call from outside, with cause as its error, and reports
// whether this call did. It must not be called under a lock of the owner.
func (c *Cell) Abort(why Why, cause error) bool {
	if !c.claimOutside(Running, why, cause) {
		return false
	}
	c.Publish(cause)
	return true
}

// AbortOpen is Abort for a call that nobody runs now; others it leaves alone.
func (c *Cell) AbortOpen(why Why, cause error) bool {
	if !c.claimOutside(Open, why, cause) {
		return false
	}
	c.Publish(cause)
	return true
}

// Err returns the outcome's error; only after IsDone.
func (c *Cell) Err() error {
	if c.failure == nil {
		return nil
	}
	return *c.failure
}
