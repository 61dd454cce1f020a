package limits

import (
	"slices"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

// asking is a request that came by message. It is the Grantee of its ticket.
type asking struct {
	actor  *setActor
	sender *actor.PID
	holder *holder // nil if there is none to watch

	// Guarded by the actor's mu.
	ticket Ticket
	permit *Permit // the outcome
	err    error
}

// Granted implements [Grantee]. Whoever made the grant possible must not wait
// for what the asker does with the answer, so the actor sends it.
func (k *asking) Granted(p *Permit, err error) {
	a := k.actor
	a.mu.Lock()
	late := a.over
	if late && p != nil {
		err = errActorStopped
	}
	dead := k.settle(p, err)
	if !late && !dead {
		a.outbox = append(a.outbox, k)
	}
	first := !late && len(a.outbox) == 1
	a.mu.Unlock()
	switch {
	case dead:
		p.Release()
	case late: // and so the actor cannot
		p.Release()
		a.answer(k.sender, actor.Result[*Permit]{Err: err})
	case first:
		a.root.Send(a.self.Load(), sendAnswers{})
	}
}

// now answers at once, on the actor's goroutine.
func (k *asking) now(p *Permit, err error) {
	k.actor.mu.Lock()
	k.settle(p, err)
	k.actor.mu.Unlock()
	k.answer()
}

// settle notes the outcome, and a permit with its holder; true if that one has
// terminated. The actor is locked.
func (k *asking) settle(p *Permit, err error) (dead bool) {
	delete(k.actor.waiting, k)
	k.permit, k.err = p, err
	if k.holder == nil || p == nil {
		return k.holder != nil && k.holder.dead
	}
	if !k.holder.dead && !k.actor.over {
		k.holder.add(p)
	}
	return k.holder.dead
}

// answer sends the outcome to the asker.
func (k *asking) answer() {
	k.actor.answer(k.sender, actor.Result[*Permit]{Value: k.permit, Err: k.err})
}

// sendAnswers tells the actor that there are outcomes to be sent.
type sendAnswers struct{}

// sendAnswers sends all outcomes that are there.
func (a *setActor) sendAnswers() {
	a.mu.Lock()
	all := a.outbox
	a.outbox = nil
	a.mu.Unlock()
	each(all, (*asking).answer)
}

// A holder is an actor that is watched for the sake of its permits.
type holder struct {
	pid     *actor.PID
	dead    bool
	permits []*Permit
	sweepAt int // the number of permits at which those released are dropped
}

// add remembers a permit until it is released, which the holder may do without
// a word; the list therefore stays within twice as many as it holds.
func (h *holder) add(p *Permit) {
	if len(h.permits) >= h.sweepAt {
		h.sweep()
	}
	h.permits = append(h.permits, p)
}

// sweep drops the permits that have been released.
func (h *holder) sweep() {
	h.permits = slices.DeleteFunc(h.permits, func(p *Permit) bool { return p.done.Load() })
	h.sweepAt = max(16, 2*len(h.permits))
}

// holderOf returns who is to be watched for the permit that m asks for: the
// Holder it names, else the sender if that is an actor of this engine, whose
// mailbox may go down with the answer in it. Anything else (a future, an actor
// elsewhere) either takes a message at once or is not there to be told.
func (a *setActor) holderOf(ctx proto.Context, m AcquireMsg) *holder {
	if m.Holder != nil {
		return a.watch(ctx, m.Holder)
	}
	ref, _ := ctx.ActorSystem().ProcessRegistry.Get(ctx.Sender())
	if _, ok := ref.(*proto.ActorProcess); !ok {
		return nil
	}
	return a.watch(ctx, ctx.Sender())
}

// watch returns the holder at pid, which is watched from now on.
func (a *setActor) watch(ctx proto.Context, pid *actor.PID) *holder {
	a.mu.Lock()
	h := a.holders[pid.String()]
	known := h != nil
	if !known {
		h = &holder{pid: pid}
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
	defer each(held, (*Permit).Release) // also if one who is let through by the others' leaving ends the goroutine
	a.giveUp(func(k *asking) bool { return k.holder == h }, func(*asking) {})
}
