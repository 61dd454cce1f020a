package limits

import "github.com/troupe-go/troupe/actor"

// TimerPending tells whether s has a timer.
func (s *Set) TimerPending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.timer != nil
}

// Remembered returns the number of permits that the actor of s in sys keeps.
func Remembered(s *Set, sys *actor.System) (n int) {
	s.actors.mu.Lock()
	a := s.actors.in[sys]
	s.actors.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.holders {
		n += len(h.permits)
	}
	return n
}
