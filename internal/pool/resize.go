package pool

import (
	"context"
	"errors"
	"slices"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
)

var errSize = errors.New("task: Resize: want at least 1 worker")

// Resize changes how many workers there may be. Surplus workers finish what
// they have in hand.
func (p *Pool) Resize(n int) error {
	if n < 1 {
		return errSize
	}
	p.mu.Lock()
	if p.phase >= draining {
		err := p.refusal
		p.mu.Unlock()
		return err
	}
	p.size, p.expelled, p.barred, p.vacant = n, 0, nil, 0
	var stop []*proto.PID
	if p.phase == running {
		if p.perMember() {
			stop = p.resizeMembers()
		} else {
			stop = p.trim()
		}
	}
	p.realign()
	p.tellReady()
	p.rescue()
	w, grow := p.summon()
	moved := p.takeMoved()
	p.mu.Unlock()
	p.rouse(w, grow)
	p.stopWorkers(stop)
	p.lookAgain(moved)
	return nil
}

func (p *Pool) stopWorkers(pids []*proto.PID) {
	for _, pid := range pids {
		p.system.ActorSystem().Root.Stop(pid)
	}
}

// trim retires what is too much: idle workers at once, others when they have
// nothing in hand. Under mu.
func (p *Pool) trim() (stop []*proto.PID) {
	if p.cfg.State != nil {
		return p.trimMembers()
	}
	surplus := p.live - p.size
	for _, w := range p.members {
		if w != nil {
			w.retire = p.halted
			if w.state == gone {
				surplus--
			}
		}
	}
	for ; surplus > 0 && len(p.free) > 0; surplus-- {
		w := p.free[0]
		p.free = p.free[1:]
		w.state = gone
		stop = append(stop, w.pid)
	}
	for i := len(p.members) - 1; i >= 0 && surplus > 0; i-- {
		if w := p.members[i]; w != nil && w.state != gone && w.state != parked {
			w.retire = true
			surplus--
			if w.state == gated { // its call goes back to the queue
				stop = append(stop, w.pid)
			}
		}
	}
	return stop
}

// trimMembers retires the members from the top, since keys are given to places.
// Under mu.
func (p *Pool) trimMembers() (stop []*proto.PID) {
	for i, w := range p.members {
		if w == nil {
			continue
		}
		w.retire = i >= p.size || p.halted && w.spawned
		if w.retire && (w.state == parked || w.state == gated) {
			stop = append(stop, w.pid)
		}
	}
	return stop
}

// resizeMembers makes the members that are missing, and gives the calls of
// those that are too many to the others. Under mu.
func (p *Pool) resizeMembers() (stop []*proto.PID) {
	for i := range p.size {
		if i >= len(p.members) || p.members[i] == nil {
			p.addMember(i)
		}
		p.members[i].retire, p.members[i].expelled = p.halted && p.members[i].spawned, false
	}
	for i := p.size; i < len(p.members); i++ {
		w := p.members[i]
		if w == nil {
			continue
		}
		w.retire = true // one that is going may have been given calls since
		p.bequeath(w)
		switch {
		case w.state == parked:
			w.state = gone
			stop = append(stop, w.pid)
		case !w.spawned:
			p.stats.gone.fold(&w.tally) // of those whose place it took
			p.members[i] = nil
		}
	}
	if p.cfg.State != nil {
		p.rehome()
	}
	return stop
}

// armShrink starts the clock of IdleTimeout; under mu.
func (p *Pool) armShrink() {
	p.idleAt = p.now()
	if p.armed || p.phase >= stopping {
		return
	}
	p.armed = true
	if p.shrink == nil {
		p.shrink = time.AfterFunc(p.cfg.IdleTimeout, p.shrinkIfIdle)
		return
	}
	p.shrink.Reset(p.cfg.IdleTimeout)
}

func (p *Pool) shrinkIfIdle() {
	var stop []*proto.PID
	p.mu.Lock()
	left := p.cfg.IdleTimeout - time.Duration(p.now()-p.idleAt)
	switch {
	case p.phase != running || p.busy > 0 || p.waiting > 0 || p.awaited > 0 || len(p.ready) > 0:
		p.armed = false // the last worker to park starts the clock again
	case left > 0:
		p.shrink.Reset(left)
	default:
		p.armed = false
		for _, w := range p.members {
			if w != nil && w.state == parked {
				w.state = gone
				stop = append(stop, w.pid)
			}
		}
		p.free = nil
		p.rest()
	}
	p.mu.Unlock()
	p.stopWorkers(stop)
}

// Ready starts the workers and returns when all of them live. An on-demand
// pool has none to start.
func (p *Pool) Ready(ctx context.Context) error {
	p.mu.Lock()
	if p.phase != running && !p.begin() {
		err := p.refusal
		p.mu.Unlock()
		return err
	}
	if p.solo != nil {
		p.mu.Unlock()
		return p.readySolo(ctx)
	}
	if p.cfg.OnDemand || p.complete() {
		p.mu.Unlock()
		return nil
	}
	p.wake()
	told := make(chan error, 1)
	p.ready = append(p.ready, told)
	p.growing = true
	p.mu.Unlock()
	p.box.Load().poke()
	select {
	case err := <-told:
		return err
	case <-ctx.Done():
		p.mu.Lock()
		p.ready = slices.DeleteFunc(p.ready, func(c chan error) bool { return c == told })
		p.mu.Unlock()
		return context.Cause(ctx)
	}
}

// complete reports whether all workers live and have started, and have their
// states if they are members; under mu.
func (p *Pool) complete() bool {
	if p.cfg.State != nil {
		for i := range p.size {
			if w := p.occupant(i); !p.isBarred(i) && (w == nil || !w.member.held || w.tied || w.retire || w.state == gone || w.state == failed) {
				return false
			}
		}
		return true
	}
	if !p.perMember() {
		return p.live >= p.size-p.expelled && p.unarrived == 0
	}
	for i := range p.size {
		if w := p.members[i]; w != nil && w.state == starting {
			return false
		}
	}
	return true
}

func (p *Pool) tellReady() {
	if len(p.ready) == 0 || !p.complete() {
		return
	}
	for _, told := range p.ready {
		told <- nil
	}
	p.ready = nil
}
