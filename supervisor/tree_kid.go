package supervisor

import (
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/internal/host"
)

// kid is what a tree knows of a child.
type kid struct {
	name  string
	child Child

	// Written by the loop under Tree.mu, read by it without.
	state    string
	restarts int
	lastErr  string

	// For the loop only. The zero presence is that of a child that does not
	// live.
	presence
	aim     aim
	gentle  bool // aim was commanded for this child alone: it may drain, out of order
	replies []func(error)
}

// presence is what changes with each incarnation of a child.
type presence struct {
	target
	alive     bool
	done      *atomic.Bool // a service has returned nil
	suspended bool         // it failed, and the engine keeps its mail
	due       *time.Timer  // of its restart in place; nil: there is none to come
	told      told
	halter    host.Halter // of a pool that was told to halt
	halted    bool        // and has, or was suspended already
	limit     *time.Timer // of that halt, if a round waits for it
	patience  *time.Timer // with its stop, when the tree gives up
	passed    bool        // that is over: nobody waits for it any more
}

// aim is what is to become of a child that is on its way down.
type aim int

const (
	stay  aim = iota // it is not
	again            // started again, in its turn
	rest             // stays down
	leave            // is removed from the tree
)

// told is the strongest thing that a child was told so far.
type told int

const (
	nothing told = iota
	toHalt
	toDrain
	toCease // as toStop, for a tree that is to stop its children in order
	toStop
)

func newKid(name string, c Child) *kid { return &kid{name: name, child: c, state: StateIdle} }

// down reports whether the child need not be waited for: it is gone, or a pool
// that will be revived.
func (k *kid) down() bool { return !k.alive || k.passed || k.halted && k.aim == again }

// disarm forgets a restart to come.
func (k *kid) disarm() {
	if k.due != nil {
		k.due.Stop()
		k.due = nil
	}
}

// letGoOn undoes a halt, if there is one.
func (k *kid) letGoOn() {
	if k.limit != nil {
		k.limit.Stop()
	}
	if k.halter != nil {
		k.halter.Continue()
	}
	k.limit, k.halter, k.halted = nil, nil, false
}

// clear forgets the incarnation, with its timers.
func (k *kid) clear() {
	k.disarm()
	k.letGoOn()
	if k.patience != nil {
		k.patience.Stop()
	}
	k.presence = presence{}
}

// reply answers the commands that wait for this child.
func (k *kid) reply(err error) {
	for _, answer := range k.replies {
		answer(err)
	}
	k.replies = nil
}
