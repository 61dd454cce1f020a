package limits_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/limits"
)

// refunding runs test for each algorithm that gives back, in a bubble.
func refunding(t *testing.T, test func(t *testing.T, a limits.Algorithm)) {
	for _, a := range []limits.Algorithm{limits.TokenBucket, limits.GCRA} {
		t.Run(a.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, a) })
		})
	}
}

// report tells p what was used, and then expects so much to be available.
func report(t *testing.T, set *limits.Set, p *limits.Permit, key string, used, want int) {
	t.Helper()
	if err := p.Update(key, used); err != nil {
		t.Fatal(err)
	}
	if got := stat(t, set, key).Available; got != want {
		t.Errorf("with %d used: got %d available, want %d", used, got, want)
	}
}

func TestUnusedUnitsComeBackWhole(t *testing.T) {
	refunding(t, func(t *testing.T, a limits.Algorithm) {
		for _, c := range []struct {
			key   string
			limit limits.Limit
			n     int
		}{
			{"x", limits.Rate("x", 1, time.Hour, a), 1},
			{"x", limits.Rate("x", 10, time.Hour, a), 10},
			{"calls", limits.Calls(1, time.Hour, a), 1},
			{"x", limits.Rate("x", 1, time.Hour, a, limits.Burst(1_000_000_000)), 1_000_000_000},
			{"x", limits.Rate("x", 1_000_000_000, time.Second, a), 1_000_000},
		} {
			set := limits.MustNew(c.limit)
			full := stat(t, set, c.key).Available
			p := acquire(t, set, limits.Request{c.key: c.n})
			time.Sleep(time.Millisecond) // a bit has flowed back by itself
			report(t, set, p, c.key, 0, full)
			p.Release()
			available(t, set, limits.Request{c.key: c.n})
			unavailable(t, set, limits.Request{c.key: full - c.n + 1})
		}
	})
}

func TestARefundKeepsTheFractionsOfTheOthers(t *testing.T) {
	refunding(t, func(t *testing.T, a limits.Algorithm) {
		set := limits.MustNew(limits.Rate("x", 10, 10*time.Second, a))
		start := time.Now()
		acquire(t, set, limits.Request{"x": 9})
		time.Sleep(500 * time.Millisecond)
		p := acquire(t, set, limits.Request{"x": 1}) // leaves half a one
		time.Sleep(100 * time.Millisecond)
		report(t, set, p, "x", 0, 1)
		acquire(t, set, limits.Request{"x": 10})
		if got, want := time.Since(start), 9*time.Second; got != want {
			t.Errorf("all were there after %v, want %v", got, want)
		}
	})
}

func TestTheLastReportCounts(t *testing.T) {
	refunding(t, func(t *testing.T, a limits.Algorithm) {
		set := limits.MustNew(limits.Rate("x", 100, time.Minute, a))
		p := acquire(t, set, limits.Request{"x": 10})
		time.Sleep(10 * time.Second) // full again
		report(t, set, p, "x", 60, 50)
		report(t, set, p, "x", 10, 100)
		report(t, set, p, "x", 0, 100) // which would have overflowed
		report(t, set, p, "x", 30, 80)
		report(t, set, p, "x", 200, -90)
		report(t, set, p, "x", 30, 80)
		p.Release()

		set = limits.MustNew(limits.Rate("x", 100, time.Minute, a))
		p = acquire(t, set, limits.Request{"x": 10})
		for _, used := range []int{0, 10, 0, 150, 0, 10, 10, 0} {
			time.Sleep(time.Millisecond)
			report(t, set, p, "x", used, 100-used)
		}
	})
}

// TestWhatWasChargedLastIsTakenBackFirst needs the instants of the charges: of
// the 50 of the first report nothing has flowed back, of the grant all has.
func TestWhatWasChargedLastIsTakenBackFirst(t *testing.T) {
	refunding(t, func(t *testing.T, a limits.Algorithm) {
		set := limits.MustNew(limits.Rate("x", 60, time.Minute, a), limits.Rate("y", 60, time.Minute, a))
		p := acquire(t, set, limits.Request{"x": 10, "y": 0})
		time.Sleep(20 * time.Second)
		report(t, set, p, "x", 60, 10)
		report(t, set, p, "y", 7, 53) // of another key, in between
		time.Sleep(5 * time.Second)   // 45 are owed, of the 50
		report(t, set, p, "x", 90, -15)
		time.Sleep(5 * time.Second) // 70
		report(t, set, p, "x", 40, 40)
		report(t, set, p, "x", 5, 60) // 20 of the 35 were still owed
		report(t, set, p, "y", 0, 60)
	})
}

func TestReportsWithoutEndAreSettledToo(t *testing.T) {
	refunding(t, func(t *testing.T, a limits.Algorithm) {
		set := limits.MustNew(limits.Rate("x", 1000, time.Hour, a))
		p := acquire(t, set, limits.Request{"x": 100})
		for used := 101; used <= 300; used++ {
			time.Sleep(time.Millisecond)
			if err := p.Update("x", used); err != nil {
				t.Fatal(err)
			}
		}
		report(t, set, p, "x", 250, 750) // by the last ones, which are known one by one
		if err := p.Update("x", 0); err != nil {
			t.Fatal(err)
		}
		if got := stat(t, set, "x"); got.Available < 750 || got.Available > 1000 {
			t.Errorf("got %+v, want no more than all back", got)
		}
	})
}
