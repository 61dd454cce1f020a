package limits

import "time"

// now returns the Set's time. The Set is locked.
func (s *Set) now() time.Duration {
	if !s.timed {
		return 0
	}
	now := time.Since(s.base)
	if now < s.last || now-s.last > longAgo && s.elsewhere() {
		// For the Set, time goes on from where it was.
		s.base = time.Now().Add(-s.last)
		now = s.last
	}
	s.last = now
	return now
}

// longAgo is far less than the distance between the clock of a testing/synctest
// bubble, which begins in the year 2000, and that of the world around it.
const longAgo = 365 * 24 * time.Hour

// elsewhere tells whether the Set, not time, has made a jump: into a bubble or
// out of it, as a Set can outlive the bubble that it is used in. Instants have a
// monotonic reading outside and none inside.
func (s *Set) elsewhere() bool {
	now := time.Now()
	return (now == now.Round(0)) != (s.base == s.base.Round(0))
}

// take grants need at the instant that it returns, all of it, or nothing and
// returns an error. The Set is locked.
func (s *Set) take(need []int64) (time.Duration, error) {
	if s.closed {
		return 0, ErrClosed
	}
	now := s.now()
	if !s.grantable(need, now) {
		return now, ErrUnavailable
	}
	s.charge(need, now)
	return now, nil
}

// grantable tells whether all of need is there and nobody waits for some of
// it. The Set is locked.
func (s *Set) grantable(need []int64, now time.Duration) bool {
	for i, n := range need {
		if n == 0 {
			continue
		}
		if l := &s.limits[i]; l.queue.head != nil || !l.can(now, n) {
			return false
		}
	}
	return true
}

// charge takes need, of which every part can be granted. The Set is locked.
func (s *Set) charge(need []int64, now time.Duration) {
	for i, n := range need {
		if n > 0 {
			l := &s.limits[i]
			l.meter.take(now, n)
			l.granted++
		}
	}
}

// refuse counts a request that a Pool has turned away.
func (s *Set) refuse(r Request) {
	need, err := s.resolve(r, nil)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.countRefused(need)
	}
}

// countRefused counts a request that ended without a grant. The Set is locked.
func (s *Set) countRefused(need []int64) {
	for i, n := range need {
		if n > 0 {
			s.limits[i].refused++
		}
	}
}
