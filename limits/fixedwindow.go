package limits

import "time"

// fixedWindow is the meter of [FixedWindow].
//
// Rule: time is cut into windows of length per, the first of which begins when
// the Set is made; each grants the capacity. Around a boundary, twice the
// capacity can pass within one length per.
// Source: the plain request counter of web services and quotas.
// Refund: none. What was used beyond the request counts in the window of the
// report, and what exceeds its capacity counts in the following ones.
type fixedWindow struct {
	capacity int64
	per      time.Duration

	window int64 // number of the window that used is about
	used   int64 // above the capacity: a debt
}

func newFixedWindow(l *Limit) *fixedWindow {
	return &fixedWindow{capacity: int64(l.capacity), per: l.per}
}

// roll goes on to the window of now; each one passed pays off its capacity.
func (f *fixedWindow) roll(now time.Duration) {
	passed := int64(now/f.per) - f.window
	if passed <= 0 {
		return
	}
	f.window += passed
	if passed > f.used/f.capacity {
		f.used = 0
		return
	}
	f.used -= passed * f.capacity
}

func (f *fixedWindow) can(now time.Duration, n int64) bool {
	f.roll(now)
	return n <= f.capacity-f.used
}

func (f *fixedWindow) when(now time.Duration, n int64) time.Duration {
	if f.can(now, n) {
		return now
	}
	excess := f.used - (f.capacity - n) // above 0, as can said no
	windows := (excess-1)/f.capacity + 1
	if windows > int64(never/f.per)-f.window {
		return never
	}
	return time.Duration(f.window+windows) * f.per
}

func (f *fixedWindow) take(_ time.Duration, n int64) { f.used += n }

func (f *fixedWindow) owe(now time.Duration, n int64) {
	f.roll(now)
	f.used = addSat(f.used, n)
}

func (f *fixedWindow) giveBack(_, _ time.Duration, _ int64) int64 { return 0 }

func (f *fixedWindow) release(int64) {}

func (f *fixedWindow) level(now time.Duration) (available, used int64) {
	f.roll(now)
	return f.capacity - f.used, f.used
}
