package limits_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/limits"
)

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
