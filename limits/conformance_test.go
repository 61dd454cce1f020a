package limits_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/limits"
)

// A subject is one kind of limit under the conformance suite. All have the key
// "k", capacity 10 and, if it has a meaning, a window of one second.
type subject struct {
	name  string
	limit limits.Limit
	// When single units are asked for without end, the first 15 are granted
	// after so many milliseconds each; nil if only a release brings more.
	schedule []int
	refunds  bool // gives back what was not used
	resource bool
	smooth   bool // grants nothing until the last grant has drained
}

func subjects() []subject {
	burst := func(after ...int) []int { return append(make([]int, 10), after...) }
	even := make([]int, 15)
	for i := range even {
		even[i] = 100 * i
	}
	rate := func(a limits.Algorithm) limits.Limit { return limits.Rate("k", 10, time.Second, a) }
	return []subject{
		{name: "TokenBucket", limit: rate(limits.TokenBucket), schedule: burst(100, 200, 300, 400, 500), refunds: true},
		{name: "GCRA", limit: rate(limits.GCRA), schedule: burst(100, 200, 300, 400, 500), refunds: true},
		{name: "SlidingWindow", limit: rate(limits.SlidingWindow), schedule: burst(1000, 1000, 1000, 1000, 1000)},
		{name: "FixedWindow", limit: rate(limits.FixedWindow), schedule: burst(1000, 1000, 1000, 1000, 1000)},
		{name: "LeakyBucket", limit: rate(limits.LeakyBucket), schedule: even, smooth: true},
		{name: "Resource", limit: limits.Resource("k", 10), resource: true},
	}
}

// conform runs test for each kind of limit, in a bubble and with a fresh Set.
func conform(t *testing.T, test func(t *testing.T, s subject, set *limits.Set)) {
	for _, s := range subjects() {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set := limits.MustNew(s.limit)
				defer set.Close()
				test(t, s, set)
			})
		})
	}
}

// fill takes all that can be had at once.
func fill(t *testing.T, set *limits.Set) *limits.Permit {
	t.Helper()
	return acquire(t, set, limits.Request{"k": 10})
}

func TestGrantsComeAtTheExactInstant(t *testing.T) {
	conform(t, func(t *testing.T, s subject, set *limits.Set) {
		start := time.Now()
		for i, want := range s.schedule {
			acquire(t, set, limits.Request{"k": 1}).Release()
			if got := time.Since(start).Milliseconds(); got != int64(want) {
				t.Errorf("grant %d came after %d ms, want %d", i, got, want)
			}
		}
	})
}

func TestTryAcquireTakesNothingWhenUnavailable(t *testing.T) {
	conform(t, func(t *testing.T, s subject, set *limits.Set) {
		fill(t, set)
		before := stat(t, set, "k")
		for range 5 {
			unavailable(t, set, limits.Request{"k": 1})
		}
		after := stat(t, set, "k")
		if after.Refused != before.Refused+5 {
			t.Errorf("got %d refused, want %d", after.Refused, before.Refused+5)
		}
		if after.Refused = before.Refused; after != before {
			t.Errorf("got %+v, want %+v", after, before)
		}
	})
}

func TestWrongRequestsAreErrorsAtOnceAndTakeNothing(t *testing.T) {
	conform(t, func(t *testing.T, s subject, set *limits.Set) {
		fill(t, set).Release() // must not matter
		before := set.Stats()[0]
		cases := []struct {
			req    limits.Request
			key    string
			reason string
		}{
			{limits.Request{"k": 11}, "k", "above the capacity of 10"},
			{limits.Request{"k": math.MaxInt}, "k", "above"},
			{limits.Request{"k": -1}, "k", "negative"},
			{limits.Request{"k": math.MinInt}, "k", "negative"},
			{limits.Request{"k": 1, "x": 1}, "x", `want one of "k"`},
			{limits.Request{"x": 0}, "x", "unknown key"},
		}
		if !s.resource {
			cases = append(cases, struct {
				req    limits.Request
				key    string
				reason string
			}{nil, "k", "missing"})
		}
		for _, c := range cases {
			_, errTry := set.TryAcquire(c.req)
			_, errAcquire := set.Acquire(t.Context(), c.req)
			_, _, errEnqueue := set.Enqueue(c.req, grantee(nil))
			for _, err := range []error{errTry, errAcquire, errEnqueue} {
				re := requestError(t, err, c.key)
				if re.Amount != c.req[c.key] || !strings.Contains(re.Error(), c.reason) {
					t.Errorf("%v: got %v, want the amount and %q", c.req, re, c.reason)
				}
			}
		}
		if after := set.Stats()[0]; after != before {
			t.Errorf("got %+v, want %+v", after, before)
		}
	})
}

func TestAmountZeroTakesNothingAndWaitsForNothing(t *testing.T) {
	conform(t, func(t *testing.T, s subject, set *limits.Set) {
		fill(t, set)
		waiter := inBackground(t.Context(), set, limits.Request{"k": 10})
		synctest.Wait()
		p := available(t, set, limits.Request{"k": 0})
		if err := p.Update("k", 0); err != nil && !s.resource {
			t.Error(err)
		}
		p.Release()
		set.Close()
		<-waiter
	})
}

func TestAcquireReturnsTheCauseWhenItsContextEnds(t *testing.T) {
	conform(t, func(t *testing.T, s subject, set *limits.Set) {
		held := fill(t, set)
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		gaveUp := inBackground(ctx, set, limits.Request{"k": 10})
		synctest.Wait()
		next := inBackground(t.Context(), set, limits.Request{"k": 1})
		synctest.Wait()
		if got := stat(t, set, "k").Waiting; got != 2 {
			t.Errorf("got %d waiting, want 2", got)
		}
		cancel(cause)
		if o := <-gaveUp; o.err != cause || o.permit != nil {
			t.Errorf("got %v, %v, want no permit and the cause", o.permit, o.err)
		}
		if s.resource {
			held.Release()
		}
		granted(t, next).permit.Release()
		if got := stat(t, set, "k"); got.Waiting != 0 || got.Granted != 2 || got.Refused != 1 {
			t.Errorf("got %+v, want 2 granted, 1 refused, none waiting", got)
		}
		if _, err := set.Acquire(ctx, limits.Request{"k": 0}); err != cause {
			t.Errorf("with an ended context: got %v, want its cause", err)
		}
	})
}

func TestCloseWakesEveryoneAndRefusesLaterRequests(t *testing.T) {
	conform(t, func(t *testing.T, s subject, set *limits.Set) {
		held := fill(t, set)
		var waiters []<-chan outcome
		for range 3 {
			waiters = append(waiters, inBackground(t.Context(), set, limits.Request{"k": 1}))
		}
		synctest.Wait()
		for range 2 {
			if err := set.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, w := range waiters {
			if o := <-w; o.err != limits.ErrClosed || o.permit != nil {
				t.Errorf("waiter: got %v, %v, want ErrClosed", o.permit, o.err)
			}
		}
		for _, r := range []limits.Request{{"k": 1}, {"k": 0}} {
			if _, err := set.Acquire(t.Context(), r); err != limits.ErrClosed {
				t.Errorf("Acquire(%v): got %v, want ErrClosed", r, err)
			}
			if _, err := set.TryAcquire(r); err != limits.ErrClosed {
				t.Errorf("TryAcquire(%v): got %v, want ErrClosed", r, err)
			}
		}
		held.Release()
		set.Pause("k", time.Second)
		if got := stat(t, set, "k"); got.Waiting != 0 || got.Refused != 3 {
			t.Errorf("got %+v, want 3 refused and none waiting", got)
		}
	})
}

func TestPauseGrantsNothingUntilItsEnd(t *testing.T) {
	conform(t, func(t *testing.T, s subject, set *limits.Set) {
		start := time.Now()
		set.Pause("k", 3*time.Second)
		set.Pause("k", time.Second) // the longest counts
		set.Pause("k", -time.Second)
		set.Pause("other", time.Hour)
		unavailable(t, set, limits.Request{"k": 1})
		available(t, set, limits.Request{"k": 0}).Release()
		if got, want := stat(t, set, "k").PausedUntil, start.Add(3*time.Second); !got.Equal(want) {
			t.Errorf("paused until %v, want %v", got, want)
		}
		waiter := inBackground(t.Context(), set, limits.Request{"k": 1})
		synctest.Wait()
		time.Sleep(time.Second)
		set.Pause("k", 4*time.Second) // longer still, while one waits
		if got, want := granted(t, waiter).at.Sub(start), 5*time.Second; got != want {
			t.Errorf("granted after %v, want %v", got, want)
		}
		if got := stat(t, set, "k").PausedUntil; !got.IsZero() {
			t.Errorf("paused until %v, want no more", got)
		}
		set.Pause("k", math.MaxInt64)
		set.Pause("k", math.MaxInt64)
		unavailable(t, set, limits.Request{"k": 1})
	})
}

func TestPermitPausesWhatItTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Rate("a", 10, time.Second), limits.Rate("b", 10, time.Second),
			limits.Resource("c", 1))
		start := time.Now()
		p := acquire(t, set, limits.Request{"a": 1, "b": 0, "c": 0})
		if err := p.Update("a", 0); err != nil {
			t.Error(err)
		}
		p.Release()
		p.Pause(time.Minute)
		acquire(t, set, limits.Request{"a": 0, "b": 1, "c": 1}).Release()
		acquire(t, set, limits.Request{"a": 1, "b": 1, "c": 1}).Release()
		if got := time.Since(start); got != time.Minute {
			t.Errorf("granted after %v, want a minute", got)
		}
	})
}

func TestStatsDescribeTheLimit(t *testing.T) {
	conform(t, func(t *testing.T, s subject, set *limits.Set) {
		acquire(t, set, limits.Request{"k": 4})
		want := limits.Stat{Key: "k", Kind: "rate", Algorithm: s.name, Capacity: 10, Available: 6, Used: 4, Granted: 1}
		if s.resource {
			want.Kind, want.Algorithm = "resource", ""
		}
		if s.smooth {
			want.Available = 0
		}
		if got := set.Stats(); len(got) != 1 || got[0] != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
