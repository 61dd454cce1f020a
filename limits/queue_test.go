package limits_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/limits"
)

// grantee is a Grantee made of a function; a nil one must never be told.
type grantee func(*limits.Permit, error)

func (g grantee) Granted(p *limits.Permit, err error) { g(p, err) }

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

func TestEnqueueTellsTheGranteeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Resource("r", 1))
		p, ticket, err := set.Enqueue(nil, grantee(nil)) // at once: not told
		if p == nil || ticket != nil || err != nil {
			t.Fatalf("got %v, %v, %v, want a permit", p, ticket, err)
		}
		var told []string
		tell := func(name string) grantee {
			return func(p *limits.Permit, err error) {
				told = append(told, name)
				if p != nil {
					p.Release() // lets the next through, from inside the callback
				} else if err != limits.ErrClosed {
					t.Errorf("got %v, want ErrClosed", err)
				}
			}
		}
		enqueue := func(name string) limits.Ticket {
			q, ticket, err := set.Enqueue(nil, tell(name))
			if q != nil || ticket == nil || err != nil {
				t.Fatalf("got %v, %v, %v, want a ticket", q, ticket, err)
			}
			return ticket
		}
		a, b, c := enqueue("a"), enqueue("b"), enqueue("c")
		if !b.Cancel() || b.Cancel() {
			t.Error("want one successful Cancel")
		}
		p.Release()
		if a.Cancel() || c.Cancel() {
			t.Error("cancelled what had been granted")
		}
		held := available(t, set, nil)
		enqueue("d")
		set.Close()
		held.Release()
		if want := []string{"a", "c", "d"}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if _, _, err := set.Enqueue(nil, nil); err == nil {
			t.Error("want an error for no grantee")
		}
	})
}

func TestPanicInGrantedIsContainedAndLosesNoPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Resource("r", 1))
		var logged strings.Builder
		defer slog.SetDefault(slog.Default())
		slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
		held := acquire(t, set, nil)
		if _, _, err := set.Enqueue(nil, grantee(func(*limits.Permit, error) { panic("no") })); err != nil {
			t.Fatal(err)
		}
		held.Release()
		available(t, set, nil).Release()
		if !strings.Contains(logged.String(), "panic=no") {
			t.Errorf("logged %q, want the panic", &logged)
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

// TestNothingGrantedIsLost lets grants meet the end of contexts, cancels and a
// Close, in real time so that they do meet, and counts what comes back.
func TestNothingGrantedIsLost(t *testing.T) {
	const capacity, workers, rounds = 3, 16, 300
	set := limits.MustNew(limits.Resource("r", capacity), limits.Rate("k", 1_000_000, time.Second))
	other := limits.MustNew(limits.Resource("r", capacity), limits.Rate("k", 1_000_000, time.Second))
	pool, err := limits.NewPool([]*limits.Set{set, other})
	if err != nil {
		t.Fatal(err)
	}
	var held atomic.Int64
	use := func(p *limits.Permit) {
		if n := held.Add(1); n > 2*capacity {
			t.Errorf("%d held of %d", n, 2*capacity)
		}
		yield()
		held.Add(-1)
		p.Release()
		p.Release()
	}
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			l := []limits.Queuer{set, pool, other}[w%3]
			for range rounds {
				if w%2 == 0 {
					ctx, cancel := context.WithCancel(t.Context())
					all.Go(func() { yield(); cancel() })
					if p, err := l.Acquire(ctx, limits.Request{"k": 1}); err == nil {
						use(p)
					}
					continue
				}
				done := make(chan struct{})
				p, ticket, err := l.Enqueue(limits.Request{"k": 1}, grantee(func(p *limits.Permit, err error) {
					defer close(done)
					if err == nil {
						p.Release()
					}
				}))
				switch {
				case err != nil:
					t.Error(err)
				case p != nil:
					use(p)
				case rand.IntN(2) == 0 || !ticket.Cancel():
					<-done
				}
			}
		})
	}
	all.Wait()
	for _, s := range []*limits.Set{set, other} {
		if st := stat(t, s, "r"); st.Available != capacity || st.Waiting != 0 {
			t.Errorf("at the end: got %+v", st)
		}
		if s.TimerPending() {
			t.Error("a timer is left")
		}
	}
}

func TestCloseMeetsGrantsAndLosesNothing(t *testing.T) {
	for range 200 {
		set := limits.MustNew(limits.Resource("r", 1))
		held := acquire(t, set, nil)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				p, err := set.Acquire(t.Context(), nil)
				if (p == nil) == (err == nil) {
					t.Errorf("got %v, %v", p, err)
				}
				p.Release()
			})
		}
		all.Go(held.Release)
		all.Go(func() { set.Close() })
		all.Wait()
		if st := stat(t, set, "r"); st.Used != 0 || st.Waiting != 0 {
			t.Errorf("at the end: got %+v", st)
		}
	}
}
