package remote

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

// ownLimiter is a Limiter of a program: no Queuer, and it may do anything.
type ownLimiter struct {
	limits.Limiter
	before func(method string)
}

func (l ownLimiter) Acquire(ctx context.Context, r limits.Request) (*limits.Permit, error) {
	l.before("Acquire")
	return l.Limiter.Acquire(ctx, r)
}

func (l ownLimiter) TryAcquire(r limits.Request) (*limits.Permit, error) {
	l.before("TryAcquire")
	return l.Limiter.TryAcquire(r)
}

func (l ownLimiter) Stats() []limits.Stat {
	l.before("Stats")
	return l.Limiter.Stats()
}

func TestALimiterOfTheProgramIsAskedFromElsewhere(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		w.serve(b)
		set := limits.MustNew(limits.Resource("db", 1))
		far := placedLimited(w, a, b, func(ctx context.Context, _ int, l limits.Limiter) (int, error) {
			p, err := l.Acquire(ctx, nil)
			if err != nil {
				return 0, err
			}
			defer p.Release()
			if stats := l.Stats(); len(stats) != 1 || stats[0].Used != 1 {
				t.Errorf("got %+v, want one used", stats)
			}
			if _, err := l.TryAcquire(nil); !errors.Is(err, limits.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
			time.Sleep(time.Second)
			return 0, nil
		}, task.Limits(ownLimiter{Limiter: set, before: func(string) {}}), task.Workers(4))
		start := time.Now()
		if _, err := far.MapSlice(t.Context(), make([]int, 4)); err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got != 4*time.Second {
			t.Errorf("took %v, want 4s", got)
		}
		synctest.Wait()
		wantIdle(t, set)
	})
}

func TestALimiterThatFailsIsAnErrorForWhoAsks(t *testing.T) {
	failures := map[string]struct {
		fail func()
		text string
	}{
		"panic":  {fail: func() { panic("broken") }, text: "broken"},
		"Goexit": {fail: runtime.Goexit, text: "Goexit"},
	}
	for name, f := range failures {
		t.Run(name, func(t *testing.T) {
			set := limits.MustNew(limits.Resource("db", 1))
			own := ownLimiter{Limiter: set, before: func(method string) {
				if method == "Acquire" {
					f.fail()
				}
			}}
			withDesk(t, own, func(t *testing.T, e *ends) {
				grants := e.say(&wire.Limits{Acquires: []*wire.Acquire{acquireOf(1)}})
				if len(grants) != 1 || !strings.Contains(grants[0].GetFailure().GetText(), f.text) {
					t.Fatalf("got %v, want a failure with %q", grants, f.text)
				}
				if got := e.say(&wire.Limits{Acquires: []*wire.Acquire{{Id: 2, Set: "s", Try: true}}}); len(got) != 1 || got[0].GetPermit() == 0 {
					t.Errorf("then: got %v, want a permit", got)
				}
			})
			wantFree(t, set)
		})
	}
}

func TestALimiterThatEndsTheGoroutineEndsTheConnection(t *testing.T) {
	set := limits.MustNew(limits.Resource("db", 1))
	withDesk(t, ownLimiter{Limiter: set, before: func(string) { runtime.Goexit() }}, func(t *testing.T, e *ends) {
		e.peer.AddLimits(&wire.Limits{Queries: []*wire.Query{{Id: 1, Set: "s"}}})
		e.peer.Flush()
		<-e.conn.Done()
		if err := e.conn.Err(); !errors.Is(err, errEndedInside) {
			t.Errorf("got %v, want %v", err, errEndedInside)
		}
	})
}

func TestALimiterThatBlocksDoesNotHoldUpTheConnection(t *testing.T) {
	set := limits.MustNew(limits.Resource("db", 1))
	hang := make(chan struct{})
	withDesk(t, ownLimiter{Limiter: set, before: func(string) { <-hang }}, func(t *testing.T, e *ends) {
		hang = make(chan struct{}) // of this bubble
		e.say(&wire.Limits{Queries: []*wire.Query{{Id: 1, Set: "s"}}})
		for range mostLate {
			e.say(&wire.Limits{Releases: []uint64{1}})
		}
		if err := e.conn.Err(); err != nil {
			t.Fatalf("the connection has ended: %v", err)
		}
		e.peer.AddLimits(&wire.Limits{Releases: []uint64{1}})
		e.peer.Flush()
		<-e.conn.Done()
		if err := e.conn.Err(); !errors.Is(err, errLateLimiter) {
			t.Errorf("got %v, want %v", err, errLateLimiter)
		}
		close(hang)
	})
}

// goexiting is a Grantee that ends the goroutine which tells it.
type goexiting struct{ told chan struct{} }

func (g goexiting) Granted(p *limits.Permit, _ error) {
	close(g.told)
	runtime.Goexit()
}

func TestAGranteeThatEndsTheGoroutineEndsTheConnectionOnly(t *testing.T) {
	set := limits.MustNew(limits.Resource("db", 1))
	withDesk(t, set, func(t *testing.T, e *ends) {
		p := e.say(&wire.Limits{Acquires: []*wire.Acquire{acquireOf(1)}})[0].GetPermit()
		g := goexiting{told: make(chan struct{})}
		if _, _, err := set.Enqueue(nil, g); err != nil {
			t.Fatal(err)
		}
		e.peer.AddLimits(&wire.Limits{Releases: []uint64{p}})
		e.peer.Flush()
		<-g.told
		<-e.conn.Done()
		if err := e.conn.Err(); !errors.Is(err, errEndedInside) {
			t.Errorf("got %v, want %v", err, errEndedInside)
		}
		wantFree(t, set)
	})
}

// panicking is a Grantee that panics.
type panicking struct{}

func (panicking) Granted(*limits.Permit, error) { panic("in Granted") }

func TestAPermitOfAGranteeThatPanicsGoesBack(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		set := share(t, a, "x", limits.Resource("db", 1))
		l := LimitsAt(b, a.Addr(), "x").(limits.Queuer)
		for _, g := range []limits.Grantee{panicking{}, goexiting{told: make(chan struct{})}} {
			if _, _, err := l.Enqueue(nil, g); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			wantFree(t, set)
		}
		if got := set.Stats()[0].Granted; got != 2 {
			t.Errorf("got %d granted, want 2", got)
		}
	})
}

func TestASharedLimitIsTheLimitsOfATask(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b, c := w.node("a"), w.node("b"), w.node("c")
		w.serve(c)
		set := share(t, a, "x", limits.Resource("db", 1))
		distant := LimitsAt(b, a.Addr(), "x")
		slow := func(ctx context.Context, x int) (int, error) {
			if got := set.Stats()[0].Used; got != 1 {
				t.Errorf("got %d used, want 1", got)
			}
			time.Sleep(time.Second)
			return x, limits.PermitFrom(ctx).Update("none", 1)
		}
		local := owned(w, task.MustNew(slow, task.Name("local"), task.System(b.cfg.System), task.Limits(distant), task.Workers(4)))
		far := placed(w, b, c, slow, task.Limits(distant), task.Workers(4))
		start := time.Now()
		var fs []*task.Future[int]
		for range 3 {
			fs = append(fs, local.Submit(t.Context(), 1), far.Submit(t.Context(), 1))
		}
		for _, f := range fs {
			var wrong *limits.RequestError
			if _, err := f.Result(); !errors.As(err, &wrong) {
				t.Errorf("got %v, want the RequestError of the owner", err)
			}
		}
		if got := time.Since(start); got != 6*time.Second {
			t.Errorf("took %v, want 6s", got)
		}
		synctest.Wait()
		wantIdle(t, set)
	})
}
