package pool

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
)

// router is the actor of a pool: its mailbox takes calls in the sender's
// goroutine, and the actor itself only makes workers and supervises them.
type router struct{ pool *Pool }

// begin starts the router at the pool's first use. Under mu; false if the
// pool takes no calls, and then refusal says why.
func (p *Pool) begin() bool {
	if p.phase != idle {
		return false
	}
	as := p.system.ActorSystem()
	props := p.rootProps()
	for n := 1; ; n++ {
		id := "task/" + p.name
		if n > 1 { // an abandoned function of an earlier pool holds the name
			id = fmt.Sprintf("%s-%d", id, n)
		}
		// Not from as.Root: that may carry spawn middleware of the user's, which
		// must not run under our lock.
		pid, err := proto.NewRootContext(as, nil).SpawnNamed(props, id)
		if err == nil {
			p.run(pid)
			return true
		}
		if !errors.Is(err, proto.ErrNameExists) {
			p.refusal = fmt.Errorf("task: %q cannot start: %w", p.name, err)
			return false
		}
	}
}

func (p *Pool) run(pid *proto.PID) {
	p.pid = pid
	p.phase = running
	if p.perMember() {
		for i := range p.size {
			p.addMember(i)
		}
	}
}

func (p *Pool) rootProps() *proto.Props {
	r := &router{pool: p}
	p.box = &mailbox{owner: r}
	p.ended = make(chan struct{})
	p.workers = proto.PropsFromProducer(func() proto.Actor { return shell{} },
		proto.WithMailbox(func() proto.Mailbox { return &p.spawning.box }),
		proto.WithDispatcher(&p.dispatch))
	return proto.PropsFromProducer(func() proto.Actor { return r },
		proto.WithMailbox(func() proto.Mailbox { return p.box }),
		proto.WithDispatcher(&p.dispatch))
}

// ErrLive is the error of spawning the Props of a pool that lives already.
var ErrLive = errors.New("task: the pool lives already; its Props can be spawned once")

// Props spawns the pool under any actor, in that actor's system.
func (p *Pool) Props() *proto.Props {
	return proto.PropsFromProducer(func() proto.Actor { return &router{pool: p} },
		proto.WithSpawnFunc(func(as *proto.ActorSystem, id string, _ *proto.Props, parent proto.SpawnerContext) (*proto.PID, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			switch {
			case p.phase > running:
				return nil, p.refusal
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
		if _, err := s.Units().Add(p.name, "task", true, u); err != nil {
			return nil, fmt.Errorf("task: spawn of %q: %w", p.name, err)
		}
	}
	pid, err := proto.DefaultSpawner(s.ActorSystem(), id, p.rootProps(), parent)
	if s != p.system {
		if err != nil {
			s.Units().Remove(p.name, u)
			return nil, err
		}
		p.system.Units().Remove(p.name, u)
		p.system = s
	}
	if err != nil {
		return nil, err
	}
	p.run(pid)
	return pid, nil
}

// PID starts the pool and returns the router's address. That of a pool which
// was stopped before it started is where nobody lives.
func (p *Pool) PID() *proto.PID {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin()
	if p.pid == nil {
		p.pid = proto.NewPID(p.system.ActorSystem().Address(), "task/"+p.name)
	}
	return p.pid
}

// route implements owner: calls are taken in the sender's goroutine.
func (r *router) route(message any) bool {
	switch proto.UnwrapEnvelopeMessage(message).(type) {
	case proto.AutoReceiveMessage, proto.AutoRespond:
		return false
	}
	return r.pool.cfg.Receive(proto.UnwrapEnvelopeMessage(message), proto.UnwrapEnvelopeSender(message))
}

// Receive implements proto.Actor.
func (r *router) Receive(ctx proto.Context) {
	switch m := ctx.Message().(type) {
	case *router:
		r.woken(ctx)
	case *proto.Terminated:
		r.pool.lost(ctx, m.Who)
	case *proto.Stopping:
		r.pool.parentStops()
	case *proto.Stopped:
		close(r.pool.ended)
	}
}

func (r *router) before(any) {}
func (r *router) after(any)  {}

// woken makes workers while calls wait for one.
func (r *router) woken(ctx proto.Context) {
	p := r.pool
	p.mu.Lock()
	for w := p.wanted(); w != nil; w = p.wanted() {
		p.mu.Unlock()
		p.spawn(ctx, w)
		runtime.Gosched() // it may do all the work before we make another
		p.mu.Lock()
	}
	p.growing = false
	p.tellReady()
	p.mu.Unlock()
}

// wanted returns the next worker to make, if one is needed beside those that
// were made and have not reached the queue yet.
func (p *Pool) wanted() *worker {
	if p.phase >= stopping {
		return nil
	}
	if p.perMember() {
		for _, w := range p.members {
			if w != nil && w.state == starting && !w.spawned {
				w.spawned = true
				p.live++
				return w
			}
		}
		return nil
	}
	if !p.capacity() || len(p.ready) == 0 && (p.waiting <= p.unarrived || len(p.free) > 0) {
		return nil
	}
	w := newWorker(p, p.vacancy())
	w.spawned = true
	p.members[w.index] = w
	p.live++
	p.unarrived++
	return w
}

// vacancy returns the lowest free index.
func (p *Pool) vacancy() int {
	for ; p.vacant < len(p.members); p.vacant++ {
		if p.members[p.vacant] == nil {
			return p.vacant
		}
	}
	p.members = append(p.members, nil)
	return p.vacant
}

func (p *Pool) spawn(ctx proto.Context, w *worker) {
	p.spawning = w // for the mailbox; the router makes one worker at a time
	if _, err := ctx.SpawnNamed(p.workers, w.Name()); err != nil {
		// Only an actor that is still going down can hold the name.
		_, _ = ctx.SpawnNamed(p.workers, w.Name()+"-"+p.system.ActorSystem().ProcessRegistry.NextId())
	}
}

// lost is told that a worker's actor is gone.
func (p *Pool) lost(ctx proto.Context, who *proto.PID) {
	p.mu.Lock()
	if w := p.byPID(who); w != nil {
		p.live--
		i := int(w.index)
		switch {
		case p.perMember() && p.phase < stopping && i < p.size && !w.expelled:
			p.members[i] = p.heir(w)
			if w.queue.size() > w.queue.husks {
				p.due = append(p.due, p.members[i])
			}
		case p.perMember() && p.phase < stopping && p.expelled >= p.size:
			// It was the last: what waits in its queue ends with the pool.
		default:
			p.stats.gone.fold(&w.tally)
			p.members[i] = nil
			p.vacant = min(p.vacant, i)
			p.bequeath(w)
		}
	}
	p.rescue()
	w, more := p.summon()
	p.mu.Unlock()
	p.rouse(w, more)
}

// HandleFailure implements proto.SupervisorStrategy: the engine asks the
// router what to do about a worker that panicked.
func (r *router) HandleFailure(as *proto.ActorSystem, s proto.Supervisor, child *proto.PID, _ *proto.RestartStatistics, reason, _ any) {
	p := r.pool
	err, ok := reason.(error)
	if !ok {
		err = fmt.Errorf("%v", reason)
	}
	v := supervisor.Verdict{Directive: supervisor.Restart, Err: err}
	if p.cfg.Policy != nil {
		v = p.cfg.Policy.Next(time.Now(), &p.history, err)
	}
	switch v.Directive {
	case supervisor.Resume:
		r.publish(as, child, reason, proto.ResumeDirective)
		s.ResumeChildren(child)
		p.resumed(child)
	case supervisor.Restart:
		r.publish(as, child, reason, proto.RestartDirective)
		r.restart(s, child, v.Delay)
	case supervisor.Stop:
		r.publish(as, child, reason, proto.StopDirective)
		last := p.expel(child)
		s.StopChildren(child)
		if last {
			p.fail(fmt.Errorf("its policy stopped the last worker: %w", v.Err))
		}
	default:
		r.publish(as, child, reason, proto.EscalateDirective)
		p.fail(v.Err)
	}
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
	return p.expelled >= p.size
}

func (r *router) publish(as *proto.ActorSystem, child *proto.PID, reason any, d proto.Directive) {
	as.EventStream.Publish(&proto.SupervisorEvent{Child: child, Reason: reason, Directive: d})
}

func (r *router) restart(s proto.Supervisor, child *proto.PID, delay time.Duration) {
	p := r.pool
	children := p.scope(child)
	p.stats.restarts.Add(uint64(len(children)))
	if delay <= 0 {
		s.RestartChildren(children...)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase >= stopping { // the worker goes with its pool
		return
	}
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
			s.RestartChildren(children...)
		}
	})
	p.backoffs[t] = struct{}{}
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

// byPID finds a worker by the index in its name; under mu.
func (p *Pool) byPID(pid *proto.PID) *worker {
	_, name, _ := strings.Cut(pid.Id[strings.LastIndexByte(pid.Id, '/')+1:], "-")
	digits, _, _ := strings.Cut(name, "-")
	i, err := strconv.Atoi(digits)
	if err != nil || i >= len(p.members) {
		return nil
	}
	if w := p.members[i]; w != nil && w.pid != nil && w.pid.Id == pid.Id {
		return w
	}
	return nil
}
