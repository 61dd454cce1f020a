package limits

import (
	"math/big"
	"time"

	"pgregory.net/rapid"
)

// A reference is a meter in the plainest form: it keeps every grant that ever
// was and computes each answer anew, with exact fractions.
type reference struct {
	algorithm Algorithm
	capacity  int64
	burst     int64
	per       time.Duration
	charges   []charge
}

// A charge is an amount that counts from an instant on.
type charge struct {
	at time.Duration
	n  int64
}

func rat(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

// backlog replays the charges through a bucket that runs out at the rate.
func (r *reference) backlog(now time.Duration) *big.Rat {
	level, at := new(big.Rat), time.Duration(0)
	run := func(to time.Duration) {
		gone := new(big.Rat).Mul(rat(int64(to-at)), new(big.Rat).SetFrac64(r.capacity, int64(r.per)))
		if level.Sub(level, gone); level.Sign() < 0 {
			level.SetInt64(0)
		}
		at = to
	}
	for _, c := range r.charges {
		run(c.at)
		level.Add(level, rat(c.n))
	}
	run(now)
	return level
}

// since adds up what was charged after the instant from.
func (r *reference) since(from time.Duration) (sum int64) {
	for _, c := range r.charges {
		if c.at > from {
			sum += c.n
		}
	}
	return sum
}

// can is the rule of the algorithm, word for word.
func (r *reference) can(now time.Duration, n int64) bool {
	switch r.algorithm {
	case SlidingWindow:
		return r.since(now-r.per)+n <= r.capacity
	case FixedWindow:
		return r.carried(now)+n <= r.capacity
	case LeakyBucket:
		return r.backlog(now).Sign() == 0
	default:
		return new(big.Rat).Add(r.backlog(now), rat(n)).Cmp(rat(r.burst)) <= 0
	}
}

// carried is what counts in the window of now: its own charges and the debt.
func (r *reference) carried(now time.Duration) (used int64) {
	for w := time.Duration(0); w <= now/r.per; w++ {
		used = max(0, used-r.capacity)
		for _, c := range r.charges {
			if c.at/r.per == w {
				used += c.n
			}
		}
	}
	return used
}

// model drives a meter and its reference through the same history.
type model struct {
	ref    reference
	meter  meter
	now    time.Duration
	grants []modelGrant
	// Once a bucket has given something back it may be stricter than the
	// reference, but never more generous: it gives back whole units only.
	inexact bool
}

type modelGrant struct {
	at      time.Duration
	asked   int64
	charged int64 // what the meter says
	used    int64 // what was reported last
	charges []int // of the reference: the grant, then the debts
	debts   []int64
}

func newModel(t *rapid.T, a Algorithm) *model {
	l := Rate("k", rapid.IntRange(1, 20).Draw(t, "capacity"), time.Duration(rapid.IntRange(1, 50).Draw(t, "per")), a)
	if a.bursts() {
		l.burst, l.hasBurst = rapid.IntRange(1, 30).Draw(t, "burst"), true
	}
	return &model{meter: newMeter(&l), ref: reference{
		algorithm: a, capacity: int64(l.capacity), burst: int64(l.most()), per: l.per,
	}}
}

func (m *model) amount(t *rapid.T) int64 { return rapid.Int64Range(1, m.ref.burst).Draw(t, "n") }

func (m *model) wait(t *rapid.T) {
	m.now += time.Duration(rapid.IntRange(0, 2*int(m.ref.per)).Draw(t, "d"))
}

// acquire compares the two answers, and takes what was granted.
func (m *model) acquire(t *rapid.T) {
	n := m.amount(t)
	got, want := m.meter.can(m.now, n), m.ref.can(m.now, n)
	if got != want && !(m.inexact && !got) {
		t.Fatalf("at %d: can(%d) = %v, want %v", m.now, n, got, want)
	}
	if !got {
		return
	}
	m.meter.take(m.now, n)
	m.grants = append(m.grants, modelGrant{at: m.now, asked: n, charged: n, used: n, charges: []int{len(m.ref.charges)}})
	m.ref.charges = append(m.ref.charges, charge{at: m.now, n: n})
}

// when checks that the instant it names is the first one.
func (m *model) when(t *rapid.T) {
	n := m.amount(t)
	at := m.meter.when(m.now, n)
	switch {
	case at <= m.now:
		if !m.ref.can(m.now, n) {
			t.Fatalf("at %d: when(%d) = %d, but not yet", m.now, n, at)
		}
	case !m.ref.can(at, n):
		t.Fatalf("at %d: when(%d) = %d, which is too early", m.now, n, at)
	case m.ref.can(at-1, n) && !m.inexact:
		t.Fatalf("at %d: when(%d) = %d, which is too late", m.now, n, at)
	}
}

// report settles a grant; the reference changes its past instead.
func (m *model) report(t *rapid.T) {
	if len(m.grants) == 0 {
		return
	}
	g := &m.grants[rapid.IntRange(0, len(m.grants)-1).Draw(t, "grant")]
	used := rapid.Int64Range(0, 2*g.asked).Draw(t, "used")
	before := g.charged
	g.charged = m.meter.adjust(m.now, g.at, g.charged, used)
	if m.ref.algorithm.bursts() {
		m.inexact = m.inexact || used < before
		m.ref.rewrite(g, m.now, used)
		return
	}
	if want := max(used, before); g.charged != want {
		t.Fatalf("reported %d of %d: got %d charged, want %d", used, before, g.charged, want)
	}
	if g.charged > before {
		m.ref.charges = append(m.ref.charges, charge{at: m.now, n: g.charged - before})
	}
}

// rewrite makes the past such that g used that much: up to what it asked for
// at the instant of the grant, debts at the instants of their first reports.
func (r *reference) rewrite(g *modelGrant, now time.Duration, used int64) {
	r.charges[g.charges[0]].n = min(used, g.asked)
	debt := max(0, used-g.asked)
	for k, i := range g.charges[1:] {
		r.charges[i].n = min(g.debts[k], debt)
		debt -= r.charges[i].n
	}
	if debt > 0 {
		g.charges, g.debts = append(g.charges, len(r.charges)), append(g.debts, debt)
		r.charges = append(r.charges, charge{at: now, n: debt})
	}
}
