package supervisor

import (
	"math"
	"time"
)

// Defaults of a Backoff that has an Initial.
const (
	defaultFactor  = 2
	defaultCeiling = time.Minute
)

// Backoff says how long to wait before a restart: Initial before the first of
// a row, Factor times longer before each next one, never longer than Max. The
// row ends when no restart was due for as long as [Policy] calls quiet. The
// zero Backoff does not wait.
type Backoff struct {
	// Initial is the first delay. Zero means no delay at all; the other
	// fields must then be zero too.
	Initial time.Duration

	// Max bounds every delay; at least Initial. Zero means one minute, or
	// Initial if that is longer.
	Max time.Duration

	// Factor is the growth from one delay to the next, at least 1. Zero
	// means 2.
	Factor float64

	// Jitter is the fraction of a delay, 0 to 1, that chance may take away,
	// so that what failed together does not come back together: 0.2 waits
	// for 80 to 100 percent of the delay, 0 for exactly the delay.
	Jitter float64
}

// validate calls fault for everything that is wrong with b. The comparisons
// are written so that NaN fails them.
func (b Backoff) validate(fault func(format string, args ...any)) {
	if b.Initial < 0 {
		fault("Backoff.Initial is %v: want 0 or more", b.Initial)
	}
	if b.Max < 0 {
		fault("Backoff.Max is %v: want 0 for the default, or at least Initial", b.Max)
	} else if b.Max > 0 && b.Max < b.Initial {
		fault("Backoff.Max is %v: want at least Initial, %v", b.Max, b.Initial)
	}
	if b.Factor != 0 && !(b.Factor >= 1 && b.Factor <= math.MaxFloat64) {
		fault("Backoff.Factor is %v: want 0 for the default, or at least 1", b.Factor)
	}
	if !(b.Jitter >= 0 && b.Jitter <= 1) {
		fault("Backoff.Jitter is %v: want 0 to 1", b.Jitter)
	}
	if b.Initial == 0 && b != (Backoff{}) {
		fault("Backoff.Initial is 0, so that Max, Factor and Jitter have no effect")
	}
}

// delay returns the wait before restart k of a row, counted from 1; chance is
// a random number in [0,1).
func (b Backoff) delay(k int, chance float64) time.Duration {
	if b.Initial <= 0 || k < 1 {
		return 0
	}
	factor, full := b.Factor, b.ceiling()
	if factor == 0 {
		factor = defaultFactor
	}
	// Compared before the conversion: the product outgrows a Duration soon,
	// and then float64 itself (+Inf), and is below the ceiling neither time.
	if d := float64(b.Initial) * math.Pow(factor, float64(k-1)); d < float64(full) {
		full = max(b.Initial, time.Duration(d)) // rounding must not take from it
	}
	return full - time.Duration(float64(full)*b.Jitter*chance)
}

// ceiling returns Max with the default filled in.
func (b Backoff) ceiling() time.Duration {
	if b.Max == 0 {
		return max(b.Initial, defaultCeiling)
	}
	return b.Max
}
