package supervisor

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
)

// round is the restart of several children: all of them go down in reverse
// order, each gone before the next is told; then the delay; then they start in
// order. A failure meanwhile puts more children on their way down and begins
// the delay anew.
type round struct {
	delay time.Duration
	timer *time.Timer // runs since all are down
	due   bool
}

// step does what is next, as far as that is possible now.
func (r *runner) step() {
	for more := true; more; {
		more = false
		switch r.phase {
		case supervising:
			more = r.lower() && r.raise()
		case draining, failing, ceasing:
			if r.dismissAll() {
				r.finish()
			}
		}
	}
}

// lower tells the next child that has to go down, and reports whether there is
// none to wait for.
func (r *runner) lower() bool {
	for k := r.nextDown(); k != nil; k = r.nextDown() {
		if !r.bringDown(k) {
			return false
		}
	}
	return true
}

// nextDown returns the last started child that has to go down and is not; those
// that failed come after all others, since they do nothing any more.
func (r *runner) nextDown() *kid {
	var failed *kid
	for _, k := range slices.Backward(r.tree.kids) {
		if k.aim == stay || k.gentle || k.down() {
			continue
		}
		if !k.suspended {
			return k
		}
		if failed == nil {
			failed = k
		}
	}
	return failed
}

// bringDown tells k what it has to be told, and reports whether it is down. A
// pool is let go of its workers only: calls that wait for it must survive.
func (r *runner) bringDown(k *kid) bool {
	if k.aim == again && k.told < toDrain {
		if h := r.halterOf(k); h != nil {
			if k.suspended {
				k.halted = true
			} else {
				r.halt(k, h)
				r.limitHalt(k)
			}
			return k.halted
		}
	}
	r.stop(k)
	return false
}

// raise starts the children of the round, in order, once it is due. It reports
// whether a start failed: then there is something else to do.
func (r *runner) raise() (failed bool) {
	if r.round == nil {
		return false
	}
	if r.awaitDelay(r.round); !r.round.due {
		return false
	}
	r.abandonRound()
	for _, k := range slices.Clone(r.tree.kids) {
		if k.aim != again || k.gentle {
			continue
		}
		if err := r.up(k); err != nil && !r.over(k, err) {
			r.spawnFailed(k, err)
			return true // for whoever is left there is another round
		}
	}
	return false
}

func (r *runner) awaitDelay(round *round) {
	switch {
	case round.due || round.timer != nil:
	case round.delay <= 0:
		round.due = true
	default:
		round.timer = r.after(round.delay, func() { round.due = true })
	}
}

// hasten ends the delay.
func (r *runner) hasten(round *round) {
	round.delay = 0
	if round.timer != nil {
		round.timer.Stop()
		round.due = true
	}
}

func (r *runner) abandonRound() {
	if r.round != nil && r.round.timer != nil {
		r.round.timer.Stop()
	}
	r.round = nil
}

// up starts k anew: a pool that was halted goes on, all others are spawned.
func (r *runner) up(k *kid) error {
	k.aim, k.gentle = stay, false
	if !k.alive {
		kind := EventRestarted
		if k.state == StateIdle {
			kind = EventStarted
		}
		if err := r.spawn(k, kind); err != nil {
			return err
		}
		k.reply(nil)
		return nil
	}
	if k.suspended {
		r.revive(k)
	}
	k.letGoOn()
	k.suspended, k.told = false, nothing
	r.restarted(k)
	k.reply(nil)
	return nil
}

// restarted counts and tells a restart.
func (r *runner) restarted(k *kid) {
	r.tree.mu.Lock()
	k.state = StateRunning
	k.restarts++
	r.tree.mu.Unlock()
	r.tell(k, EventRestarted, nil)
}

// spawn starts k under its name. The kind is the event to tell.
func (r *runner) spawn(k *kid, kind EventKind) error {
	k.presence = presence{done: &atomic.Bool{}}
	pid, err := r.spawnNamed(k)
	if err != nil {
		return err
	}
	k.target, k.alive = seen(r.system, pid), true
	if sub, ok := k.child.(*Tree); ok {
		sub.awaitStart() // those after it may use what is in it
	}
	if k.process != nil && !isActor(k.process) {
		r.ctx.Watch(pid) // a router, say: the engine would not tell its parent
	}
	if kind == EventRestarted {
		r.restarted(k)
		return nil
	}
	r.setState(k, StateRunning, nil)
	r.tell(k, kind, nil)
	return nil
}

func isActor(p proto.Process) bool {
	_, ok := p.(*proto.ActorProcess)
	return ok
}

// spawnNamed contains panics of user code: Props, the actor's producer, its
// init functions. The last ones run when the name is registered already.
func (r *runner) spawnNamed(k *kid) (pid *proto.PID, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.system.ProcessRegistry.Remove(proto.NewPID(r.system.ProcessRegistry.Address, r.ctx.Self().Id+"/"+pathOf(k.name)))
			err = fmt.Errorf("supervisor: spawn panicked: %w", asError(p))
		}
	}()
	var props *proto.Props
	if s, ok := k.child.(*service); ok {
		done := k.done
		props = s.props(func() { done.Store(true) })
	} else {
		props = k.child.Props()
	}
	if props == nil {
		return nil, fmt.Errorf("supervisor: child %q has no Props", k.name)
	}
	return r.ctx.SpawnNamed(props, pathOf(k.name))
}
