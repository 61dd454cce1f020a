package limits

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// moveWallClock makes t look as if the wall clock had been set by d since it
// was read: it changes the wall reading and leaves the monotonic one alone.
func moveWallClock(t *time.Time, d time.Duration) {
	const secondsShift = 30 // of time.Time's first word, below which are the nanoseconds
	wall := (*uint64)(unsafe.Pointer(t))
	*wall -= uint64(int64(d/time.Second)) << secondsShift
}

// TestMovedWallClockChangesNoDecision runs in real time: in a bubble there is
// only one clock.
func TestMovedWallClockChangesNoDecision(t *testing.T) {
	for _, a := range []Algorithm{TokenBucket, GCRA, SlidingWindow, FixedWindow, LeakyBucket} {
		for _, by := range []time.Duration{-100 * time.Hour, 100 * time.Hour} {
			t.Run(a.String()+by.String(), func(t *testing.T) {
				t.Parallel()
				slow, fast := MustNew(Rate("k", 3, time.Hour, a)), MustNew(Rate("k", 3, time.Millisecond, a))
				for _, s := range []*Set{slow, fast} {
					if _, err := s.TryAcquire(Request{"k": 3}); err != nil {
						t.Fatal(err)
					}
					setWallClock(t, s, by)
				}
				if _, err := slow.TryAcquire(Request{"k": 3}); err != ErrUnavailable {
					t.Errorf("within the window: got %v, want ErrUnavailable", err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if _, err := fast.Acquire(ctx, Request{"k": 3}); err != nil {
					t.Errorf("a window later: got %v, want a permit", err)
				}
			})
		}
	}
}

// setWallClock makes what s has read from the clock look as if the wall
// clock had been set by d since.
func setWallClock(t *testing.T, s *Set, d time.Duration) {
	t.Helper()
	before := s.base
	moveWallClock(&s.base, d)
	if got := before.Round(0).Sub(s.base.Round(0)); got != d || before.Sub(s.base) != 0 {
		t.Fatalf("the layout of time.Time has changed: moved by %v, not %v", got, d)
	}
}

func TestSetOutlivesTheBubbleThatUsedIt(t *testing.T) {
	set := MustNew(Calls(1, time.Minute), Resource("r", 1))
	for range 3 {
		// Each bubble begins at the same time, so that for the Set the clock
		// jumps back.
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			for range 2 {
				p, err := set.Acquire(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				p.Release()
			}
			if got := time.Since(start); got > 2*time.Minute {
				t.Errorf("two calls took %v", got)
			}
		})
	}
}

func TestSetUsedInAndOutOfBubblesKeepsItsTime(t *testing.T) {
	set := MustNew(Rate("k", 1, time.Hour))
	for i := range 40 { // each way the clock jumps by decades
		if i > 0 {
			if _, err := set.TryAcquire(Request{"k": 1}); err != ErrUnavailable {
				t.Fatalf("round %d, outside: got %v, want ErrUnavailable", i, err)
			}
		}
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			if _, err := set.Acquire(t.Context(), Request{"k": 1}); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got > time.Hour || i > 0 && got < time.Hour-time.Minute {
				t.Errorf("round %d: a grant took %v, want an hour but for the test's own time", i, got)
			}
		})
	}
	if set.last > 41*time.Hour {
		t.Errorf("the set's time is %v", set.last)
	}
}

func TestACenturyMayPassInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const century = 100 * 365 * 24 * time.Hour
		set := MustNew(Calls(1, century, GCRA))
		start := time.Now()
		for range 2 {
			if _, err := set.Acquire(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(start); got != century {
			t.Errorf("two calls took %v", got)
		}
	})
}
