package pool

import (
	"errors"
	"fmt"
	"slices"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/supervisor"
)

// HandleFailure implements proto.SupervisorStrategy: the engine asks the
// router what to do about a worker that panicked.
func (r *router) HandleFailure(as *proto.ActorSystem, s proto.Supervisor, child *proto.PID, _ *proto.RestartStatistics, reason, _ any) {
	p := r.pool
	if p.stopping() { // a restart would bring back to life what is being stopped
		s.StopChildren(child)
		return
	}
	err, unopened := p.failureOf(reason)
	v := p.verdict(err)
	f := failedChild{router: r, system: as, supervisor: s, pid: child, reason: err, unopened: unopened}
	f.carryOut(v)
}

// verdict asks the policy. The members that a place has taken along with it are
// one failure.
func (p *Pool) verdict(err error) supervisor.Verdict {
	var loss *place.Loss
	shared := errors.As(err, &loss)
	if p.cfg.Policy == nil || shared && loss.Free {
		return supervisor.Verdict{Directive: supervisor.Restart, Err: err}
	}
	for _, d := range p.losses { // those of several places may come by turns
		if shared && d.loss == loss {
			return d.verdict
		}
	}
	v := p.cfg.Policy.Next(time.Now(), &p.history, err)
	if shared {
		if len(p.losses) == mostDecided {
			p.losses = slices.Delete(p.losses, 0, 1)
		}
		p.losses = append(p.losses, decidedLoss{loss: loss, verdict: v})
	}
	return v
}

// decidedLoss is what the policy has said about the loss of a place.
type decidedLoss struct {
	loss    *place.Loss
	verdict supervisor.Verdict
}

// mostDecided bounds how many of them are remembered: more places than that are
// hardly lost in the same moment.
const mostDecided = 64

// failureOf returns the error that a worker's actor has panicked with, and
// whether its state could not be opened.
func (p *Pool) failureOf(reason any) (err error, unopened bool) { //nolint:revive // a kind of it
	var f *openFailure
	switch e := reason.(type) {
	case *openFailure:
		f = e
	case error:
		return e, false
	default:
		return fmt.Errorf("%v", reason), false
	}
	return f.error, true
}

// failedChild is a worker that the router has to decide about.
type failedChild struct {
	*router
	system     *proto.ActorSystem
	supervisor proto.Supervisor
	pid        *proto.PID
	reason     error
	unopened   bool
}

func (f failedChild) carryOut(v supervisor.Verdict) {
	p := f.pool
	gaveUp := v.Directive == supervisor.Escalate
	if f.unopened {
		told := f.reason
		if gaveUp {
			told = p.cfg.Faults.Failed(v.Err)
		}
		p.failOpening(f.pid, told)
	}
	switch v.Directive {
	case supervisor.Resume:
		f.publish(proto.ResumeDirective)
		if f.unopened {
			f.supervisor.StopChildren(f.pid)
			return
		}
		f.supervisor.ResumeChildren(f.pid)
		p.resumed(f.pid)
	case supervisor.Restart:
		f.publish(proto.RestartDirective)
		if f.unopened { // the next call makes another
			p.stats.restarts.Add(1)
			p.holdOff(v.Delay)
			f.supervisor.StopChildren(f.pid)
			return
		}
		f.restart(f.supervisor, f.pid, v.Delay)
	case supervisor.Stop:
		f.publish(proto.StopDirective)
		last := p.expel(f.pid)
		f.supervisor.StopChildren(f.pid)
		if last {
			f.escalate(lastStopped(v.Err))
		}
	default:
		f.publish(proto.EscalateDirective)
		f.escalate(v.Err)
	}
}

func lastStopped(err error) error {
	return fmt.Errorf("its policy stopped the last worker: %w", err)
}

// escalate hands the failure to the parent of the pool, if there is one that
// can decide about it, after everything in the pool has ended with it.
// Otherwise the pool is at its end.
func (f failedChild) escalate(err error) {
	if !f.hasParent() {
		f.pool.fail(err)
		return
	}
	f.pool.collapse(err)
	f.supervisor.EscalateFailure(err, nil)
}

// hasParent reports whether the router is the child of an actor. A guardian is
// none: asked for more than it can do, it ends the process.
func (f failedChild) hasParent() bool {
	ctx, ok := f.supervisor.(proto.Context)
	if !ok || ctx.Parent() == nil {
		return false
	}
	process, ok := f.system.ProcessRegistry.Get(ctx.Parent())
	_, guardian := process.(proto.Supervisor)
	return ok && !guardian
}

// holdOff keeps workers from being made until a backoff is over.
func (p *Pool) holdOff(delay time.Duration) {
	if delay <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase >= stopping {
		return
	}
	p.holding++
	p.after(delay, func() {
		p.mu.Lock()
		p.holding--
		p.growing = true
		p.mu.Unlock()
		p.box.Load().poke()
	})
}

// after runs fn after delay, unless the pool stops before; under mu.
func (p *Pool) after(delay time.Duration, fn func()) {
	if p.backoffs == nil {
		p.backoffs = make(map[*time.Timer]struct{})
	}
	var t *time.Timer
	t = time.AfterFunc(delay, func() {
		p.mu.Lock()
		_, due := p.backoffs[t]
		delete(p.backoffs, t)
		p.mu.Unlock()
		if due {
			fn()
		}
	})
	p.backoffs[t] = struct{}{}
}

// expel takes a worker out of the pool for good and reports whether it was the
// last. The workers of an on-demand pool have one call each in any case.
func (p *Pool) expel(child *proto.PID) (last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.byPID(child)
	if w == nil || p.cfg.OnDemand {
		return false
	}
	w.expelled = true
	p.expelled++
	if p.cfg.State != nil && !p.perMember() {
		p.barred = append(p.barred, int(w.index))
	}
	return p.expelled >= p.size
}

func (f failedChild) publish(d proto.Directive) {
	f.system.EventStream.Publish(&proto.SupervisorEvent{Child: f.pid, Reason: f.reason, Directive: d})
}

func (r *router) restart(s proto.Supervisor, child *proto.PID, delay time.Duration) {
	p := r.pool
	children := p.scope(child)
	p.stats.restarts.Add(uint64(len(children)))
	if delay <= 0 {
		p.restartNow(s, children)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase >= stopping { // the worker goes with its pool
		return
	}
	p.after(delay, func() { p.restartNow(s, children) })
}

// restartNow restarts those of the workers that are still the same and are to
// stay. A restart that comes after a stop would bring its worker back to life,
// hence under the lock that Halt takes before it tells anybody to stop.
func (p *Pool) restartNow(s proto.Supervisor, pids []*proto.PID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase >= stopping || p.over != nil || p.held {
		return
	}
	for _, pid := range pids {
		switch w := p.byPID(pid); {
		case w == nil || w.state == gone:
		case w.retire:
			s.StopChildren(pid)
		default:
			s.RestartChildren(pid)
		}
	}
}

// scope returns the workers that are restarted together with child.
func (p *Pool) scope(child *proto.PID) []*proto.PID {
	if p.cfg.Policy == nil || p.cfg.Policy.Scope == supervisor.OneForOne {
		return []*proto.PID{child}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var pids []*proto.PID
	found := p.cfg.Policy.Scope == supervisor.OneForAll
	for _, w := range p.members {
		if w == nil || w.pid == nil {
			continue
		}
		found = found || w.pid.Id == child.Id
		if found {
			pids = append(pids, w.pid)
		}
	}
	return pids
}

// resumed sends a worker back to work whose panic the policy forgave.
func (p *Pool) resumed(child *proto.PID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.byPID(child); w != nil && w.state == failed {
		p.restartDone(w)
	}
}
