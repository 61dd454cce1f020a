package limits

import (
	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

// asking is a request that came by message. It is the Grantee of its ticket.
type asking struct {
	actor  *setActor
	sender *actor.PID
	holder *holder // nil if nobody is named
	ticket Ticket  // guarded by the actor's mu
}

// Granted implements [Grantee].
func (k *asking) Granted(p *Permit, err error) {
	a := k.actor
	a.mu.Lock()
	delete(a.waiting, k)
	dead := k.holder != nil && k.holder.dead
	if p != nil && k.holder != nil && !dead {
		k.holder.add(p)
	}
	a.mu.Unlock()
	if dead {
		p.Release()
		return
	}
	a.answer(k.sender, actor.Result[*Permit]{Value: p, Err: err})
}

// A holder is an actor that is watched for the sake of its permits.
type holder struct {
	dead    bool
	permits []*Permit
	sweepAt int // the number of permits at which those released are dropped
}

// add remembers a permit until it is released, which the holder may do without
// a word; the list therefore stays within twice as many as it holds.
func (h *holder) add(p *Permit) {
	if len(h.permits) >= h.sweepAt {
		held := h.permits[:0]
		for _, q := range h.permits {
			if !q.done.Load() {
				held = append(held, q)
			}
		}
		clear(h.permits[len(held):])
		h.permits = held
		h.sweepAt = max(16, 2*len(held))
	}
	h.permits = append(h.permits, p)
}

// watch returns the holder at pid, which is watched from now on.
func (a *setActor) watch(ctx proto.Context, pid *actor.PID) *holder {
	a.mu.Lock()
	h := a.holders[pid.String()]
	known := h != nil
	if !known {
		h = &holder{}
		a.holders[pid.String()] = h
	}
	a.mu.Unlock()
	if !known {
		ctx.Watch(pid) // an actor that does not exist is answered with Terminated
	}
	return h
}

// bury takes back what a terminated holder had and asked for.
func (a *setActor) bury(pid *actor.PID) {
	a.mu.Lock()
	h := a.holders[pid.String()]
	delete(a.holders, pid.String())
	if h == nil {
		a.mu.Unlock()
		return
	}
	h.dead = true
	held := h.permits
	h.permits = nil
	a.mu.Unlock()
	a.giveUp(func(k *asking) bool { return k.holder == h })
	for _, p := range held {
		p.Release()
	}
}
