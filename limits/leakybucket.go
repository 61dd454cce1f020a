package limits

import "time"

// leakyBucket is the meter of [LeakyBucket].
//
// Rule: what is granted is poured into a bucket that leaks at the even pace of
// capacity for each window; the next grant waits until it is empty. So grants
// of one unit are per/capacity apart, and a larger one is paid for by those
// behind it. The bucket leaks by the clock, however often it is asked.
// Source: J. Turner, "New directions in communications", 1986, as a queue.
// Refund: none. What was used beyond the request is poured in at the report
// and delays the next grant.
type leakyBucket struct {
	capacity int64
	drain    drain
}

func newLeakyBucket(l *Limit) *leakyBucket {
	return &leakyBucket{capacity: int64(l.capacity), drain: newDrain(l)}
}

func (b *leakyBucket) can(now time.Duration, _ int64) bool {
	b.drain.run(now)
	return b.drain.content.zero()
}

func (b *leakyBucket) when(now time.Duration, _ int64) time.Duration {
	b.drain.run(now)
	return b.drain.empties(wide{})
}

func (b *leakyBucket) take(_ time.Duration, n int64) { b.drain.pour(n) }

func (b *leakyBucket) owe(now time.Duration, n int64) {
	b.drain.run(now)
	b.drain.pour(n)
}

func (b *leakyBucket) giveBack(_, _ time.Duration, _ int64) int64 { return 0 }

func (b *leakyBucket) release(int64) {}

// level reports that nothing is available until the bucket is empty.
func (b *leakyBucket) level(now time.Duration) (available, used int64) {
	b.drain.run(now)
	used = b.drain.units()
	if used == 0 {
		return b.capacity, 0
	}
	return min(0, b.capacity-used), used
}
