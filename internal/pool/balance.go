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
	h := newWorker(p, w.index)
	h.queue = w.queue
	h.active.Store(w.active.Load())
	h.total.Store(w.total.Load())
	h.tally.fold(&w.tally)
	return h
}

func (p *Pool) queueOf(c *cell.Cell) *queue {
	if !p.perMember() {
		return &p.queue
	}
	return p.members[recordOf(c).member].queue
}

// assign picks a member for c and puts it in that member's line; under mu. A
// retry stays with the member it had.
func (p *Pool) assign(c *cell.Cell) {
	r := recordOf(c)
	if r.number.Load() == 0 || p.members[r.member] == nil {
		r.member = p.pick()
		w := p.members[r.member]
		w.active.Add(1)
		w.total.Add(1)
	}
	w := p.members[r.member]
	w.queue.push(c, p.level(c))
	p.due = append(p.due, w)
}

// pick chooses by the pool's balance; ties go to the lowest index.
func (p *Pool) pick() int {
	switch p.cfg.Balance {
	case RoundRobin:
		i := p.turn % p.size
		p.turn = i + 1
		return i
	case Random:
		return rand.IntN(p.size)
	}
	best := 0
	for i := 1; i < p.size; i++ {
		if p.load(i) < p.load(best) {
			best = i
		}
	}
	return best
}

func (p *Pool) load(i int) uint64 {
	w := p.members[i]
	if p.cfg.Balance == LeastActive {
		return uint64(max(0, w.active.Load()))
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
	if r := recordIf(c); r != nil && r.member < len(p.members) && p.members[r.member] != nil {
		p.members[r.member].active.Add(-1)
	}
}
