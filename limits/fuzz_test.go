package limits

import (
	"math"
	"math/big"
	"testing"
	"time"
)

func FuzzDrain(f *testing.F) {
	f.Add(int64(1), int64(1), int64(1), int64(1), int64(1))
	f.Add(int64(math.MaxInt64), int64(1), int64(math.MaxInt64), int64(7), int64(3))
	f.Add(int64(3), int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, capacity, per, n, wait, more int64) {
		if capacity < 1 || per < 1 || n < 0 || wait < 0 || more < 0 {
			t.Skip()
		}
		d := drain{capacity: uint64(capacity), per: uint64(per)}
		want := new(big.Int)
		product := func(a, b int64) *big.Int { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }
		largest := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1))
		check := func(what string) {
			if want.Sign() < 0 {
				want.SetInt64(0)
			}
			if want.Cmp(largest) > 0 {
				want.Set(largest)
			}
			got := new(big.Int).Lsh(new(big.Int).SetUint64(d.content.hi), 64)
			if got.Or(got, new(big.Int).SetUint64(d.content.lo)); got.Cmp(want) != 0 {
				t.Fatalf("after %s: got %v, want %v", what, got, want)
			}
		}
		d.pour(n)
		want.Add(want, product(n, per))
		check("pour")
		for range 5 {
			d.pour(more)
			want.Add(want, product(more, per))
			check("more")
		}
		d.run(time.Duration(wait))
		want.Sub(want, product(wait, capacity))
		check("run")
		d.scoop(d.parts(n))
		want.Sub(want, product(n, per))
		check("scoop")
		if at := d.empties(wide{}); at < never {
			d.run(at - 1)
			if at > time.Duration(wait) && d.content.zero() {
				t.Fatalf("empty before %d", at)
			}
			d.run(at)
			if !d.content.zero() {
				t.Fatalf("not empty at %d", at)
			}
		}
	})
}

// FuzzMeters asks all algorithms the same, with whatever numbers: time must
// never take anything away, announced instants must hold, debts must not wrap.
func FuzzMeters(f *testing.F) {
	f.Add(int64(10), int64(time.Second), int64(3), int64(time.Millisecond), int64(5))
	f.Add(int64(math.MaxInt64), int64(1), int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64))
	f.Add(int64(1), int64(math.MaxInt64), int64(1), int64(1), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, capacity, per, n, wait, used int64) {
		if capacity < 1 || per < 1 || n < 1 || n > capacity || wait < 0 || used < 0 {
			t.Skip()
		}
		for _, a := range []Algorithm{TokenBucket, GCRA, SlidingWindow, FixedWindow, LeakyBucket} {
			l := Rate("k", int(capacity), time.Duration(per), a)
			fuzzMeter(t, a, newMeter(&l), n, time.Duration(wait), used)
		}
	})
}

func fuzzMeter(t *testing.T, a Algorithm, m meter, n int64, wait time.Duration, used int64) {
	var now time.Duration
	for range 4 {
		now = later(now, wait)
		if m.can(now, n) {
			at := now
			m.take(now, n)
			now = later(now, wait/2)
			if used >= n {
				m.owe(now, used-n)
			} else if back := m.giveBack(now, at, n-used); back < 0 || back > n-used {
				t.Fatalf("%v: gave back %d for %d of %d", a, back, used, n)
			}
		}
		available, inUse := m.level(now)
		if inUse < 0 {
			t.Fatalf("%v: %d available, %d used", a, available, inUse)
		}
		at := m.when(now, n)
		if at < never && !m.can(max(at, now), n) {
			t.Fatalf("%v: at %d: %d not there at %d as announced", a, now, n, at)
		}
		now = max(now, min(at, never-1))
	}
}
