package limits

import (
	"math/big"
	"slices"
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
	grants []*modelGrant
	set    Set
}

type modelGrant struct {
	permit  Permit
	asked   int64
	counts  int64 // in the reference
	charges []int // of the reference: the grant, then what reports have added
}

func newModel(t *rapid.T, a Algorithm) *model {
	l := Rate("k", rapid.IntRange(1, 20).Draw(t, "capacity"), time.Duration(rapid.IntRange(1, 50).Draw(t, "per")), a)
	if a.bursts() {
		l.burst, l.hasBurst = rapid.IntRange(1, 30).Draw(t, "burst"), true
	}
	return &model{meter: newMeter(&l), set: Set{limits: make([]limit, 1)}, ref: reference{
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
	if got != want {
		t.Fatalf("at %d: can(%d) = %v, want %v", m.now, n, got, want)
	}
	if !got {
		return
	}
	m.meter.take(m.now, n)
	g := &modelGrant{asked: n, counts: n, charges: []int{len(m.ref.charges)}}
	g.permit.at = m.now
	g.permit.init(&m.set, []int64{n})
	m.grants = append(m.grants, g)
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
	case m.ref.can(at-1, n):
		t.Fatalf("at %d: when(%d) = %d, which is too late", m.now, n, at)
	}
}

// report settles a grant; the reference changes its past instead.
func (m *model) report(t *rapid.T) {
	if len(m.grants) == 0 {
		return
	}
	g := m.grants[rapid.IntRange(0, len(m.grants)-1).Draw(t, "grant")]
	if len(g.charges) > maxRaises {
		return // from here on, less may come back
	}
	used := rapid.Int64Range(0, 2*g.asked).Draw(t, "used")
	g.permit.settle(m.meter, 0, m.now, used)
	if excess := g.counts - used; excess <= 0 {
		g.counts = used
		g.charges = append(g.charges, len(m.ref.charges))
		m.ref.charges = append(m.ref.charges, charge{at: m.now, n: -excess})
	} else if m.ref.algorithm.bursts() {
		g.counts -= m.ref.rewrite(m.now, g.charges, excess)
	}
	if got := g.permit.amounts()[0]; got != g.counts {
		t.Fatalf("at %d: %d reported of %d: got %d counting, want %d", m.now, used, g.asked, got, g.counts)
	}
}

// rewrite makes the past such that excess was not charged, the last of the
// charges first, and returns how much less the backlog is now, in whole units.
func (r *reference) rewrite(now time.Duration, charges []int, excess int64) int64 {
	before := r.backlog(now)
	for _, i := range slices.Backward(charges) {
		n := min(excess, r.charges[i].n)
		r.charges[i].n -= n
		excess -= n
	}
	less := before.Sub(before, r.backlog(now))
	up := new(big.Int).Add(less.Num(), less.Denom())
	return up.Sub(up, big.NewInt(1)).Div(up, less.Denom()).Int64()
}
