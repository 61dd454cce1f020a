package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/internal/host"
)

// HandleFailure implements proto.SupervisorStrategy: the engine calls it on the
// tree's goroutine.
func (r *runner) HandleFailure(system *proto.ActorSystem, super proto.Supervisor, who *proto.PID,
	_ *proto.RestartStatistics, reason, message any,
) {
	f := &failure{
		system: system, supervisor: super, ctx: r.ctx, record: &r.record,
		child: who, reason: reason, message: message,
	}
	k := r.failing(who)
	if k == nil {
		f.publish(Stop, reason)
		f.stop([]*proto.PID{who})
		return
	}
	err := asError(reason)
	k.suspended = true
	r.noteFailure(k, err)
	switch {
	case f.leaving():
		f.publish(Stop, reason)
		if k.told == toCease {
			r.stop(k) // it may not come to that any more
		}
		f.finish()
	case r.phase != supervising || k.aim == leave || k.aim == rest:
		f.publish(Stop, reason)
		r.stop(k)
	default:
		r.judge(f, k, err)
	}
	r.step()
}

// failing returns the child that is meant by a failure, or nil: a zombie.
func (r *runner) failing(who *proto.PID) *kid {
	for _, k := range r.tree.kids {
		if k.alive && k.pid.Equal(who) {
			return k
		}
	}
	return nil
}

func (r *runner) noteFailure(k *kid, err error) {
	state := StateRestarting
	if k.told >= toDrain && k.aim != again || r.phase != supervising {
		state = StateStopping
	}
	r.setState(k, state, err)
	r.tell(k, EventFailed, err)
}

// judge asks the policy about a failure.
func (r *runner) judge(f *failure, k *kid, err error) {
	d, report := r.tree.policy.ask(err)
	if (d == Restart || d == Resume) && (k.due != nil || k.aim == again) {
		f.publish(Restart, f.reason) // one is on its way
		r.fold(k)
		return
	}
	v := r.tree.policy.settle(time.Now(), &r.history, d, report)
	switch v.Directive {
	case Restart:
		f.publish(Restart, f.reason)
		r.restart(k, v.Delay, err)
	case Resume:
		f.publish(Resume, f.reason)
		k.suspended = false
		r.setState(k, StateRunning, nil)
		f.resume()
	case Stop:
		f.publish(Stop, f.reason)
		r.stopScope(k)
	case Escalate:
		f.publish(f.gaveUp(), f.reason)
		r.escalate(k, d, v.Err, f.reason, f.message)
	}
}

// fold goes on with a restart that k is part of, and that it cannot take its
// own part in any more: it does not read its mail, nor does it halt.
func (r *runner) fold(k *kid) {
	switch {
	case k.told == toDrain:
		r.stop(k)
	case k.told == toHalt && !k.halted:
		k.halted = true
		if k.gentle {
			_ = r.up(k) // nothing is spawned
		}
	}
}

// restart restarts what shares the fate of k. A child alone stays in place, by
// the engine's own restart: that keeps its mail, and the pools know it.
func (r *runner) restart(k *kid, delay time.Duration, err error) {
	scope := r.scope(k)
	if len(scope) == 1 && k.alive {
		r.tell(k, EventRestarting, err)
		r.restartInPlace(k, delay)
		return
	}
	r.abandonRound()
	r.round = &round{delay: delay}
	for _, s := range scope {
		s.disarm()
		commanded := s.gentle
		s.gentle = false
		if s.aim == leave || s.aim == rest {
			continue
		}
		if s.aim != again || s == k || commanded {
			r.setState(s, StateRestarting, nil)
			r.tell(s, EventRestarting, err)
		}
		s.aim = again
	}
}

func (r *runner) restartInPlace(k *kid, delay time.Duration) {
	if delay > 0 {
		k.due = r.after(delay, func() { r.restartNow(k) })
		return
	}
	r.restartNow(k)
}

// restartNow ends the wait for a restart in place.
func (r *runner) restartNow(k *kid) {
	k.disarm()
	if !k.present(r.system) {
		return // its Terminated is on the way
	}
	r.revive(k)
	k.suspended = false
	r.restarted(k)
	k.reply(nil)
}

// revive sends the engine's restart, unless k has gone meanwhile.
func (r *runner) revive(k *kid) {
	f := &failure{system: r.system, supervisor: r.super, ctx: r.ctx, record: &r.record}
	f.revive(k.target)
}

// scope returns the children that share the fate of k, in start order, and k:
// those that live, or are on their way to.
func (r *runner) scope(k *kid) []*kid {
	kids := r.tree.kids
	switch r.tree.policy.Scope {
	case OneForOne:
		return []*kid{k}
	case RestForOne:
		kids = kids[slices.Index(kids, k):]
	}
	var scope []*kid
	for _, s := range kids {
		if s == k || s.alive || s.aim == again {
			scope = append(scope, s)
		}
	}
	return scope
}

func (r *runner) stopScope(k *kid) {
	for _, s := range r.scope(k) {
		s.disarm()
		s.gentle = false
		if s.aim != leave {
			s.reply(r.tree.refuse(s.name, ErrStopped))
		}
		switch {
		case !s.alive:
			s.aim = stay
			r.setState(s, StateStopped, nil)
			r.tell(s, EventStopped, nil)
		case s.aim != leave:
			s.aim = rest
			r.setState(s, StateStopping, nil)
		}
	}
}

// escalate gives up, because the budget is spent or because Decide said so: then
// the parent gets the original reason, for deciders further up that look at its
// type.
func (r *runner) escalate(k *kid, chosen Directive, err error, reason, message any) {
	if chosen == Escalate {
		r.fail(r.endOf(k, "failed", err), reason, message)
		return
	}
	gave := err.(*gaveUp) //nolint:errorlint,forcetypeassert // the error of this very failure, made by settle
	why := fmt.Sprintf("%v child %q of tree %q %s", ErrFailed, k.name, r.tree.name, r.tree.policy.spent())
	r.fail(&gaveUp{why: why, cause: gave.cause}, nil, message)
}

// gaveUp is what the engine's subscribers are told of a failure that the
// tree gives up about.
func (f *failure) gaveUp() Directive {
	if f.hasParent() {
		return Escalate
	}
	return Stop
}

// over reports whether k could not be started because its owner has stopped it.
// That is no failure of k, and no restart would help: it stays down.
func (r *runner) over(k *kid, err error) bool {
	var over host.Over
	if !errors.Is(err, ErrStopped) && !errors.As(err, &over) {
		return false
	}
	k.aim, k.gentle = stay, false
	r.setState(k, StateStopped, err)
	r.tell(k, EventStopped, nil)
	k.reply(r.tree.refuse(k.name, err))
	return true
}

// spawnFailed is the failure of a child that could not be started: one like any
// other, but there is nothing to restart in place, nor to resume.
func (r *runner) spawnFailed(k *kid, err error) {
	r.setState(k, StateRestarting, err)
	r.tell(k, EventFailed, err)
	k.aim = again
	d, report := r.tree.policy.ask(err)
	if d == Resume {
		d = Restart
	}
	v := r.tree.policy.settle(time.Now(), &r.history, d, report)
	switch v.Directive {
	case Restart:
		// Never at once: without bound and delay the loop would not come to
		// anything else.
		r.restart(k, max(v.Delay, 1), err)
	case Stop:
		r.stopScope(k)
	default:
		r.escalate(k, d, v.Err, err, nil)
	}
}
