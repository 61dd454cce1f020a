package limits

// TimerPending tells whether s has a timer.
func (s *Set) TimerPending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.timer != nil
}
