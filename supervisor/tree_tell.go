package supervisor

import "github.com/troupe-go/troupe/internal/host"

// halterOf returns the pool behind k, if it is one.
func (r *runner) halterOf(k *kid) host.Halter {
	if k.halter != nil {
		return k.halter
	}
	if h, ok := r.host.Units().Lookup(k.name).(host.Halter); ok && h.Owns(k.pid.Id) {
		return h
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

// stop tells k to stop now.
func (r *runner) stop(k *kid) {
	if !k.alive || k.told >= toStop {
		return
	}
	k.disarm()
	k.told = toStop
	if k.aim != again {
		r.setState(k, StateStopping, nil)
	}
	r.record.leave(r.system, false, k.pid)
	r.ctx.Stop(k.pid)
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
	if k.halter != nil {
		k.halter.Continue() // it could not finish anything without workers
		k.halter, k.halted = nil, false
	}
	k.told = toDrain
	r.setState(k, StateStopping, nil)
	r.ctx.Poison(k.pid)
}
