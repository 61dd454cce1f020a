package supervisor

import (
	"log/slog"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/internal/host"
)

// halterOf returns the pool behind k, if it is one.
func (r *runner) halterOf(k *kid) host.Halter {
	if k.halter != nil {
		return k.halter
	}
	switch k.child.(type) {
	case *Tree, *service:
		return nil
	}
	if h, ok := r.host.Units().Lookup(k.name).(host.Halter); ok && h.Owns(k.pid.Id) {
		return h
	}
	for _, u := range r.host.Units().Units() { // it was given under a name of its own
		if h, ok := u.(host.Halter); ok && h.Owns(k.pid.Id) {
			return h
		}
	}
	return nil
}

// halt has a pool let its workers go; then the child is down.
func (r *runner) halt(k *kid, h host.Halter) {
	if k.told >= toHalt {
		return
	}
	k.halter, k.told = h, toHalt
	was := k.target
	h.Halt(func() {
		r.post(func() {
			if !k.alive || k.target != was || k.told != toHalt {
				return
			}
			k.halted = true
			if k.gentle && k.aim == again {
				_ = r.up(k) // cannot fail: nothing is spawned
			}
		})
	})
}

// limitHalt bounds a halt that a round waits for. The pool may never get to its
// end: a call of another one, which halts only after it, may wait for this one.
// It is stopped then, with all its calls, and spawned in its turn.
func (r *runner) limitHalt(k *kid) {
	if k.halted || k.limit != nil {
		return
	}
	var limit *time.Timer
	limit = r.after(grace, func() {
		if k.limit != limit || k.told != toHalt || k.halted || k.gentle || k.aim != again {
			return
		}
		contain(r.host.Log(), func() {
			r.host.Log().Warn("supervisor: a pool has not ended its calls in time for a restart and is stopped",
				slog.String("tree", r.tree.name), slog.String("child", k.name), slog.Duration("after", grace))
		})
		r.stop(k)
	})
	k.limit = limit
}

// stop tells k to stop now: a tree in its order, unless there is no time for it
// or it has failed and has stopped its children already.
func (r *runner) stop(k *kid) {
	level, tell := toStop, r.ctx.Stop
	if sub, ok := k.child.(*Tree); ok && !r.forced && !k.suspended && !k.passed {
		if l := sub.current(); l != nil && l.of(k.target) {
			level, tell = toCease, func(*proto.PID) { l.post((*runner).cease) }
		}
	}
	if !k.alive || k.told >= level {
		return
	}
	k.disarm()
	k.told = level
	if k.aim != again {
		r.setState(k, StateStopping, nil)
	}
	r.record.leave(r.system, false, k.pid)
	tell(k.pid)
}

// drainChild tells k to stop when it has done what it has. What has failed does
// not look at its mail any more.
func (r *runner) drainChild(k *kid) {
	if k.suspended {
		r.stop(k)
		return
	}
	if !k.alive || k.told >= toDrain {
		return
	}
	k.letGoOn() // it could not finish anything without workers
	k.told = toDrain
	r.setState(k, StateStopping, nil)
	r.ctx.Poison(k.pid)
}
