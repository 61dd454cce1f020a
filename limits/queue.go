package limits

import "time"

// A queue holds, in order of arrival, the entries that take some of one limit.
type queue struct {
	head, tail *entry
	length     int
}

// An entry is a request that waits at one Set. It stands in the queue of each
// limit of which it takes some, and is granted when it is at the head of all
// of them and all that it takes is there. So it waits behind earlier requests
// that share a key, and behind no others.
type entry struct {
	ticket *ticket
	permit *Permit // to be handed out: holds the amounts
	first  int     // lowest index of a limit of which it takes some
	queued bool    // guarded by the Set, as are the links
	links  []link  // by limit
	buf    [inline]link
}

// A link connects an entry to its neighbours in one queue.
type link struct{ prev, next *entry }

// push makes e the last in the queue of limit i.
func (q *queue) push(e *entry, i int) {
	e.links[i] = link{prev: q.tail}
	if q.tail == nil {
		q.head = e
	} else {
		q.tail.links[i].next = e
	}
	q.tail = e
	q.length++
}

// remove takes e out of the queue of limit i.
func (q *queue) remove(e *entry, i int) {
	l := e.links[i]
	if l.prev == nil {
		q.head = l.next
	} else {
		l.prev.links[i].next = l.next
	}
	if l.next == nil {
		q.tail = l.prev
	} else {
		l.next.links[i].prev = l.prev
	}
	e.links[i] = link{}
	q.length--
}

// enqueue lets e, which cannot be granted at now, wait. The Set is locked.
func (s *Set) enqueue(e *entry, now time.Duration) {
	e.links = e.buf[:]
	if len(s.limits) > inline {
		e.links = make([]link, len(s.limits))
	}
	e.first = -1
	for i, n := range e.permit.amounts() {
		if n > 0 {
			s.limits[i].queue.push(e, i)
			if e.first < 0 {
				e.first = i
			}
		}
	}
	e.queued = true
	s.waiting++
	if s.next(e) {
		s.arm(now)
	}
}

// dequeue ends the wait of e. The Set is locked.
func (s *Set) dequeue(e *entry) {
	for i, n := range e.permit.amounts() {
		if n > 0 {
			s.limits[i].queue.remove(e, i)
		}
	}
	e.queued = false
	s.waiting--
}

// next tells whether e is at the head of all its queues.
func (s *Set) next(e *entry) bool {
	for i, n := range e.permit.amounts() {
		if n > 0 && s.limits[i].queue.head != e {
			return false
		}
	}
	return true
}

// ready tells whether all that e takes is there.
func (s *Set) ready(e *entry, now time.Duration) bool {
	for i, n := range e.permit.amounts() {
		if n > 0 && !s.limits[i].can(now, n) {
			return false
		}
	}
	return true
}

// pump grants whatever can be granted now to those who wait, sets the timer for
// the rest, and returns whom to tell once the Set is unlocked. Whatever adds to
// a limit or removes an entry is followed by it. The Set is locked.
func (s *Set) pump() (told tickets) {
	if s.waiting == 0 {
		s.arm(0)
		return told
	}
	now := s.now()
	// A grant exposes new heads in the queues of all keys of the entry. Those
	// above i are still to come in this round, those below need another one.
	for again := true; again; {
		again = false
		for i := range s.limits {
			q := &s.limits[i].queue
			for e := q.head; e != nil && s.next(e) && s.ready(e, now); e = q.head {
				again = again || e.first < i
				s.grant(e, now, &told)
			}
		}
	}
	s.arm(now)
	return told
}

// join lets e wait, unless it can be granted now, which adds it to told, or
// has no need to wait here any more. It locks the Set.
func (s *Set) join(e *entry, told *tickets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		e.ticket.open.Add(-1)
		return
	}
	// Settled by another Set meanwhile: whoever did has tried or will try to
	// take e out of this one, and only this lock tells which.
	if e.ticket.state.Load() != waiting {
		return
	}
	now := s.now()
	if !s.grantable(e.permit.amounts(), now) {
		s.enqueue(e, now)
		return
	}
	if e.ticket.settle() {
		s.hand(e, now, told)
	}
}

// grant hands out the permit of e, unless another Set of a Pool was faster or
// the ticket has just been cancelled; e is gone in any case.
func (s *Set) grant(e *entry, now time.Duration, told *tickets) {
	s.dequeue(e)
	if !e.ticket.settle() {
		if e.ticket.cancelled() {
			s.countRefused(e.permit.amounts())
		}
		return
	}
	s.hand(e, now, told)
}

// hand grants e, whose ticket was settled for that.
func (s *Set) hand(e *entry, now time.Duration, told *tickets) {
	e.permit.at = now
	s.charge(e.permit.amounts(), now)
	e.ticket.permit = e.permit
	told.add(e.ticket)
}

// leave ends the wait of e if it still waits here, and returns whom that lets
// through. It locks the Set.
func (s *Set) leave(e *entry, refused bool) (told tickets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !e.queued {
		return told
	}
	s.dequeue(e)
	if refused {
		s.countRefused(e.permit.amounts())
	}
	return s.pump()
}

// dismiss ends the wait of all, with ErrClosed where no other Set is left to
// wait for, and returns whom to tell. The Set is locked.
func (s *Set) dismiss() (told tickets) {
	for i := range s.limits {
		for e := s.limits[i].queue.head; e != nil; e = s.limits[i].queue.head {
			s.dequeue(e)
			s.countRefused(e.permit.amounts())
			if e.ticket.open.Add(-1) == 0 && e.ticket.settle() {
				e.ticket.err = ErrClosed
				told.add(e.ticket)
			}
		}
	}
	s.arm(0)
	return told
}
