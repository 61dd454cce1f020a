package pool

import (
	"cmp"
	"slices"

	"github.com/troupe-go/troupe/internal/cell"
)

// In a pool of stateful workers that share one queue, some calls yet belong to
// one member: those with a key, and retries. Each member's place has a line for
// them, beside the queue, and a worker takes what was submitted first. The line
// belongs to the place: it outlives the worker.

// keys reports whether calls may belong to one of several members; under mu.
func (p *Pool) keys() bool {
	return p.cfg.State != nil && !p.perMember() && (p.size > 1 || p.lined > 0)
}

// line puts c into the line of its member, if it has one; under mu.
func (p *Pool) line(c *cell.Cell, first bool) bool {
	r := recordIf(c)
	if r == nil || !p.keys() || !p.place(r) {
		return false
	}
	for len(p.lines) <= r.member {
		p.lines = append(p.lines, nil)
	}
	q := p.lines[r.member]
	if q == nil {
		q = p.newQueue()
		p.lines[r.member] = q
	}
	if first {
		q.insert(c, r.level)
	} else {
		q.push(c, r.level)
	}
	r.lined = true
	p.lined++
	p.dueLines = append(p.dueLines, r.member)
	return true
}

// place settles the member that a call belongs to, if any: that of its key, or
// the one that has run it before; under mu.
func (p *Pool) place(r *record) bool {
	gone := r.member >= p.size || r.member >= 0 && p.isBarred(r.member)
	switch {
	case r.keyed && (r.member < 0 || gone):
		r.member = p.home(r.key)
	case gone:
		r.member = -1
	}
	return r.member >= 0
}

// home returns the member of a key. Most keys keep theirs when the number of
// members changes; only those of a member that the policy stopped for good move
// when that happens.
func (p *Pool) home(key uint64) int {
	for range 64 {
		if i := jump(key, p.size); !p.isBarred(i) {
			return i
		}
		key = key*0x9E3779B97F4A7C15 + 1
	}
	for i := range p.size {
		if !p.isBarred(i) {
			return i
		}
	}
	return 0
}

func (p *Pool) isBarred(i int) bool {
	if p.perMember() {
		return i >= len(p.members) || p.members[i] == nil
	}
	return slices.Contains(p.barred, i)
}

// jump is the consistent hash of Lamping and Veach, "A Fast, Minimal Memory,
// Consistent Hash Algorithm" (2014): from n to n+1 buckets it moves one key in
// n+1, all of them to the new bucket.
func jump(key uint64, buckets int) int {
	b, j := int64(-1), int64(0)
	for j < int64(buckets) {
		b = j
		key = key*2862933555777941757 + 1
		j = int64(float64(b+1) * (float64(int64(1)<<31) / float64(key>>33+1)))
	}
	return int(b)
}

// HashKey is FNV-1a (Fowler, Noll, Vo), the same in every process.
func HashKey(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return h
}

// source is the queue that w takes its next call from: its line or the shared
// one, whichever has the older call at its head; under mu.
func (p *Pool) source(w *worker) *queue {
	if w.queue != nil {
		return w.queue
	}
	if q := p.lineOf(w); q != nil && (p.queue.head() == nil || q.before(&p.queue)) {
		return q
	}
	return &p.queue
}

// lineOf returns the line of w's place if calls wait there, else nil; under mu.
func (p *Pool) lineOf(w *worker) *queue {
	if p.lined == 0 || w.index < 0 || int(w.index) >= len(p.lines) {
		return nil
	}
	if q := p.lines[w.index]; q != nil && q.head() != nil {
		return q
	}
	return nil
}

// owe remembers that calls wait for w which it cannot take now; under mu.
func (p *Pool) owe(w *worker) {
	if p.lineOf(w) != nil {
		p.dueLines = append(p.dueLines, int(w.index))
	}
}

// summonLines wakes the members in whose lines calls wait, and reports whether
// the router is to make some; under mu.
func (p *Pool) summonLines() (grow bool) {
	if p.asking || p.phase >= stopping {
		return false
	}
	for _, i := range p.dueLines {
		if i >= len(p.lines) || p.lines[i] == nil || p.lines[i].head() == nil || i >= p.size {
			continue
		}
		switch w := p.occupant(i); {
		case w == nil:
			grow = grow || !p.growing
			p.growing = true
		case w.state == parked:
			p.unpark(w)
			w.state = woken
			w.box.poke()
		} // whoever is at work looks there before it rests
	}
	p.dueLines = p.dueLines[:0]
	return grow
}

func (p *Pool) occupant(i int) *worker {
	if i >= len(p.members) {
		return nil
	}
	return p.members[i]
}

// vacantLine returns a place in whose line calls wait and where nobody is, or
// -1; under mu.
func (p *Pool) vacantLine() int {
	if p.lined == 0 {
		return -1
	}
	for i, q := range p.lines {
		if i < p.size && q != nil && q.head() != nil && p.occupant(i) == nil && !p.isBarred(i) {
			return i
		}
	}
	return -1
}

// crowded is full for a pool in which some calls belong to a member: a call that a
// free member is about to take does not count as waiting, nor does it matter to
// one whose own member is free that others wait; under mu.
func (p *Pool) crowded(c *cell.Cell) bool {
	target, free, served := -1, 0, 0
	if r := recordIf(c); r != nil && p.place(r) {
		target = r.member
	}
	for i := range p.size {
		w := p.occupant(i)
		if p.isBarred(i) || w != nil && (w.state == active || w.state > parked) {
			continue
		}
		switch lined := i < len(p.lines) && p.lines[i] != nil && p.lines[i].head() != nil; {
		case lined:
			served++
		case i == target:
			return false
		default:
			free++
		}
	}
	shared := p.waiting - p.lined
	if target < 0 && free > shared {
		return false
	}
	return p.waiting-served-min(shared, free) >= p.cfg.Queue
}

// takeLine empties the line of w's place, or its own queue; under mu.
func (p *Pool) takeLine(w *worker) (cells []*cell.Cell) {
	q := w.queue
	if q == nil && int(w.index) < len(p.lines) {
		q = p.lines[w.index]
	}
	if q == nil {
		return nil
	}
	for c := q.pop(); c != nil; c = q.pop() {
		p.popped(c)
		cells = append(cells, c)
	}
	return cells
}

// popped notes that c has left a queue; under mu.
func (p *Pool) popped(c *cell.Cell) {
	p.waiting--
	if r := recordIf(c); r != nil && r.lined {
		r.lined = false
		p.lined--
	} else if p.declined > 0 {
		p.declined--
	}
}

// unqueue takes c out of the queue that holds it; under mu.
func (p *Pool) unqueue(c *cell.Cell) {
	p.queueOf(c).drop(c)
	p.popped(c)
}

// realign puts the calls that wait where they belong after a change of the
// members, in order; under mu.
func (p *Pool) realign() {
	if p.cfg.State == nil || p.perMember() {
		return
	}
	var cells []*cell.Cell
	for _, q := range append(slices.Clone(p.lines), &p.queue) {
		if q == nil {
			continue
		}
		for c := q.pop(); c != nil; c = q.pop() {
			p.popped(c)
			cells = append(cells, c)
		}
	}
	p.declined = 0
	sortByID(cells)
	for _, c := range cells {
		if r := recordIf(c); r != nil && r.keyed {
			r.member = -1 // its key may have moved
		}
		p.enqueue(c)
		p.noteMove(c)
	}
}

// rehome is realign for members that have queues of their own; under mu.
func (p *Pool) rehome() {
	var cells []*cell.Cell
	for _, w := range p.members {
		if w == nil {
			continue
		}
		for c := w.queue.pop(); c != nil; c = w.queue.pop() {
			p.waiting--
			cells = append(cells, c)
		}
	}
	sortByID(cells)
	for _, c := range cells {
		if r := recordOf(c); r.keyed && r.member != p.home(r.key) {
			p.unassign(r)
			r.member = -1
		}
		p.enqueue(c)
		p.noteMove(c)
	}
}

func sortByID(cells []*cell.Cell) {
	slices.SortStableFunc(cells, func(a, b *cell.Cell) int { return cmp.Compare(a.ID(), b.ID()) })
}

// noteMove remembers a call that is waited for inside the pool and may have come
// to the very member that waits; under mu.
func (p *Pool) noteMove(c *cell.Cell) {
	if r := recordIf(c); r != nil && r.awaited != nil {
		p.moved = append(p.moved, c)
	}
}

func (p *Pool) takeMoved() (moved []*cell.Cell) {
	moved, p.moved = p.moved, nil
	return moved
}

// lookAgain sees to it that the calls that have moved do not wait for themselves.
func (p *Pool) lookAgain(moved []*cell.Cell) {
	for _, c := range moved {
		p.mu.Lock()
		outer := recordIf(c).awaited
		p.mu.Unlock()
		if outer != nil {
			p.assistMember(c, outer)
		}
	}
}
