package limits_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/limits"
)

func TestUpdateGivesBackWhereTheAlgorithmDoes(t *testing.T) {
	conform(t, func(t *testing.T, s subject, set *limits.Set) {
		if s.resource {
			t.Skip("a resource has nothing to report")
		}
		p := fill(t, set)
		want := 10 // used, as the limit sees it
		for _, report := range []int{4, 7, 0, 0, 6} {
			if err := p.Update("k", report); err != nil {
				t.Fatal(err)
			}
			if s.refunds {
				want = report
			}
			if got := stat(t, set, "k").Used; got != want {
				t.Errorf("after the report of %d: %d used, want %d", report, got, want)
			}
		}
		p.Release()
		if s.refunds {
			available(t, set, limits.Request{"k": 4})
		}
		unavailable(t, set, limits.Request{"k": 1})
	})
}

func TestUpdateAboveTheRequestIsADebt(t *testing.T) {
	conform(t, func(t *testing.T, s subject, set *limits.Set) {
		if s.resource {
			t.Skip("a resource has nothing to report")
		}
		start := time.Now()
		p := acquire(t, set, limits.Request{"k": 1})
		waiter := inBackground(t.Context(), set, limits.Request{"k": 10})
		synctest.Wait()
		for range 2 { // a report once more changes nothing
			if err := p.Update("k", 35); err != nil {
				t.Fatal(err)
			}
		}
		if got := stat(t, set, "k"); got.Used != 35 || got.Available != -25 {
			t.Errorf("got %+v, want 35 used and -25 available", got)
		}
		// The debt is worked off at the rate; only the log of a sliding window
		// forgets all of it one window later.
		want := map[string]time.Duration{"SlidingWindow": time.Second, "FixedWindow": 4 * time.Second}[s.name]
		if want == 0 {
			want = 3500 * time.Millisecond
		}
		if got := granted(t, waiter).at.Sub(start); got != want {
			t.Errorf("granted after %v, want %v", got, want)
		}
	})
}

func TestUpdateRefusesWhatMakesNoSense(t *testing.T) {
	conform(t, func(t *testing.T, s subject, set *limits.Set) {
		p := acquire(t, set, limits.Request{"k": 1})
		before := set.Stats()[0]
		requestError(t, p.Update("k", -1), "k")
		if re := requestError(t, p.Update("x", 1), "x"); !strings.Contains(re.Reason, `"k"`) {
			t.Errorf("got %v, want it to list the known key", re)
		}
		if s.resource {
			requestError(t, p.Update("k", 1), "k")
		}
		if after := set.Stats()[0]; after != before {
			t.Errorf("got %+v, want %+v", after, before)
		}
		p.Release()
		if err := p.Update("k", 5); !s.resource && err != limits.ErrReleased {
			t.Errorf("after Release: got %v, want ErrReleased", err)
		}
		if after := set.Stats()[0]; !s.resource && after != before {
			t.Errorf("got %+v, want %+v", after, before)
		}
	})
}

func TestReleaseCountsOnce(t *testing.T) {
	conform(t, func(t *testing.T, s subject, set *limits.Set) {
		a, b := acquire(t, set, limits.Request{"k": 3}), (*limits.Permit)(nil)
		if !s.smooth {
			b = acquire(t, set, limits.Request{"k": 4})
		}
		for range 3 {
			a.Release()
		}
		want := 7
		if s.resource {
			want = 4
		} else if s.smooth {
			want = 3
		}
		if got := stat(t, set, "k").Used; got != want {
			t.Errorf("got %d used, want %d", got, want)
		}
		b.Release() // nil for the smooth one: allowed
	})
}
