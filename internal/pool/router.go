package pool

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	proto "github.com/asynkron/protoactor-go/actor"
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
		id := p.kind() + "/" + p.key
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
	p.refusal = nil
	if p.perMember() {
		for i := range p.size {
			p.addMember(i)
		}
	}
	if p.cfg.Site != nil {
		p.resting = false
		p.cfg.Site.Start(p)
	}
}

func (p *Pool) rootProps() *proto.Props {
	r := &router{pool: p}
	box := &mailbox{owner: r}
	p.box.Store(box)
	p.ended = make(chan struct{})
	p.workers = proto.PropsFromProducer(func() proto.Actor { return shell{} },
		proto.WithMailbox(func() proto.Mailbox { return &p.spawning.box }),
		proto.WithDispatcher(&p.dispatch))
	return proto.PropsFromProducer(func() proto.Actor { return r },
		proto.WithMailbox(func() proto.Mailbox { return box }),
		proto.WithDispatcher(&p.dispatch))
}

// PID starts the pool and returns the router's address. That of a pool which
// was stopped before it started is where nobody lives.
func (p *Pool) PID() *proto.PID {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin()
	if p.pid == nil {
		p.pid = proto.NewPID(p.system.ActorSystem().Address(), p.kind()+"/"+p.key)
	}
	return p.pid
}

// route implements owner: calls are taken in the sender's goroutine.
func (r *router) route(message any) bool {
	switch proto.UnwrapEnvelopeMessage(message).(type) {
	case *proto.PoisonPill:
		r.pool.poisoned()
		return true
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
	case *proto.Restarting:
		r.pool.hold()
	case *proto.Started:
		r.pool.goOn()
	case *proto.Stopping:
		r.pool.parentStops()
	case *proto.Stopped:
		r.pool.routerGone()
	}
}

func (r *router) before(any) {}

func (r *router) after(message any) {
	if _, resume := message.(*proto.ResumeMailbox); resume {
		r.pool.resumedByParent()
	}
}

// woken makes workers while calls wait for one.
func (r *router) woken(ctx proto.Context) {
	p := r.pool
	if (p.solo != nil || p.cfg.Site != nil) && r.handUp(ctx) {
		return
	}
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
	if p.phase >= stopping || p.over != nil || p.halted || p.held || p.holding > 0 {
		return nil
	}
	if p.perMember() {
		for _, w := range p.members {
			if w != nil && w.state == starting && !w.spawned && (p.cfg.State == nil || len(p.ready) > 0 || w.queue.head() != nil) {
				w.spawned = true
				p.live++
				return w
			}
		}
		return nil
	}
	index := p.vacantLine()
	if index < 0 {
		if !p.capacity() || p.bounded() && p.live >= p.allowed || len(p.ready) == 0 && (p.waiting-p.lined-p.declined <= p.unarrived || len(p.free) > 0) {
			return nil
		}
		index = p.vacancy()
	}
	for len(p.members) <= index {
		p.members = append(p.members, nil)
	}
	w := newWorker(p, index)
	w.spawned = true
	p.members[w.index] = w
	p.live++
	p.unarrived++
	return w
}

// vacancy returns the lowest free index.
func (p *Pool) vacancy() int {
	for ; p.vacant < len(p.members); p.vacant++ {
		if p.members[p.vacant] == nil && !slices.Contains(p.barred, p.vacant) {
			return p.vacant
		}
	}
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
			if w.expelled {
				p.realign()
			}
			p.owe(w)
		}
	}
	if p.live == 0 {
		p.declined = 0
	}
	halted := p.haltedNow()
	p.rescue()
	w, more := p.summon()
	if len(p.ready) > 0 && !p.growing {
		p.growing, more = true, true
	}
	moved := p.takeMoved()
	p.mu.Unlock()
	p.rouse(w, more)
	tellAll(halted)
	p.lookAgain(moved)
}

// byPID finds a worker by the index in its name; under mu.
func (p *Pool) byPID(pid *proto.PID) *worker {
	_, name, _ := strings.Cut(pid.Id[strings.LastIndexByte(pid.Id, '/')+1:], "-")
	digits, _, _ := strings.Cut(name, "-")
	i, err := strconv.Atoi(digits)
	if err != nil || i >= len(p.members) {
		return nil
	}
	if w := p.members[i]; w != nil && w.pid == pid {
		return w
	}
	return nil
}
