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
// never been asked for: the bucket holds what it would hold without; what would
// have overflowed since then does not come back. What was used beyond the
// request is taken out too, below zero if need be.
type tokenBucket struct {
	burst    int
	capacity rate.Limit // tokens a second
	parts    float64    // of one token, in the lows
	bucket   *rate.Limiter
	base     time.Time
	lows     lows

	// What the bucket held at the instant last. It could be asked for it, but
	// only by locking it once more for each grant.
	tokens float64
	last   time.Duration
}

func newTokenBucket(l *Limit) *tokenBucket {
	b := &tokenBucket{
		burst: l.most(), capacity: rate.Limit(float64(l.capacity) / l.per.Seconds()), parts: float64(l.per),
		base: time.Now(), tokens: float64(l.most()),
	}
	b.bucket = rate.NewLimiter(b.capacity, b.burst)
	b.bucket.SetBurstAt(b.base, b.burst) // so that base is its beginning, too
	return b
}

// clock turns the Set's time into what rate wants. All instants come from one
// reading of the clock, so only their distances matter; as that has a monotonic
// part, rate computes them faster than those of any other base.
func (b *tokenBucket) clock(now time.Duration) time.Time { return b.base.Add(now) }

// holds returns the tokens at now, in the very steps in which rate computes
// them.
func (b *tokenBucket) holds(now time.Duration) float64 {
	return min(b.tokens+(now-b.last).Seconds()*float64(b.capacity), float64(b.burst))
}

// backlog returns what is missing of a full bucket, in parts.
func (b *tokenBucket) backlog(tokens float64) wide {
	return wideOf((float64(b.burst) - tokens) * b.parts)
}

// missing returns the time until n tokens are there, in nanoseconds.
func (b *tokenBucket) missing(tokens float64, n int64) float64 {
	return (float64(n) - tokens) / float64(b.capacity) * float64(time.Second)
}

// can agrees with [rate.Limiter.AllowN], which also says yes to a request that
// lacks less than a nanosecond.
func (b *tokenBucket) can(now time.Duration, n int64) bool {
	tokens := b.holds(now)
	return tokens >= float64(n) || b.missing(tokens, n) < 1
}

func (b *tokenBucket) when(now time.Duration, n int64) time.Duration {
	at := now
	missing := b.missing(b.holds(now), n)
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
	tokens := b.holds(now)
	b.lows.note(now, b.backlog(tokens))
	if b.bucket.AllowN(b.clock(now), int(n)) {
		b.tokens, b.last = tokens-float64(n), now
		return
	}
	// On hardware that multiplies and adds in one step, ours may have rounded
	// the other way.
	b.drain(now, n)
}

func (b *tokenBucket) owe(now time.Duration, n int64) {
	b.lows.note(now, b.backlog(b.holds(now)))
	b.drain(now, n)
}

// drain takes n tokens out, below zero if need be. Unlike AllowN, ReserveN does
// that; but it refuses more than the burst, which is therefore lifted for the
// moment.
func (b *tokenBucket) drain(now time.Duration, n int64) {
	at := b.clock(now)
	b.bucket.SetBurstAt(at, math.MaxInt)
	b.bucket.ReserveN(at, int(n))
	b.settle(now)
}

func (b *tokenBucket) giveBack(now, at time.Duration, n int64) int64 {
	tokens := b.holds(now)
	backlog := b.backlog(tokens)
	b.lows.note(now, backlog)
	back := b.lows.giveBack(at, wideOf(float64(n)*b.parts))
	if backlog.exceeds(back) {
		b.fill(now, back.float()/b.parts)
	} else {
		b.fill(now, plenty) // to the brim, where no rounding matters
	}
	return min(n, toInt64(math.Ceil(back.float()/b.parts)))
}

// plenty are more tokens than any bucket takes.
const plenty = 1e300

// fill puts tokens in, up to the burst. rate knows only whole ones, but any
// rate: the bucket is filled by that many for a second, and its clock set back.
func (b *tokenBucket) fill(now time.Duration, tokens float64) {
	at := b.clock(now)
	b.bucket.SetBurstAt(at, math.MaxInt)
	b.bucket.SetLimitAt(at, rate.Limit(tokens))
	b.bucket.SetLimitAt(at.Add(time.Second), b.capacity)
	b.settle(now)
}

// settle sets the burst of the bucket again and reads off what it holds.
func (b *tokenBucket) settle(now time.Duration) {
	b.bucket.SetBurstAt(b.clock(now), b.burst)
	b.tokens, b.last = b.bucket.TokensAt(b.clock(now)), now
}

func (b *tokenBucket) release(int64) {}

func (b *tokenBucket) level(now time.Duration) (available, used int64) {
	tokens := b.holds(now)
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
