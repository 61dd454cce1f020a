package limits

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// tokenBucket is the meter of [TokenBucket].
//
// Rule: a bucket holds up to burst tokens, is full at first, and gains capacity
// tokens for each window at an even pace; a grant takes its amount out. After a
// rest, burst + capacity can pass within one window.
// Source: golang.org/x/time/rate, which counts in float64: a grant may come a
// nanosecond early at the cost of the next, and amounts are exact to 1 in 2^50.
// Refund: what a permit reports as unused comes back at once, as if it had
// never been asked for; what would have overflowed since then does not. What
// was used beyond the request is taken out too, below zero if need be.
type tokenBucket struct {
	burst    int
	capacity rate.Limit // tokens a second
	bucket   *rate.Limiter
	base     time.Time
	lows     lows

	tokens float64 // what can last saw, for the take that follows it
}

func newTokenBucket(l *Limit) *tokenBucket {
	b := &tokenBucket{burst: l.most(), capacity: rate.Limit(float64(l.capacity) / l.per.Seconds()), base: time.Now()}
	b.bucket = rate.NewLimiter(b.capacity, b.burst)
	b.bucket.SetBurstAt(b.base, b.burst) // so that base is its beginning, too
	return b
}

// clock turns the Set's time into what rate wants. All instants come from one
// reading of the clock, so only their distances matter; as that has a monotonic
// part, rate computes them faster than those of any other base.
func (b *tokenBucket) clock(now time.Duration) time.Time { return b.base.Add(now) }

// missing returns the time until n tokens are there, in nanoseconds.
func (b *tokenBucket) missing(tokens float64, n int64) float64 {
	return (float64(n) - tokens) / float64(b.capacity) * float64(time.Second)
}

// can agrees with [rate.Limiter.AllowN], which also says yes to a request that
// lacks less than a nanosecond.
func (b *tokenBucket) can(now time.Duration, n int64) bool {
	b.tokens = b.bucket.TokensAt(b.clock(now))
	return b.tokens >= float64(n) || b.missing(b.tokens, n) < 1
}

func (b *tokenBucket) when(now time.Duration, n int64) time.Duration {
	at := now
	missing := b.missing(b.bucket.TokensAt(b.clock(now)), n)
	if missing >= float64(never-now) {
		return never
	}
	if missing > 0 {
		at += time.Duration(missing)
	}
	for step := time.Duration(1); !b.can(at, n) && at < never; step *= 2 { // rounding may cost a few more
		at = later(at, step)
	}
	return at
}

func (b *tokenBucket) take(now time.Duration, n int64) {
	b.lows.note(now, float64(b.burst)-b.tokens)
	b.bucket.AllowN(b.clock(now), int(n))
}

// add puts n tokens in, or takes -n out. Unlike AllowN, ReserveN goes below
// zero, and it takes a negative amount for a gain; but it refuses more than the
// burst, which is therefore lifted for the moment.
func (b *tokenBucket) add(now time.Duration, n int64) {
	at := b.clock(now)
	b.bucket.SetBurstAt(at, math.MaxInt)
	b.bucket.ReserveN(at, int(-n))
	b.bucket.SetBurstAt(at, b.burst)
}

func (b *tokenBucket) adjust(now, at time.Duration, charged, used int64) int64 {
	b.lows.note(now, float64(b.burst)-b.bucket.TokensAt(b.clock(now)))
	if used >= charged {
		b.add(now, charged-used)
		return used
	}
	back := b.lows.giveBack(at, charged-used)
	b.add(now, back)
	return charged - back
}

func (b *tokenBucket) release(int64) {}

func (b *tokenBucket) level(now time.Duration) (available, used int64) {
	tokens := b.bucket.TokensAt(b.clock(now))
	available = min(toInt64(math.Floor(tokens)), int64(b.burst)) // which rounding may exceed
	if available < int64(b.burst) && b.missing(tokens, available+1) < 1 {
		available++
	}
	if available < 0 {
		return available, addSat(int64(b.burst), -available)
	}
	return available, int64(b.burst) - available
}

// toInt64 returns f, which is whole, or the nearest int64 to it.
func toInt64(f float64) int64 {
	switch {
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= -math.MaxInt64:
		return -math.MaxInt64
	default:
		return int64(f)
	}
}
