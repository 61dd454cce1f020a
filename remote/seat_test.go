package remote

import "testing"

func TestNothingIsSentAheadToASeatThatIsAlone(t *testing.T) {
	for _, alone := range []bool{false, true} {
		s := &seat{crew: &crew{}, state: seated, capacity: 1, pace: 1000, alone: alone}
		if got := s.window(); (got == 1) != alone {
			t.Errorf("alone %v: a window of %d", alone, got)
		}
	}
}
