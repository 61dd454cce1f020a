package limits_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/limits"
)

func TestLargeRequestAtTheHeadIsNotStarvedBySmallOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Resource("r", 10))
		held := make([]*limits.Permit, 10)
		for i := range held {
			held[i] = acquire(t, set, limits.Request{"r": 1})
		}
		large := inBackground(t.Context(), set, limits.Request{"r": 10})
		synctest.Wait()
		small := inBackground(t.Context(), set, limits.Request{"r": 1})
		synctest.Wait()
		for _, p := range held[:9] {
			p.Release()
			unavailable(t, set, limits.Request{"r": 1}) // would overtake
		}
		if got := stat(t, set, "r"); got.Waiting != 2 || got.Available != 9 {
			t.Errorf("got %+v, want both waiting in spite of 9 available", got)
		}
		held[9].Release()
		granted(t, large).permit.Release()
		granted(t, small).permit.Release()
	})
}

func TestRequestsWaitOnlyBehindThoseThatShareAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Resource("a", 1), limits.Resource("b", 1), limits.Resource("c", 1))
		a := acquire(t, set, limits.Request{"a": 1, "b": 0, "c": 0})
		ab := inBackground(t.Context(), set, limits.Request{"a": 1, "b": 1, "c": 0})
		synctest.Wait()
		bc := inBackground(t.Context(), set, limits.Request{"a": 0, "b": 1, "c": 1})
		synctest.Wait()
		// c is free, but the request for b and c is before us; b is free, but
		// the request for a and b is before that one.
		unavailable(t, set, limits.Request{"a": 0, "b": 0, "c": 1})
		for key, want := range map[string]int{"a": 1, "b": 2, "c": 1} {
			if got := stat(t, set, key).Waiting; got != want {
				t.Errorf("key %s: got %d waiting, want %d", key, got, want)
			}
		}
		a.Release()
		first := granted(t, ab)
		if st := stat(t, set, "c"); st.Used != 0 {
			t.Error("bc was granted before ab was released")
		}
		first.permit.Release()
		granted(t, bc).permit.Release()
	})
}

func TestDisjointRequestsPassOneThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Rate("a", 1, time.Hour), limits.Rate("b", 5, time.Second))
		acquire(t, set, limits.Request{"a": 1, "b": 0})
		waiter := inBackground(t.Context(), set, limits.Request{"a": 1, "b": 0})
		synctest.Wait()
		start := time.Now()
		for range 10 {
			acquire(t, set, limits.Request{"a": 0, "b": 1})
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("ten of b took %v, want a second", got)
		}
		granted(t, waiter)
		if got := time.Since(start); got != time.Hour {
			t.Errorf("a came after %v, want an hour", got)
		}
	})
}

func TestGrantsFollowTheOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Calls(4, time.Second), limits.Resource("r", 3))
		at := make([]time.Time, 60)
		var all sync.WaitGroup
		for i := range at {
			all.Go(func() {
				p := acquire(t, set, limits.Request{"r": 1 + i%3})
				at[i] = time.Now()
				time.Sleep(time.Duration(i%7) * 100 * time.Millisecond)
				p.Release()
			})
			synctest.Wait()
		}
		all.Wait()
		if !slices.IsSortedFunc(at, time.Time.Compare) {
			t.Errorf("granted at %v", at)
		}
	})
}

func TestSetOfManyLimitsGrantsAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := []string{"a", "b", "c", "d", "e", "f", "g"}
		var ls []limits.Limit
		for _, k := range keys {
			ls = append(ls, limits.Resource(k, 2))
		}
		set := limits.MustNew(ls...)
		last := acquire(t, set, limits.Request{"a": 0, "b": 0, "c": 0, "d": 0, "e": 0, "f": 0, "g": 2})
		unavailable(t, set, nil)
		waiter := inBackground(t.Context(), set, nil)
		synctest.Wait()
		for _, k := range keys[:6] {
			if st := stat(t, set, k); st.Used != 0 || st.Waiting != 1 {
				t.Errorf("got %+v, want nothing taken", st)
			}
		}
		last.Release()
		p := granted(t, waiter).permit
		for _, k := range keys {
			if st := stat(t, set, k); st.Used != 1 {
				t.Errorf("got %+v, want 1 used", st)
			}
		}
		p.Pause(time.Second)
		p.Release()
		if st := stat(t, set, "g"); st.Used != 0 || st.PausedUntil.IsZero() {
			t.Errorf("got %+v, want nothing used and a pause", st)
		}
	})
}

func TestTimersStopWithTheWaiters(t *testing.T) {
	// A bubble that ends with a goroutine or timer function to come fails.
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Calls(1, time.Hour))
		acquire(t, set, nil)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if _, err := set.Acquire(ctx, nil); err != context.DeadlineExceeded {
				t.Errorf("got %v, want the deadline", err)
			}
			cancel()
		}
		if set.TimerPending() {
			t.Error("a timer is left though nobody waits")
		}
	})
}

func TestOneReleaseLetsThroughAllThatItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Resource("a", 2), limits.Resource("b", 2))
		held := acquire(t, set, limits.Request{"a": 0, "b": 2})
		var waiters []<-chan outcome
		// The last one is freed only by the second, and that by the first.
		for _, r := range []limits.Request{{"a": 0, "b": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 0}} {
			waiters = append(waiters, inBackground(t.Context(), set, r))
			synctest.Wait()
		}
		held.Release()
		for _, w := range waiters {
			granted(t, w)
		}
	})
}
