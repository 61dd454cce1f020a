package pool

import (
	"errors"
	"fmt"
	"strings"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/host"
	"github.com/troupe-go/troupe/supervisor"
)

// ErrLive is the error of spawning the Props of a pool that lives already.
var ErrLive = errors.New("task: the pool lives already; its Props can be spawned once")

// Props spawns the pool under any actor, in that actor's system. A pool that
// has ended because its parent did can be spawned again: parents restart.
func (p *Pool) Props() *proto.Props {
	return proto.PropsFromProducer(func() proto.Actor { return &router{pool: p} },
		proto.WithSpawnFunc(func(as *proto.ActorSystem, id string, _ *proto.Props, parent proto.SpawnerContext) (*proto.PID, error) {
			p.awaitOrphan()
			p.mu.Lock()
			defer p.mu.Unlock()
			switch {
			case p.phase == stopped && p.orphaned:
				p.revive()
			case p.phase > running:
				return nil, host.Over{Err: p.refusal}
			case p.phase == running:
				return nil, ErrLive
			}
			return p.spawnUnder(actor.Wrap(as), id, parent)
		}))
}

// spawnUnder starts the pool in s, whose it then is. Under mu.
func (p *Pool) spawnUnder(s *actor.System, id string, parent proto.SpawnerContext) (*proto.PID, error) {
	u := Unit{Pool: p}
	if s != p.system {
		if _, err := s.Units().Add(p.key, "task", true, u); err != nil {
			return nil, fmt.Errorf("task: spawn of %q: %w", p.name, err)
		}
	}
	pid, err := proto.DefaultSpawner(s.ActorSystem(), id, p.rootProps(), parent)
	if s != p.system {
		if err != nil {
			s.Units().Remove(p.key, u)
			return nil, err
		}
		p.system.Units().Remove(p.key, u)
		p.system = s
	}
	if err != nil {
		return nil, err
	}
	p.run(pid)
	return pid, nil
}

// awaitOrphan waits for the end of a stop that the pool's parent has begun.
func (p *Pool) awaitOrphan() {
	p.mu.Lock()
	over := p.over
	if !p.orphaned {
		over = nil
	}
	p.mu.Unlock()
	if over != nil {
		<-over
	}
}

// revive makes a stopped pool as new, but for its counters; under mu. Functions
// that an earlier life has left behind are still counted as busy.
func (p *Pool) revive() {
	for _, w := range p.members {
		if w != nil {
			w.stray = true
			p.stats.gone.fold(&w.tally)
		}
	}
	p.phase, p.refusal, p.failed, p.collapsed, p.orphaned = idle, nil, nil, false, false
	p.members, p.free, p.waking, p.due, p.dueLines, p.barred = nil, nil, nil, nil, nil, nil
	p.live, p.vacant, p.unarrived, p.expelled, p.batches = 0, 0, 0, 0, 0
	p.growing, p.asking, p.halted, p.held, p.armed = false, false, false, false, false
	p.holding, p.declined = 0, 0
	p.allowed, p.closed, p.early = 0, nil, nil
	p.settled, p.over, p.dispatchGone = nil, nil, nil
	p.stopCtx, p.stopRun = nil, nil
	p.report, p.history = Report{}, supervisor.History{}
	p.leftOut.Store(0)
	p.dispatch.Reopen()
	if _, err := p.system.Units().Add(p.key, p.kind(), true, Unit{Pool: p}); err != nil {
		p.logger().Warn("troupe: a pool comes back without its name, which somebody else has taken", "error", err)
	}
}

// routerGone is called when the router's actor has stopped, before anybody hears
// of it: whoever does, and makes another pool of that name, must find it free,
// and all states closed.
func (p *Pool) routerGone() {
	p.mu.Lock()
	over := p.over
	p.mu.Unlock()
	release(p.ended)
	if over != nil {
		<-over
	}
}

// poisoned drains the pool: whoever poisons an actor wants it to finish first.
func (p *Pool) poisoned() {
	p.mu.Lock()
	p.orphaned = p.orphaned || !p.finished && (p.phase == running || p.collapsed)
	p.mu.Unlock()
	p.dispatch.Schedule(func() {
		if settled := p.beginDrain(); settled != nil {
			<-settled
		}
		p.shutdown(p.cfg.Faults.Stopped(), p.cfg.Faults.StopCause())
	})
}

// hold keeps the router from making workers while the engine restarts it: that
// waits for the last of them to go. Calls keep waiting meanwhile.
func (p *Pool) hold() {
	if p.solo != nil { // it has no worker: its state is renewed in its turn
		p.dispatch.Schedule(func() {
			p.turnstile <- struct{}{}
			p.closeState(p.solo.member)
			<-p.turnstile
		})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = true
	p.rescue()
}

// goOn is called when the router has started, and when it has been restarted.
func (p *Pool) goOn() {
	p.mu.Lock()
	if !p.held {
		p.mu.Unlock()
		return
	}
	p.held = false
	p.history = supervisor.History{}
	p.pardon()
	p.reopen()
	p.resume()
}

// pardon gives the places back that the policy has closed; under mu.
func (p *Pool) pardon() {
	p.expelled, p.barred, p.vacant = 0, nil, 0
	for i := 0; p.perMember() && i < p.size; i++ { // nobody has replaced those
		switch w := p.occupant(i); {
		case w == nil:
			p.addMember(i)
		case w.expelled:
			p.members[i] = p.heir(w)
		}
	}
}

// collapse ends all calls because the policy gave up; what becomes of the pool,
// its parent decides.
func (p *Pool) collapse(cause error) {
	p.mu.Lock()
	if p.phase >= stopping {
		p.mu.Unlock()
		return
	}
	p.failed = p.cfg.Faults.Failed(cause)
	if p.phase == running { // else a drain is on its way, and stays the last word
		p.phase, p.collapsed = draining, true
		p.before = p.endedByThemselves()
	}
	p.refusal = p.failed
	err := p.failed
	waiting, inHand := p.everything()
	ready := p.ready
	p.ready = nil
	p.mu.Unlock()
	p.system.Log().Error("troupe: a pool gave up", p.kind(), p.name, "error", cause)
	for _, r := range ready {
		r <- err
	}
	p.end(waiting, inHand, err, err)
	p.mu.Lock()
	p.calm()
	p.mu.Unlock()
}

// reopen takes calls again after a collapse; under mu.
func (p *Pool) reopen() {
	if p.collapsed && p.phase == draining {
		p.phase, p.collapsed, p.refusal, p.failed = running, false, nil, nil
		p.renew()
	}
}

// resumedByParent is called when the parent has forgiven the pool, and whenever
// else the engine resumes it.
func (p *Pool) resumedByParent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.collapsed || p.halted || p.held {
		return
	}
	p.reopen()
	for _, w := range p.members {
		if w != nil && w.state == failed { // the one that the pool gave up for
			if ref, ok := p.system.ActorSystem().ProcessRegistry.Get(w.pid); ok {
				ref.SendSystemMessage(w.pid, &proto.Restart{})
			}
		}
	}
}

// Owns implements host.Halter.
func (u Unit) Owns(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.pid != nil && u.pid.Id == id
}

// Adopted is for [host.Adopted].
func (u Unit) Adopted() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.pid != nil && u.phase < stopped && !strings.HasPrefix(u.pid.Id, u.kind()+"/")
}

// Halt implements host.Halter.
func (u Unit) Halt(done func()) {
	p := u.Pool
	if p.solo != nil {
		p.haltSolo(done)
		return
	}
	p.mu.Lock()
	p.halted = true
	p.onHalt = append(p.onHalt, done)
	var pids []*proto.PID
	for _, w := range p.members {
		if w != nil && w.spawned {
			w.retire = true // also one that has not arrived
			if w.pid != nil && w.state != gone {
				pids = append(pids, w.pid)
			}
		}
	}
	halted := p.haltedNow()
	p.rescue() // what waits inside for a worker that was to be made
	p.mu.Unlock()
	p.stopWorkers(pids)
	tellAll(halted)
}

func tellAll(told []func()) {
	for _, fn := range told {
		fn()
	}
}

// haltedNow returns whom to tell that the last worker of a halted pool is gone;
// under mu.
func (p *Pool) haltedNow() (done []func()) {
	if p.live > 0 {
		return nil
	}
	done, p.onHalt = p.onHalt, nil
	return done
}

// Continue implements host.Halter. Whoever has halted the pool and still waits
// for that need not any more.
func (p *Pool) Continue() {
	p.mu.Lock()
	p.halted = false
	release(p.onward)
	p.onward = nil
	halted := p.onHalt
	p.onHalt = nil
	p.resume()
	tellAll(halted)
}

// resume lets the router make workers again, unless somebody else forbids it.
// It is called with mu held, which it releases.
func (p *Pool) resume() {
	box := p.box.Load()
	if p.halted || p.held || p.phase >= stopping || box == nil {
		p.mu.Unlock()
		return
	}
	p.growing = true
	for i, q := range p.lines {
		if q != nil && q.head() != nil {
			p.dueLines = append(p.dueLines, i)
		}
	}
	p.mu.Unlock()
	box.poke()
}
