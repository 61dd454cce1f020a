package limits

import (
	"math"
	"math/bits"
	"time"
)

// wide is an unsigned integer of 128 bits. Its sums end at the largest number
// and its differences at zero.
type wide struct{ hi, lo uint64 }

// product returns a*b, exactly.
func product(a, b uint64) wide {
	hi, lo := bits.Mul64(a, b)
	return wide{hi: hi, lo: lo}
}

func (a wide) add(b wide) wide {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, over := bits.Add64(a.hi, b.hi, carry)
	if over != 0 {
		return wide{hi: math.MaxUint64, lo: math.MaxUint64}
	}
	return wide{hi: hi, lo: lo}
}

func (a wide) sub(b wide) wide {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, under := bits.Sub64(a.hi, b.hi, borrow)
	if under != 0 {
		return wide{}
	}
	return wide{hi: hi, lo: lo}
}

func (a wide) zero() bool { return a.hi|a.lo == 0 }

func (a wide) exceeds(b wide) bool { return a.hi > b.hi || a.hi == b.hi && a.lo > b.lo }

func (a wide) float() float64 { return float64(a.hi)*(1<<64) + float64(a.lo) }

// wideOf returns f rounded down, from zero to the largest number.
func wideOf(f float64) wide {
	const word = 1 << 64
	switch {
	case !(f > 0):
		return wide{}
	case f < word:
		return wide{lo: uint64(f)}
	case f >= word*word:
		return wide{hi: math.MaxUint64, lo: math.MaxUint64}
	}
	hi := math.Floor(f / word)
	return wide{hi: uint64(hi), lo: uint64(f - hi*word)} // exact: a float64 has but 53 bits
}

// over returns a/d rounded up, or the largest int64 if that is too large.
func (a wide) over(d uint64) int64 {
	if a.hi >= d {
		return math.MaxInt64
	}
	quo, rem := bits.Div64(a.hi, a.lo, d)
	if quo >= math.MaxInt64 {
		return math.MaxInt64
	}
	if rem != 0 {
		quo++
	}
	return int64(quo)
}

// A drain is a vessel that runs out at the speed of one limit: capacity units
// for each window of length per, at an even pace, down to empty. It is exact:
// the content is counted in parts of which a unit has as many as the window
// has nanoseconds, so that as many parts as the capacity leave each nanosecond.
// Both fit in 63 bits, so a unit amount and an elapsed time fit in 126.
type drain struct {
	capacity, per uint64

	content wide
	at      time.Duration // instant of content
}

func newDrain(l *Limit) drain {
	return drain{capacity: uint64(l.capacity), per: uint64(l.per)}
}

// parts returns n units as parts.
func (d *drain) parts(n int64) wide { return product(uint64(n), d.per) }

// run lets out what leaves until now.
func (d *drain) run(now time.Duration) {
	if now <= d.at {
		return
	}
	if !d.content.zero() {
		d.content = d.content.sub(product(uint64(now-d.at), d.capacity))
	}
	d.at = now
}

// pour adds n units.
func (d *drain) pour(n int64) { d.content = d.content.add(d.parts(n)) }

// scoop takes an amount in parts out, or all there is.
func (d *drain) scoop(amount wide) { d.content = d.content.sub(amount) }

// empties returns the instant at which the content will be down to rest.
func (d *drain) empties(rest wide) time.Duration {
	return later(d.at, time.Duration(d.content.sub(rest).over(d.capacity)))
}

// units returns the content in units, rounded up.
func (d *drain) units() int64 { return d.content.over(d.per) }
