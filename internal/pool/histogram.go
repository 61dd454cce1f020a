package pool

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets of about 6 % width: sixteen for each
// power of two of nanoseconds. Safe for concurrent use.
type histogram struct {
	counts [64 * 16]atomic.Uint64
	max    atomic.Int64
}

// Quantiles of a distribution of durations.
type Quantiles struct{ P50, P90, P99, Max time.Duration }

func bucketOf(ns int64) int {
	if ns < 16 {
		return int(max(ns, 0))
	}
	e := bits.Len64(uint64(ns)) - 5 // keeps five significant bits
	return e<<4 + int(ns>>e)
}

// top returns the largest value of a bucket.
func top(bucket int) int64 {
	if bucket < 32 {
		return int64(bucket)
	}
	e := bucket>>4 - 1
	return (int64(bucket&15|16)+1)<<e - 1
}

func (h *histogram) add(ns int64, n uint64) {
	h.counts[bucketOf(ns)].Add(n)
	h.raise(ns)
}

func (h *histogram) raise(ns int64) {
	for {
		m := h.max.Load()
		if ns <= m || h.max.CompareAndSwap(m, ns) {
			return
		}
	}
}

func (h *histogram) quantiles() Quantiles {
	var counts [len(h.counts)]uint64
	var total uint64
	for i := range counts {
		counts[i] = h.counts[i].Load()
		total += counts[i]
	}
	if total == 0 {
		return Quantiles{}
	}
	most := h.max.Load()
	at := func(part float64) time.Duration {
		rest := uint64(part*float64(total-1)) + 1
		for i, n := range counts {
			if n >= rest {
				return time.Duration(min(top(i), most))
			}
			rest -= n
		}
		return time.Duration(most)
	}
	return Quantiles{P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: time.Duration(most)}
}
