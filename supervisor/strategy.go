package supervisor

import (
	"fmt"
	"log/slog"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
)

// Strategy returns p for use in anybody's Props:
//
//	proto.PropsFromProducer(newParent, proto.WithSupervisor(policy.Strategy()))
//
// One strategy may serve any number of supervisors; each has its own budget and
// backoff, counted over all its children, and forgotten when it is gone. With
// [RestForOne] use [Policy.Option] instead: the engine does not remember in
// which order children started, and Strategy alone can only assume that none
// but the last started was ever stopped.
//
// Each failure is published once, when it is decided, as the engine's own
// strategies do it: a *SupervisorEvent on the system's event stream. While a
// restart waits for its delay, all children that it concerns are suspended and
// their mail is kept; a further failure among them costs nothing. Children of
// one scope restart side by side, not one after another.
//
// Escalation goes to the parent of the supervisor. A supervisor that has none,
// or is guarded by a proto.WithGuardian strategy, cannot hand a failure up
// without harm: at a root, the engine's default strategy would restart it; a
// guardian may end the process. There, and in a guardian itself, Escalate and a
// spent budget stop the children in scope, with an error in the system's log. A
// guardian knows no siblings, so that its scope is always the failed child. If
// the parent of a supervisor resumes it, the child that failed below stays
// suspended until it is restarted or stopped.
//
// A child that panics while it stops is not restarted: its stop is completed.
// If its Stopped handler is what panicked, its watchers are not told; only the
// supervisor is. A child that somebody else stops before a restart reaches it
// stays gone; if it is still stopping then, it may start once more, and is
// stopped at once.
func (p Policy) Strategy() proto.SupervisorStrategy { return newStrategy(p) }

// strategy carries out what a Policy decides. The engine calls HandleFailure
// on the goroutine of the supervisor, or, for a guardian, on that of the child.
type strategy struct {
	policy Policy
	ledger ledger
}

func newStrategy(p Policy) *strategy { return &strategy{policy: p} }

// failure is one call of HandleFailure.
type failure struct {
	system     *proto.ActorSystem
	supervisor proto.Supervisor
	ctx        proto.Context // the supervisor, if it is an actor and no guardian
	record     *record       // of the supervisor
	child      *proto.PID
	reason     any // what the child panicked with
	message    any // what it was working on
}

// HandleFailure implements proto.SupervisorStrategy.
func (s *strategy) HandleFailure(system *proto.ActorSystem, supervisor proto.Supervisor, child *proto.PID,
	_ *proto.RestartStatistics, reason, message any,
) {
	ctx, _ := supervisor.(proto.Context)
	f := &failure{
		system: system, supervisor: supervisor, ctx: ctx, record: s.ledger.of(supervisor),
		child: child, reason: reason, message: message,
	}
	if f.leaving() {
		f.publish(Stop, reason)
		f.finish()
		return
	}
	// Decide is user code: it must not run under the lock of the record.
	d, err := s.policy.ask(asError(reason))
	if (d == Restart || d == Resume) && f.record.restarting(child) {
		f.publish(Restart, reason)
		return
	}
	s.carryOut(f, f.record.settle(s.policy, d, err))
}

func (s *strategy) carryOut(f *failure, v Verdict) {
	switch v.Directive {
	case Restart:
		f.publish(Restart, f.reason)
		f.restart(f.scope(s.policy.Scope), v.Delay)
	case Resume:
		f.publish(Resume, f.reason)
		f.resume()
	case Stop:
		f.publish(Stop, f.reason)
		f.stop(f.scope(s.policy.Scope))
	case Escalate:
		s.escalate(f, v.Err)
	}
}

// escalate hands the failure to the supervisor's parent, if that is safe. A
// decision of Decide keeps the original reason, for deciders further up that
// look at its type.
func (s *strategy) escalate(f *failure, err error) {
	reason := f.reason
	if gave, ok := err.(*gaveUp); ok { //nolint:errorlint // whether this very failure spent the budget, not one below
		reason = gave
	}
	if f.hasParent() {
		f.record.forget() // whatever the parent does, it starts a new count
		f.publish(Escalate, reason)
		f.supervisor.EscalateFailure(reason, f.message)
		return
	}
	contain(f.system.Logger(), func() {
		f.system.Logger().Error("supervisor: no parent to escalate to, children stopped",
			slog.Any("failed", f.child), slog.Any("scope", s.policy.Scope), slog.Any("error", err))
	})
	f.publish(Stop, reason)
	f.stop(f.scope(s.policy.Scope))
}

// hasParent reports whether the supervisor may fail: it is an actor under
// another one. A guardian panics when it is asked for more than restarting,
// stopping and resuming, on a goroutine where nobody recovers. It is known by
// being a Process and a Supervisor in one.
func (f *failure) hasParent() bool {
	if f.ctx == nil {
		return false
	}
	process, ok := f.system.ProcessRegistry.Get(f.ctx.Parent())
	_, guardian := process.(proto.Supervisor)
	return ok && !guardian
}

// scope returns the children that share the fate of the failed one, in the
// order of their start.
func (f *failure) scope(s Scope) []*proto.PID {
	if s == OneForOne || f.ctx == nil {
		return []*proto.PID{f.child}
	}
	children := f.record.inOrder(f.ctx.Children())
	for i, pid := range children {
		if pid.Equal(f.child) {
			if s == RestForOne {
				return children[i:]
			}
			return children
		}
	}
	return []*proto.PID{f.child} // gone already
}

func (f *failure) stop(children []*proto.PID) {
	f.record.leave(f.system, false, children...)
	f.supervisor.StopChildren(children...)
}

// publish tells the event stream. Its subscribers are user code, and under a
// guardian nobody else would recover.
func (f *failure) publish(d Directive, reason any) {
	contain(f.system.Logger(), func() {
		f.system.EventStream.Publish(&proto.SupervisorEvent{Child: f.child, Reason: reason, Directive: d.proto()})
	})
}

// restart sends the children their restart after delay. Nothing waits
// meanwhile but a timer; a timer that finds the supervisor gone does nothing.
func (f *failure) restart(children []*proto.PID, delay time.Duration) {
	var targets []target
	for _, pid := range children {
		targets = append(targets, seen(f.system, pid))
	}
	f.hold(targets)
	r := f.record.schedule(targets)
	if delay <= 0 {
		f.fire(r)
		return
	}
	if f.ctx == nil {
		time.AfterFunc(delay, func() { f.fire(r) })
		return
	}
	// The children of an actor are its own to look at: the future carries
	// the timer onto its goroutine. It has no timeout of its own so that it
	// can be dropped instead of becoming a dead letter.
	self, registry := seen(f.system, f.ctx.Self()), f.system.ProcessRegistry
	future := proto.NewFuture(f.system, -1)
	f.ctx.ReenterAfter(future, func(any, error) { f.fire(r) })
	time.AfterFunc(delay, func() {
		if !self.present(f.system) {
			registry.Remove(future.PID())
		} else if process, ok := registry.Get(future.PID()); ok {
			process.Stop(future.PID())
		}
	})
}

// hold suspends the children that are to be restarted with the failed one,
// which the engine has suspended itself. Otherwise they would go on working
// beside a dead sibling during the delay, and, where they have children to
// stop first, even during their restart.
func (f *failure) hold(targets []target) {
	for _, t := range targets {
		if t.process != nil && !t.pid.Equal(f.child) {
			t.process.SendSystemMessage(t.pid, &proto.SuspendMailbox{})
		}
	}
}

// fire carries out a restart that is due. Whoever has gone meanwhile is left
// alone, also if somebody else has got its name. Whoever is being stopped by
// others comes back in the engine, and is stopped again.
func (f *failure) fire(r *restart) {
	targets := f.record.take(r)
	if goingDown(f.supervisor) {
		return
	}
	for _, t := range targets {
		f.revive(t)
	}
}

func (f *failure) revive(t target) {
	if !t.present(f.system) {
		return
	}
	sendProbed(f.system, t, &proto.Restart{}, func() {
		f.record.leave(f.system, false, t.pid)
		t.process.SendSystemMessage(t.pid, &proto.Stop{})
	})
}

// resume lets the child go on. Should it be stopping, and have missed the
// engine's final step because of the panic, then its stop is completed.
func (f *failure) resume() {
	t := seen(f.system, f.child)
	if _, ok := f.message.(*proto.Terminated); ok && t.process != nil {
		sendProbed(f.system, t, &proto.ResumeMailbox{}, f.finish)
		return
	}
	f.supervisor.ResumeChildren(f.child)
}

// asError returns what an actor panicked with as an error.
func asError(reason any) error {
	if err, ok := reason.(error); ok && err != nil {
		return err
	}
	return fmt.Errorf("supervisor: actor panicked: %v", reason)
}
