package supervisor

import (
	"fmt"
	"slices"

	proto "github.com/asynkron/protoactor-go/actor"
)

// drain begins an orderly stop.
func (r *runner) drain() {
	switch r.phase {
	case supervising:
		r.phase = draining
		r.beginClose()
	case escalated:
		r.ctx.Stop(r.ctx.Self())
	}
}

// force ends the draining: everything that still runs is stopped.
func (r *runner) force() { r.forced = true }

// cease begins the stop of a tree that the one above it stops: in order, too,
// but nothing is drained.
func (r *runner) cease() {
	switch r.phase {
	case supervising, draining, failing:
		r.phase = ceasing
		r.beginClose()
	case escalated, ending: // the engine may be about to restart it
		r.ctx.Stop(r.ctx.Self())
	case ceasing:
	}
}

// endOf is the error of a tree that fails because of k, though no restart of k
// was tried any more.
func (r *runner) endOf(k *kid, what string, cause error) *gaveUp {
	return &gaveUp{why: fmt.Sprintf("supervisor: child %q of tree %q %s", k.name, r.tree.name, what), cause: cause}
}

// fail begins the end of a tree that gives up because of cause. That is what
// its parent is told, unless there is another reason.
func (r *runner) fail(cause *gaveUp, reason, message any) {
	if r.phase != supervising {
		return
	}
	r.phase = failing
	r.cause, r.reason, r.message = cause, reason, message
	if reason == nil {
		r.reason = r.cause
	}
	r.beginClose()
}

func (r *runner) beginClose() {
	r.abandonRound()
	r.tree.mu.Lock()
	r.tree.state = StateStopping
	r.tree.mu.Unlock()
	r.abandonAims()
}

// abandonAims gives up all plans for children, but for those to be removed.
func (r *runner) abandonAims() {
	for _, k := range r.tree.kids {
		if k.aim == leave {
			continue
		}
		if k.aim == again {
			k.reply(r.tree.refuse(k.name, ErrStopped))
			if !k.alive && k.state != StateIdle { // it waited for its start
				r.setState(k, StateStopped, nil)
				r.tell(k, EventStopped, nil)
			}
		}
		k.aim, k.gentle = rest, false
	}
}

// dismissAll tells the next child to stop, and reports whether there is none to
// wait for. Forced, it waits for none before it tells the next.
func (r *runner) dismissAll() bool {
	all := true
	for _, k := range slices.Backward(r.tree.kids) {
		if !k.alive || k.passed {
			continue
		}
		r.dismiss(k)
		if !r.forced {
			return false
		}
		all = false
	}
	return all
}

func (r *runner) dismiss(k *kid) {
	if r.phase == draining && !r.forced {
		r.drainChild(k)
		return
	}
	if r.phase == failing && k.patience == nil {
		k.patience = r.after(grace, func() {
			if r.phase == failing || r.phase == ceasing {
				k.passed = true
				r.stop(k) // a tree: all at once now
			}
		})
	}
	r.stop(k)
}

// finish ends the tree when its children have ended, or were waited for long
// enough: the engine stops the actor when the last of them is gone.
func (r *runner) finish() {
	if r.phase == failing {
		r.giveUp()
		return
	}
	r.phase = ending
	r.ctx.Stop(r.ctx.Self())
}

// giveUp hands the failure to the parent; if there is none that can take it,
// or the tree is to stop anyway, it reports it and stops. It never goes to a
// guardian, which could end the process.
func (r *runner) giveUp() {
	s := text(r.cause)
	t := r.tree
	f := &failure{system: r.system, supervisor: r.super, ctx: r.ctx}
	up := f.hasParent()
	t.mu.Lock()
	up = up && !t.closed
	t.failure, t.lastErr, t.state = r.cause, s, StateFailed
	t.mu.Unlock()
	r.tell(nil, EventGaveUp, r.cause)
	if !up {
		r.phase = ending
		r.ctx.Stop(r.ctx.Self())
		if slices.ContainsFunc(t.kids, func(k *kid) bool { return k.alive }) {
			r.foretell()
		}
		return
	}
	r.phase = escalated
	r.ctx.Send(r.ctx.Self(), resumed{of: r})
	r.super.EscalateFailure(r.reason, r.message)
}

// foretell tells those who wait for the end of a failed tree, before it has
// come: whoever is stuck may hold it up for long. All others are told when the
// tree can be started again.
func (r *runner) foretell() {
	r.tree.mu.Lock()
	r.tree.conclude(r.cause)
	r.tree.mu.Unlock()
	r.life.report(r.cause)
}

// terminated notes the end of a child.
func (r *runner) terminated(who *proto.PID) {
	for _, k := range r.tree.kids {
		// The process, too: two may tell the end of one, and the second of
		// them comes when the name belongs to somebody new.
		if k.alive && k.pid.Equal(who) && !k.present(r.system) {
			r.ended(k)
			return
		}
	}
}

func (r *runner) ended(k *kid) {
	finished, unasked := k.done.Load(), k.told < toDrain
	k.clear()
	if k.aim == leave {
		r.tell(k, EventStopped, nil)
		r.remove(k)
		return
	}
	if k.aim == again && k.gentle {
		if err := r.up(k); err != nil {
			r.commandFailed(k, err)
		}
		return
	}
	if k.aim == again && !unasked && !finished {
		return // in its turn
	}
	k.aim = stay
	state, kind := StateStopped, EventStopped
	if finished {
		state, kind = StateDone, EventDone
	}
	r.setState(k, state, nil)
	r.tell(k, kind, nil)
	k.reply(r.tree.refuse(k.name, ErrStopped))
}

// commandFailed answers a command that could not start k.
func (r *runner) commandFailed(k *kid, err error) {
	k.aim, k.gentle = stay, false
	r.setState(k, StateStopped, err)
	r.tell(k, EventFailed, err)
	k.reply(r.tree.refuse(k.name, err))
}

func (r *runner) remove(k *kid) {
	t := r.tree
	t.mu.Lock()
	t.kids = slices.DeleteFunc(slices.Clone(t.kids), func(x *kid) bool { return x == k })
	t.mu.Unlock()
	k.reply(nil)
}
