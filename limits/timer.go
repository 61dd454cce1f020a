package limits

import "time"

// arm sets the timer to the first instant at which one of those who wait can
// be granted, and drops it if there is none. The Set is locked.
func (s *Set) arm(now time.Duration) {
	at := s.earliest(now)
	if at == s.wakeAt {
		return
	}
	s.wakeAt = at
	switch {
	case at < never && s.timer == nil:
		s.timer = time.AfterFunc(at-now, s.wake)
	case at < never:
		s.timer.Reset(at - now)
	case s.timer != nil:
		// Dropped, not kept: a timer may not leave the synctest bubble that it
		// was made in, but a Set may.
		s.timer.Stop()
		s.timer = nil
	}
}

// earliest returns the instant for which the timer is needed.
func (s *Set) earliest(now time.Duration) time.Duration {
	at := never
	if s.waiting == 0 {
		return at
	}
	for i := range s.limits {
		if e := s.limits[i].queue.head; e != nil && e.first == i && s.next(e) {
			at = min(at, s.due(e, now))
		}
	}
	return at
}

// due returns the instant at which e can be granted if only time passes.
func (s *Set) due(e *entry, now time.Duration) time.Duration {
	at := now
	for i, n := range e.permit.amounts() {
		if n > 0 && at < never {
			l := &s.limits[i]
			at = max(at, l.paused, l.meter.when(now, n))
		}
	}
	return at
}

// unset is the wakeAt of a timer that has fired.
const unset = time.Duration(-1)

// wake is what the timer calls. It may come from an earlier setting that could
// not be stopped any more; the timer is therefore set anew in any case.
func (s *Set) wake() {
	s.mu.Lock()
	s.wakeAt = unset
	told := s.pump()
	s.mu.Unlock()
	told.tell()
}
