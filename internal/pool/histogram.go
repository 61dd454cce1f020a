package pool

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	octaves   = 64
	perOctave = 16
	fewest    = 8 // samples that are kept as they are
)

// histogram counts durations in buckets of about 6 % width: sixteen for each
// power of two of nanoseconds. Safe for concurrent use. Most of the pools in a
// program with very many serve few calls: the first samples are kept one by one,
// and the counters of a power of two are made when it is first needed.
type histogram struct {
	max    atomic.Int64
	few    [fewest]atomic.Uint32 // 1 + bucket; 0: not there yet
	taken  atomic.Uint32         // of few, and then no more than a sign that they are
	blocks atomic.Pointer[[octaves]atomic.Pointer[block]]
}

type block [perOctave]atomic.Uint64

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
	h.count(bucketOf(ns), n)
	h.raise(ns)
}

// count adds n samples of a bucket.
func (h *histogram) count(bucket int, n uint64) {
	if n == 1 && h.taken.Load() < fewest {
		if i := h.taken.Add(1) - 1; i < fewest {
			h.few[i].Store(uint32(bucket) + 1)
			return
		}
	}
	h.block(bucket / perOctave)[bucket%perOctave].Add(n)
}

func (h *histogram) block(octave int) *block {
	blocks := h.blocks.Load()
	if blocks == nil {
		h.blocks.CompareAndSwap(nil, new([octaves]atomic.Pointer[block]))
		blocks = h.blocks.Load()
	}
	b := blocks[octave].Load()
	if b == nil {
		blocks[octave].CompareAndSwap(nil, new(block))
		b = blocks[octave].Load()
	}
	return b
}

// counts adds up what there is.
func (h *histogram) counts() (counts [octaves * perOctave]uint64, total uint64) {
	for i := range h.few {
		if b := h.few[i].Load(); b > 0 {
			counts[b-1]++
			total++
		}
	}
	blocks := h.blocks.Load()
	if blocks == nil {
		return counts, total
	}
	for o := range blocks {
		b := blocks[o].Load()
		if b == nil {
			continue
		}
		for i := range b {
			n := b[i].Load()
			counts[o*perOctave+i] += n
			total += n
		}
	}
	return counts, total
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
	counts, total := h.counts()
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
