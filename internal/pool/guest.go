package pool

import (
	"slices"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/internal/cell"
)

// A function of a stateful worker that waits for a call of its own member would
// wait for itself. Such a call runs as a guest: on a spare goroutine, with the
// state of the member whose function waits for it. Calls of one member that
// interleave (State.Concurrent) are guests, too, with no function that waits.

// assistMember sees to it that c, which outer waits for, does not depend on a
// member that depends on c. If it does and cannot be helped, c ends with
// Faults.WouldDeadlock.
func (p *Pool) assistMember(c, outer *cell.Cell) {
	if outer == nil { // whoever opens a state waits for who is to be opened
		c.Abort(cell.Failed, p.cfg.Faults.WouldDeadlock())
		return
	}
	outers := p.callers(outer)
	p.mu.Lock()
	if r := recordIf(c); r != nil {
		r.awaited = outer
	}
	circle := p.assistable(c) && p.lead(c, outers)
	p.mu.Unlock()
	if circle {
		c.Abort(cell.Failed, p.cfg.Faults.WouldDeadlock())
	}
}

// callers returns outer and the calls of this pool that wait for it in turn.
func (p *Pool) callers(outer *cell.Cell) (outers []*cell.Cell) {
	for inside := true; inside && outer != nil; outer, inside = p.caller(outer.Parent()) {
		outers = append(outers, outer)
	}
	return outers
}

// lead makes c the guest of the member that it waits for, or of any if it
// belongs to none and no other is free. It reports whether c, which belongs to
// another member, waits in a circle; under mu.
func (p *Pool) lead(c *cell.Cell, outers []*cell.Cell) (circle bool) {
	host := p.runner(outers[0])
	if host == nil {
		return false // the function has returned, and waits no more
	}
	target := p.target(c)
	if target < 0 {
		if p.crammed() {
			p.invite(c, outers[0], host)
		} else {
			p.hope(c, outers[0])
		}
		return false
	}
	for _, outer := range outers {
		if w := p.runner(outer); w != nil && w.place() == target {
			return !p.invite(c, outer, w) && forsaken(outer)
		}
	}
	m := host.member
	m.awaits = slices.DeleteFunc(m.awaits, func(v visit) bool { return v.call.IsDone() })
	m.awaits = append(m.awaits, visit{call: c, outer: outers[0]})
	p.rescue() // others may have hoped for the member that waits now
	return p.circular(m, target, len(p.members))
}

// visit is a call that the function of outer waits for.
type visit struct{ call, outer *cell.Cell }

// gaveUp is told that somebody waits for c no more.
func (p *Pool) gaveUp(c *cell.Cell) {
	if p.cfg.State == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := recordIf(c); r != nil {
		r.awaited = nil
	}
	for _, w := range p.members {
		if w != nil {
			w.member.awaits = slices.DeleteFunc(w.member.awaits, func(v visit) bool { return v.call == c })
		}
	}
}

// target returns the place that c belongs to; -1: to none.
func (p *Pool) target(c *cell.Cell) int {
	r := recordIf(c)
	switch {
	case p.size == 1:
		return 0
	case r == nil || p.perMember() && !r.keyed:
		return -1
	case r.keyed && r.member < 0:
		return p.home(r.key)
	}
	return r.member
}

// circular reports whether the member at place, directly or not, waits for from.
func (p *Pool) circular(from *member, place, depth int) bool {
	w := p.occupant(place)
	switch {
	case w == nil || w.member == nil || depth == 0:
		return false
	case w.member == from:
		return true
	}
	return slices.ContainsFunc(w.member.awaits, func(v visit) bool {
		next := p.target(v.call)
		return !v.call.IsDone() && next >= 0 && p.runner(v.outer) != nil && p.circular(from, next, depth-1)
	})
}

// place is the index of the member that w runs calls of.
func (w *worker) place() int {
	if w.host != nil {
		return int(w.host.index)
	}
	return int(w.index)
}

// forsaken reports whether a call, whose function runs, has ended without it. The
// function keeps its member until it returns, so what it waits for there would
// never begin.
func forsaken(c *cell.Cell) bool { return c.Aborted() || c.IsOpen() }

// invite runs c as a guest of host while outer runs; false if that has ended.
// Under mu.
func (p *Pool) invite(c, outer *cell.Cell, host *worker) bool {
	if !outer.Host() {
		return false
	}
	if c.Queued() {
		p.unqueue(c)
	}
	if host.host != nil {
		host = host.host
	}
	m := host.member
	if p.interleaved() || m.top == nil || m.top == outer {
		m.top = c
		p.welcome(c, outer, host)
	} else if c != m.top && !slices.ContainsFunc(m.queue, func(v visit) bool { return v.call == c }) {
		m.queue = append(m.queue, visit{call: c, outer: outer})
	}
	return true
}

func (p *Pool) welcome(c, outer *cell.Cell, host *worker) {
	w := p.spare(c)
	w.host, w.member, w.outer = host, host.member, outer
	host.member.guests++
	p.dispatch.Schedule(func() { p.runSpare(w) })
}

// takeLeave ends the visit of a guest; under mu.
func (p *Pool) takeLeave(w *worker) {
	host, m := w.host, w.member
	host.total.Add(w.total.Load())
	m.guests--
	if w.failure != nil {
		m.failed = w.failure
	}
	p.nextGuest(host, w)
	m.leave()
	switch {
	case host.state == active && host.full:
	case host.state == parked && m.failed != nil:
		p.unpark(host)
	default:
		return
	}
	host.full, host.state = false, woken
	host.box.poke()
}

// nextGuest gives the state back to the call that waited for the guest that left,
// or to another guest of that.
func (p *Pool) nextGuest(host, left *worker) {
	m := host.member
	if p.interleaved() {
		return
	}
	p.turnOut(m, func(v visit) bool { return slices.Contains(left.batch, v.outer) })
	m.top = nil
	if w := p.runner(left.outer); w != nil && w.host == host {
		m.top = left.outer // which is a guest itself
	}
	for i, v := range m.queue {
		if m.top == nil || v.outer == m.top {
			m.queue = slices.Delete(m.queue, i, i+1)
			m.top = v.call
			p.welcome(v.call, v.outer, host)
			return
		}
	}
}

func (p *Pool) interleaved() bool { return p.cfg.State != nil && p.cfg.State.Concurrent > 1 }

// fan starts as many calls of w's member as may interleave. It is called with
// mu held, which it releases.
func (w *worker) fan(ctx proto.Context) {
	p, m := w.pool, w.member
	for {
		if w.failure == nil {
			w.failure, m.failed = m.failed, nil
		}
		if w.failure != nil && m.guests == 0 {
			p.giveIn(w) // panics
		}
		w.full = w.failure != nil || m.guests >= p.cfg.State.Concurrent
		if w.full || w.box.interrupted() || !p.take(w) {
			break
		}
		c := w.batch[0]
		w.batch = nil
		p.welcome(c, nil, w)
	}
	stop, again := false, false
	switch {
	case w.full:
		p.leaveWork(w, active) // the next guest to leave wakes it
	case w.box.interrupted():
		again = true
		p.leaveWork(w, woken)
	default:
		stop = p.endWork(w)
	}
	next, grow := p.summon()
	p.mu.Unlock()
	p.rouse(next, grow)
	if again {
		w.box.poke()
	}
	if stop {
		ctx.Stop(ctx.Self())
	}
}
