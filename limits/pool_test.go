package limits_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/limits"
)

// regions returns Sets of one resource "r" each, with the given capacities,
// whose permits name them a, b, c.
func regions(capacities ...int) []*limits.Set {
	var sets []*limits.Set
	for i, c := range capacities {
		sets = append(sets, limits.MustNew(limits.Resource("r", c)).Config(map[string]string{"name": string(rune('a' + i))}))
	}
	return sets
}

func pool(t *testing.T, sets []*limits.Set, opts ...limits.PoolOption) *limits.Pool {
	t.Helper()
	p, err := limits.NewPool(sets, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// names returns the Sets that n requests are granted by, one after another.
func names(t *testing.T, l limits.Limiter, n int) string {
	t.Helper()
	var got strings.Builder
	for range n {
		p := acquire(t, l, nil)
		got.WriteString(p.Config()["name"])
		p.Release()
	}
	return got.String()
}

func TestPoolTakesItsSetsInTurn(t *testing.T) {
	sets := regions(1, 1, 1)
	if got := names(t, pool(t, sets), 7); got != "abcabca" {
		t.Errorf("got %s", got)
	}
	if got := names(t, pool(t, sets, limits.RoundRobin, limits.Offset(5)), 4); got != "cabc" {
		t.Errorf("with an offset: got %s", got)
	}
	got := names(t, pool(t, sets, limits.Random), 200)
	for _, name := range []string{"a", "b", "c"} {
		if strings.Count(got, name) < 20 {
			t.Errorf("random: got %s", got)
		}
	}
}

func TestPoolGoesOnToASetThatCanGrantNow(t *testing.T) {
	p := pool(t, regions(1, 2, 1))
	var got []string
	for range 4 {
		got = append(got, available(t, p, nil).Config()["name"])
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"a", "b", "b", "c"}) {
		t.Errorf("got %v", got)
	}
	unavailable(t, p, nil)
	for _, st := range p.Stats() {
		if st.Refused != 1 {
			t.Errorf("got %+v, want 1 refused", st)
		}
	}
}

func TestPoolWaitsInOrderForWhicheverSetIsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sets := regions(1, 1, 1)
		p := pool(t, sets)
		var held []*limits.Permit
		for range 3 {
			held = append(held, acquire(t, p, nil))
		}
		var waiters []<-chan outcome
		for range 3 {
			waiters = append(waiters, inBackground(t.Context(), p, nil))
			synctest.Wait()
		}
		direct := inBackground(t.Context(), sets[2], nil) // behind the three, at c
		synctest.Wait()
		for i, from := range []int{1, 2, 2} {
			held[from].Release()
			o := granted(t, waiters[i])
			if got, want := o.permit.Config()["name"], "abc"[from:from+1]; got != want {
				t.Errorf("waiter %d got it from %s, want %s", i, got, want)
			}
			held[from] = o.permit
		}
		for _, st := range p.Stats()[:2] {
			if st.Waiting != 0 {
				t.Errorf("got %+v, want nobody waiting", st)
			}
		}
		held[2].Release()
		granted(t, direct)
	})
}

func TestPoolWaiterThatLeavesLetsOthersThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sets := []*limits.Set{limits.MustNew(limits.Resource("r", 2)), limits.MustNew(limits.Resource("r", 2))}
		p := pool(t, sets)
		a, b := acquire(t, sets[0], nil), acquire(t, sets[1], nil)
		ctx, cancel := context.WithCancel(t.Context())
		large := inBackground(ctx, p, limits.Request{"r": 2})
		synctest.Wait()
		one := inBackground(t.Context(), sets[0], nil)
		two := inBackground(t.Context(), sets[1], nil)
		synctest.Wait()
		cancel()
		if o := <-large; o.err != context.Canceled {
			t.Errorf("got %v, want context.Canceled", o.err)
		}
		third, fourth := granted(t, one).permit, granted(t, two).permit
		a.Release()
		b.Release()

		// The same when one Set grants what waits at both.
		large = inBackground(t.Context(), p, limits.Request{"r": 2})
		synctest.Wait()
		three := inBackground(t.Context(), sets[1], nil)
		synctest.Wait()
		third.Release()
		granted(t, large)
		granted(t, three) // beside fourth
		fourth.Release()
	})
}

func TestPoolPassesOverSetsThatCannotServe(t *testing.T) {
	closed := limits.MustNew(limits.Resource("r", 5))
	closed.Close()
	other := limits.MustNew(limits.Resource("x", 5))
	small := limits.MustNew(limits.Resource("r", 1))
	large := limits.MustNew(limits.Resource("r", 3)).Config(map[string]string{"name": "large"})
	p := pool(t, []*limits.Set{other, closed, small, large})
	for range 4 {
		q := acquire(t, p, limits.Request{"r": 3})
		if q.Config()["name"] != "large" {
			t.Errorf("got %v", q.Config())
		}
		q.Release()
	}
	_, err := p.TryAcquire(limits.Request{"r": 9})
	requestError(t, err, "r")
	_, err = p.Acquire(t.Context(), limits.Request{"y": 1})
	if re := requestError(t, err, "y"); !strings.Contains(re.Reason, `"x"`) {
		t.Errorf("got %v, want the error of the first set", re)
	}
	if _, err := p.TryAcquire(limits.Request{"r": 5}); err != limits.ErrClosed {
		t.Errorf("only a closed set could: got %v, want ErrClosed", err)
	}
}

func TestPoolWaitsUntilItsLastSetIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sets := regions(1, 1)
		p := pool(t, sets)
		acquire(t, p, nil)
		acquire(t, p, nil)
		waiter := inBackground(t.Context(), p, nil)
		synctest.Wait()
		sets[0].Close()
		synctest.Wait()
		select {
		case o := <-waiter:
			t.Fatalf("got %v with a set still open", o)
		default:
		}
		sets[1].Close()
		if o := <-waiter; o.err != limits.ErrClosed {
			t.Errorf("got %v, want ErrClosed", o.err)
		}
		if _, err := p.Acquire(t.Context(), nil); err != limits.ErrClosed {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

func TestPoolOfRatesUsesAllOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sets []*limits.Set
		for range 2 {
			sets = append(sets, limits.MustNew(limits.Calls(1, time.Second)))
		}
		p := pool(t, sets)
		start := time.Now()
		for range 9 {
			acquire(t, p, nil).Release()
		}
		if got := time.Since(start); got != 4*time.Second {
			t.Errorf("nine grants of two a second took %v, want 4s", got)
		}
	})
}

func TestPoolNamesTheMostHelpfulFault(t *testing.T) {
	set := func(key string, capacity int) *limits.Set {
		return limits.MustNew(limits.Rate(key, capacity, time.Second))
	}
	for _, c := range []struct {
		sets         []*limits.Set
		req          limits.Request
		key, because string
	}{
		{[]*limits.Set{limits.MustNew()}, limits.Request{"x": -1}, "x", "negative"},
		{[]*limits.Set{set("x", 1), limits.MustNew()}, limits.Request{"y": -1}, "y", "negative"},
		{[]*limits.Set{set("x", 1), set("y", 5)}, limits.Request{"y": 6}, "y", "above the capacity of 5"},
		{[]*limits.Set{set("x", 1), set("y", 5)}, limits.Request{"y": -6}, "y", "negative"},
		{[]*limits.Set{set("x", 1), set("y", 5)}, nil, "x", "missing"},
		{[]*limits.Set{set("x", 1), set("y", 5)}, limits.Request{"z": -6}, "z", `want one of "x"`},
	} {
		p := pool(t, c.sets)
		_, errTry := p.TryAcquire(c.req)
		_, errAcquire := p.Acquire(t.Context(), c.req)
		for _, err := range []error{errTry, errAcquire, p.Check(c.req)} {
			if re := requestError(t, err, c.key); re.Amount != c.req[c.key] || !strings.Contains(re.Reason, c.because) {
				t.Errorf("%v: got %v, want %q", c.req, re, c.because)
			}
		}
	}
}

func TestCheckSaysWhatAcquireWouldAndTakesNothing(t *testing.T) {
	sets := regions(2, 3)
	p := pool(t, sets)
	held := acquire(t, sets[0], limits.Request{"r": 2})
	before := p.Stats()
	for _, l := range []interface{ Check(limits.Request) error }{sets[0], p, limits.MustNew()} {
		if err := l.Check(nil); err != nil {
			t.Errorf("got %v, want nil though it would have to wait", err)
		}
	}
	requestError(t, sets[0].Check(limits.Request{"r": 3}), "r")
	if err := p.Check(limits.Request{"r": 3}); err != nil {
		t.Errorf("got %v, want nil, as the second could", err)
	}
	requestError(t, p.Check(limits.Request{"r": 4}), "r")
	requestError(t, p.Check(limits.Request{"r": -1}), "r")
	if !slices.Equal(p.Stats(), before) {
		t.Errorf("got %+v, want %+v", p.Stats(), before)
	}
	held.Release()
	sets[1].Close()
	if err := sets[1].Check(nil); err != limits.ErrClosed {
		t.Errorf("got %v, want ErrClosed", err)
	}
	requestError(t, sets[1].Check(limits.Request{"x": 1}), "x")
	if err := p.Check(nil); err != nil {
		t.Errorf("got %v, want nil with one open", err)
	}
	if err := p.Check(limits.Request{"r": 3}); err != limits.ErrClosed {
		t.Errorf("got %v, want ErrClosed, as only the closed one could", err)
	}
}

func TestPoolGivesItsSets(t *testing.T) {
	sets := regions(1, 2)
	p := pool(t, sets)
	got := p.Sets()
	if !slices.Equal(got, sets) {
		t.Errorf("got %v, want %v", got, sets)
	}
	got[0] = nil
	if !slices.Equal(p.Sets(), sets) {
		t.Error("a change of the slice changed the pool")
	}
}

func TestWrongPoolsAreErrors(t *testing.T) {
	s := limits.MustNew()
	_, err := limits.NewPool([]*limits.Set{s, nil, s}, limits.Offset(-1), limits.Choice(7), nil)
	if err == nil {
		t.Fatal("want an error")
	}
	for _, want := range []string{"set 1 is nil", "set 2 is there twice", "Offset(-1)", "unknown choice 7", "nil option"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
	if _, err := limits.NewPool(nil, limits.Offset(3)); err == nil || !strings.Contains(err.Error(), "no sets") {
		t.Errorf("got %v, want an error about no sets", err)
	}
}
