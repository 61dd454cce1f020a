package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

// holding is a function that holds a permit, or waits for one, until its
// context ends, and tells what it got.
func holding(got chan<- grant, ended chan<- error) func(context.Context, int, limits.Limiter) (int, error) {
	return func(ctx context.Context, _ int, l limits.Limiter) (int, error) {
		p, err := l.Acquire(context.WithoutCancel(ctx), nil)
		got <- grant{permit: p, err: err}
		<-ctx.Done()
		if p != nil {
			ended <- p.Update("db", 0)
		}
		return 0, context.Cause(ctx)
	}
}

func TestPermitsComeBackWhenTheirHolderIsLost(t *testing.T) {
	losses := map[string]func(w *limitsWorld, b *Node){
		"stop": func(_ *limitsWorld, b *Node) { _ = b.Stop(context.Background()) },
		"cut":  func(w *limitsWorld, _ *Node) { w.net.Cut("a", "b") },
		"kill": func(w *limitsWorld, _ *Node) { w.net.Kill("b") },
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
				a, b := w.node("a"), w.node("b")
				w.serve(b)
				set := limits.MustNew(limits.Resource("db", 1))
				got, ended := make(chan grant, 2), make(chan error, 2)
				far := placedLimited(w, a, b, holding(got, ended), task.Limits(set), task.Workers(2))
				f1, f2 := far.Submit(t.Context(), 1), far.Submit(t.Context(), 2)
				synctest.Wait()
				wantStat(t, set, 1, 1)
				lose(w, b)
				for _, f := range []*task.Future[int]{f1, f2} {
					if _, err := f.Result(); !errors.Is(err, task.ErrLost) {
						t.Errorf("got %v, want ErrLost", err)
					}
				}
				wantIdle(t, set)
				if g := <-got; g.err != nil {
					t.Errorf("who came first got %v, want a permit", g.err)
				}
				if g := <-got; !errors.Is(g.err, task.ErrLost) || !strings.Contains(g.err.Error(), "a:1") || !strings.Contains(g.err.Error(), "b:1") {
					t.Errorf("who waited got %v, want ErrLost and both sides", g.err)
				}
				if err := <-ended; !errors.Is(err, task.ErrLost) {
					t.Errorf("Update then: got %v, want ErrLost", err)
				}
			})
		})
	}
}

func TestThePermitOfACallComesBackWhenItsNodeIsLost(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		w.serve(b)
		set := limits.MustNew(limits.Resource("db", 1))
		far := placed(w, a, b, func(ctx context.Context, x int) (int, error) {
			<-ctx.Done()
			return x, nil
		}, task.Limits(set), task.Workers(2))
		f1, f2 := far.Submit(t.Context(), 1), far.Submit(t.Context(), 2)
		synctest.Wait()
		wantStat(t, set, 1, 1)
		w.net.Partition("a", "b") // noticed by the heartbeat
		if _, err := f1.Result(); !errors.Is(err, task.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		f2.Cancel()
		far.Stop()
		wantIdle(t, set)
		w.net.Heal("a", "b")
	})
}

// What is held comes back, whatever was under way when the connection broke.
func TestNothingIsHeldAfterCutsBySeed(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inLimitsWorld(t, seed, func(t *testing.T, w *limitsWorld) {
				stormOfLimits(t, w, rand.New(rand.NewPCG(seed, 2)))
			})
		})
	}
}

// stormOfLimits has functions on b take permits of a, as the limits of their
// pool and as shared ones, while the connections break.
func stormOfLimits(t *testing.T, w *limitsWorld, draw *rand.Rand) {
	w.net.Latency(0, time.Duration(draw.IntN(20))*time.Millisecond)
	a, b := w.node("a"), w.node("b")
	w.serve(b)
	pool := limits.MustNew(limits.Resource("db", 3), limits.Rate("r", 100, time.Second))
	shared := limits.MustNew(limits.Resource("db", 2))
	if err := ShareLimits(a, "shared", shared); err != nil {
		t.Fatal(err)
	}
	distant := LimitsAt(b, a.Addr(), "shared")
	far := placedLimited(w, a, b, func(ctx context.Context, x int, l limits.Limiter) (int, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(x%7)*100*time.Millisecond)
		defer cancel()
		p, err := l.Acquire(ctx, limits.Request{"db": 1 + x%3, "r": x % 5})
		if err != nil {
			return 0, err
		}
		_ = p.Update("r", x%3)
		q, err := distant.Acquire(ctx, nil)
		if err != nil {
			return 0, err // and leaves p
		}
		defer q.Release()
		time.Sleep(time.Duration(x%11) * time.Millisecond)
		return x, nil
	}, task.Limits(pool), task.Workers(8), task.Idempotent())
	fs := make([]*task.Future[int], 60)
	for i := range fs {
		fs[i] = far.Submit(t.Context(), i)
	}
	for range 5 {
		time.Sleep(time.Duration(draw.IntN(100)) * time.Millisecond)
		w.net.Cut("a", "b")
	}
	done, last := 0, error(nil)
	for _, f := range fs {
		if _, err := f.Result(); err != nil {
			last = err
		} else {
			done++
		}
	}
	if done == 0 {
		t.Errorf("no call succeeded: %v", last)
	}
	far.Stop()
	if err := b.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Second) // for the last connection to end here too, and the rate to recover
	wantIdle(t, pool)
	wantIdle(t, shared)
}
