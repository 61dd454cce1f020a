package limits

import (
	"math"
	"time"
)

// never is an instant that no clock reaches.
const never = time.Duration(math.MaxInt64)

// A meter decides for one limit and keeps its account. It has no clock and no
// lock: the Set passes the instant, as a duration since some base that never
// runs backwards, and lets one goroutine in at a time.
//
// Time alone never takes anything away: once n can be granted, it still can be
// later. Between take and the can that allowed it nothing else happens.
type meter interface {
	// can tells whether n, from 1 to the most a request may take, could be
	// granted at now.
	can(now time.Duration, n int64) bool
	// when returns the first instant at which can(n) will hold if nothing but
	// time happens; now or earlier if it holds already, never if only a
	// release can bring it.
	when(now time.Duration, n int64) time.Duration
	// take grants n at now.
	take(now time.Duration, n int64)
	// owe charges n at now, whether it is there or not.
	owe(now time.Duration, n int64)
	// giveBack takes back what it can of n, which was taken or charged at the
	// instant at and never used, and returns the amount that has ceased to
	// count: n, less what has flowed back by itself already; 0 where nothing
	// is given back. A unit that comes back in part counts no more.
	giveBack(now, at time.Duration, n int64) int64
	// release takes n back that was held.
	release(n int64)
	// level returns what could be granted at now, below zero for a debt, and
	// what is in use.
	level(now time.Duration) (available, used int64)
}

// newMeter returns the meter for a definition that has no faults.
func newMeter(l *Limit) meter {
	if l.kind == kindResource {
		return &resource{capacity: int64(l.capacity)}
	}
	switch l.algorithm {
	case GCRA:
		return newGCRA(l)
	case SlidingWindow:
		return newSlidingWindow(l)
	case FixedWindow:
		return newFixedWindow(l)
	case LeakyBucket:
		return newLeakyBucket(l)
	default:
		return newTokenBucket(l)
	}
}

// addSat returns a+b for a, b >= 0, or the largest number if that is too large.
func addSat(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

// later returns now+d for d >= 0, or never.
func later(now, d time.Duration) time.Duration {
	return time.Duration(addSat(int64(now), int64(d)))
}
