package limits

import "time"

// resource is the meter of a [Resource].
//
// Rule: the amounts held by permits never exceed the capacity together.
// Source: the counting semaphore of E. W. Dijkstra, 1965.
// Refund: what a permit holds comes back at its release, in full; there is
// nothing to report in between, so [Permit.Update] is an error.
type resource struct {
	capacity, held int64
}

func (r *resource) can(_ time.Duration, n int64) bool { return n <= r.capacity-r.held }

func (r *resource) when(now time.Duration, n int64) time.Duration {
	if r.can(now, n) {
		return now
	}
	return never
}

func (r *resource) take(_ time.Duration, n int64) { r.held += n }

func (r *resource) owe(time.Duration, int64) {}

func (r *resource) giveBack(_, _ time.Duration, _ int64) int64 { return 0 }

func (r *resource) release(n int64) { r.held -= n }

func (r *resource) level(time.Duration) (available, used int64) { return r.capacity - r.held, r.held }
