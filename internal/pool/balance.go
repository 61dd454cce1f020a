package pool

import (
	"math/rand/v2"

	"github.com/troupe-go/troupe/internal/cell"
)

// addMember makes the worker of a pool in which each has a queue of its own;
// the router gives it an actor. Under mu.
func (p *Pool) addMember(index int) {
	for len(p.members) <= index {
		p.members = append(p.members, nil)
	}
	w := newWorker(p, index)
	w.queue = p.newQueue()
	p.members[index] = w
}

func (p *Pool) newQueue() *queue {
	q := &queue{}
	if p.cfg.Ranked {
		q.ranks = &ranking{}
	}
	return q
}

// heir replaces a worker whose actor is gone, and takes over its queue.
func (p *Pool) heir(w *worker) *worker {
	h := newWorker(p, int(w.index))
	h.queue = w.queue
	h.total.Store(w.total.Load())
	h.tally.fold(&w.tally)
	return h
}

func (p *Pool) queueOf(c *cell.Cell) *queue {
	if p.perMember() {
		return p.members[recordOf(c).member].queue
	}
	if r := recordIf(c); r != nil && r.lined {
		return p.lines[r.member]
	}
	return &p.queue
}

// assign picks a member for c and puts it in that member's line; under mu. A
// retry stays with the member it had, as long as that stays.
func (p *Pool) assign(c *cell.Cell, first bool) {
	r := recordOf(c)
	if r.member < 0 || r.member >= p.size || p.members[r.member] == nil {
		p.unassign(r)
		r.member = p.choose(r)
		w := p.members[r.member]
		w.queue.active.Add(1)
		w.total.Add(1)
	}
	w := p.members[r.member]
	if first {
		w.queue.insert(c, p.level(c))
	} else {
		w.queue.push(c, p.level(c))
	}
	p.due = append(p.due, w)
}

// bequeath gives the calls in the queue of a member that goes to the others;
// under mu.
func (p *Pool) bequeath(w *worker) {
	if w.queue == nil {
		return
	}
	for c := w.queue.pop(); c != nil; c = w.queue.pop() {
		r := recordOf(c)
		w.queue.active.Add(-1)
		r.member = p.choose(r)
		heir := p.members[r.member]
		heir.queue.active.Add(1)
		heir.total.Add(1)
		heir.queue.push(c, p.level(c))
		p.due = append(p.due, heir)
		p.noteMove(c)
	}
}

// choose picks the member of a call's key, or any.
func (p *Pool) choose(r *record) int {
	if r.keyed {
		return p.home(r.key)
	}
	return p.pick()
}

// pick chooses by the pool's balance; ties go to the lowest index. There is no
// member at the index of one that the policy has stopped for good, but there is
// always one left.
func (p *Pool) pick() int {
	for p.cfg.Balance == RoundRobin || p.cfg.Balance == Random {
		i := p.turn % p.size
		if p.cfg.Balance == Random {
			i = rand.IntN(p.size)
		}
		p.turn = i + 1
		if p.members[i] != nil {
			return i
		}
	}
	best := -1
	for i := range p.size {
		if p.members[i] != nil && (best < 0 || p.load(i) < p.load(best)) {
			best = i
		}
	}
	return best
}

func (p *Pool) load(i int) uint64 {
	w := p.members[i]
	if p.cfg.Balance == LeastActive {
		return uint64(max(0, w.queue.active.Load()))
	}
	return w.total.Load()
}

// summonMember wakes the member that was given a call.
func (p *Pool) summonMember() (first *worker, grow bool) {
	for _, w := range p.due {
		switch {
		case !w.spawned && !p.growing:
			p.growing, grow = true, true
		case w.state == parked && first == nil:
			w.state, first = woken, w
		case w.state == parked:
			w.state = woken
			w.box.poke()
		}
	}
	clear(p.due)
	p.due = p.due[:0]
	return first, grow
}

// memberDone notes that a call has ended for good.
func (p *Pool) memberDone(c *cell.Cell) {
	if !p.perMember() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := recordIf(c); r != nil {
		p.unassign(r)
	}
}

// unassign takes a call off its member; under mu. The member may be another
// one, at the same index, that has never heard of it.
func (p *Pool) unassign(r *record) {
	if r.member < 0 || r.member >= len(p.members) || p.members[r.member] == nil {
		return
	}
	if w := p.members[r.member]; w.queue.active.Load() > 0 {
		w.queue.active.Add(-1)
	}
}
