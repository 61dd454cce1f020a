package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

// share makes a Set known at n, which need not serve.
func share(t *testing.T, n *Node, name string, ls ...limits.Limit) *limits.Set {
	t.Helper()
	set := limits.MustNew(ls...)
	if err := ShareLimits(n, name, set); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestClientsShareARate(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		owner, b, c := w.node("a"), w.node("b"), w.node("c")
		set := share(t, owner, "api", limits.Rate("calls", 10, time.Second))
		start := time.Now()
		ends := make(chan time.Duration, 2)
		for _, n := range []*Node{b, c} {
			l := LimitsAt(n, owner.Addr(), "api")
			go func() {
				for range 15 {
					p, err := l.Acquire(t.Context(), limits.Request{"calls": 1})
					if err != nil {
						t.Error(err)
						break
					}
					p.Release()
				}
				ends <- time.Since(start)
			}()
		}
		if last := max(<-ends, <-ends); last != 2*time.Second {
			t.Errorf("30 grants took %v, want 2s", last)
		}
		if got := set.Stats()[0].Granted; got != 30 {
			t.Errorf("got %d granted, want 30", got)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		wantIdle(t, set)
	})
}

func TestASharedLimitKeepsTheContractOfALimiter(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		set := share(t, a, "x", limits.Resource("db", 2), limits.Rate("r", 10, time.Second)).Config(map[string]string{"k": "v"})
		l := LimitsAt(b, a.Addr(), "x")
		p := take(t, l, limits.Request{"db": 2, "r": 4})
		if !maps.Equal(p.Config(), map[string]string{"k": "v"}) {
			t.Errorf("got Config %v", p.Config())
		}
		if err := p.Update("r", 3); err != nil {
			t.Error(err)
		}
		got, want := l.Stats(), set.Stats()
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] || got[1].Used != 3 {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if _, err := l.TryAcquire(limits.Request{"r": 0}); !errors.Is(err, limits.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		first := acquiring(ctx, l, limits.Request{"r": 0, "db": 2})
		synctest.Wait()
		second := acquiring(t.Context(), l, limits.Request{"r": 0, "db": 1})
		synctest.Wait()
		wantStat(t, set, 2, 2)
		cancel(why)
		if g := <-first; !errors.Is(g.err, why) {
			t.Errorf("got %v, want the cause", g.err)
		}
		if _, err := l.Acquire(ctx, nil); !errors.Is(err, why) {
			t.Errorf("with an ended context: got %v, want its cause", err)
		}
		p.Release()
		p.Release()
		if g := <-second; g.err != nil {
			t.Error(g.err)
		} else {
			g.permit.Release()
		}
		if err := p.Update("r", 1); !errors.Is(err, limits.ErrReleased) {
			t.Errorf("got %v, want ErrReleased", err)
		}
		p.Pause(time.Minute) // also after its release
		synctest.Wait()
		if got, want := l.Stats()[1].PausedUntil, time.Now().Add(time.Minute); !got.Equal(want) {
			t.Errorf("paused until %v, want %v", got, want)
		}
		time.Sleep(time.Minute)
		wantIdle(t, set)
	})
}

func TestShareLimitsRefusesWrongNames(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a := w.node("a")
		first := share(t, a, "x", limits.Resource("db", 1))
		next := limits.MustNew()
		for name, want := range map[string]string{"": "empty", "@pool": "@", "x": "taken", strings.Repeat("n", 1025): "1025 bytes"} {
			if err := ShareLimits(a, name, next); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("name %.10q: got %v, want an error with %q", name, err, want)
			}
		}
		if err := ShareLimits(nil, "y", nil); err == nil || !strings.Contains(err.Error(), "nil Node") || !strings.Contains(err.Error(), "nil Set") {
			t.Errorf("got %v, want both faults", err)
		}
		first.Close()
		if err := ShareLimits(a, "x", next); err != nil {
			t.Errorf("after Close of the Set before: %v", err)
		}
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := ShareLimits(a, "y", next); !errors.Is(err, ErrNodeStopped) {
			t.Errorf("got %v, want ErrNodeStopped", err)
		}
	})
}

func TestWhatCannotBeAskedFailsAtOnce(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		guarded := w.nodeWith("c", Config{Token: "secret"})
		set := share(t, a, "closed", limits.Resource("db", 1))
		set.Close()
		cases := map[string]struct {
			l    limits.Limiter
			is   error
			text string
		}{
			"unknown name": {l: LimitsAt(b, a.Addr(), "none"), text: `"none"`},
			"pool's name":  {l: LimitsAt(b, a.Addr(), limitsOfPool), text: "limits of a call"},
			"closed":       {l: LimitsAt(b, a.Addr(), "closed"), is: limits.ErrClosed},
			"refused":      {l: LimitsAt(b, guarded.Addr(), "x"), is: ErrRefused, text: guarded.Addr()},
			"nil Node":     {l: LimitsAt(nil, a.Addr(), "x"), text: "nil Node"},
			"address":      {l: LimitsAt(b, "nowhere", "x"), text: "host:port"},
			"long name":    {l: LimitsAt(b, a.Addr(), strings.Repeat("n", 1025)), text: "1025 bytes"},
		}
		for name, c := range cases {
			_, err := c.l.Acquire(t.Context(), nil)
			_, errTry := c.l.TryAcquire(nil)
			for _, err := range []error{err, errTry} {
				if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%s: got %v, want %v with %q", name, err, c.is, c.text)
				}
			}
			if got := c.l.Stats(); len(got) != 0 && name != "closed" {
				t.Errorf("%s: got %v, want no stats", name, got)
			}
		}
		l := LimitsAt(b, a.Addr(), "none").(limits.Queuer)
		if _, _, err := l.Enqueue(nil, nil); err == nil {
			t.Error("a nil Grantee was taken")
		}
		var none context.Context
		if _, err := l.Acquire(none, nil); err == nil {
			t.Error("a nil context was taken")
		}
	})
}

func TestRequestsThatAreTooLargeToBeSentAreErrors(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		share(t, a, "x", limits.Rate("r", 1, time.Second))
		l := LimitsAt(b, a.Addr(), "x")
		many := make(limits.Request)
		for i := range 1025 {
			many[fmt.Sprint(i)] = 0
		}
		p := take(t, l, limits.Request{"r": 1})
		for _, r := range []limits.Request{many, {strings.Repeat("k", 1<<25): 1}} {
			_, err := l.Acquire(t.Context(), r)
			_, errTry := l.TryAcquire(r)
			_, _, errQueue := l.(limits.Queuer).Enqueue(r, panicking{})
			var wrong *limits.RequestError
			for _, err := range []error{err, errTry, errQueue} {
				if !errors.As(err, &wrong) || len(err.Error()) > 200 {
					t.Errorf("got %v, want a short *limits.RequestError", err)
				}
			}
		}
		if err := p.Update(strings.Repeat("k", 1<<25), 1); err == nil || len(err.Error()) > 200 {
			t.Errorf("Update: got %v, want a short error", err)
		}
		if err := p.Update("r", 0); err != nil {
			t.Errorf("the connection has not outlived that: %v", err)
		}
	})
}

func TestAcquireWaitsForANodeThatIsNotThere(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		b := w.node("b")
		l := LimitsAt(b, "a:1", "x")
		if _, err := l.TryAcquire(nil); !errors.Is(err, limits.ErrUnavailable) || !strings.Contains(err.Error(), "a:1") {
			t.Errorf("got %v, want ErrUnavailable and the address", err)
		}
		if got := l.Stats(); got != nil {
			t.Errorf("got %v, want no stats", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Acquire(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of ctx", err)
		}
		waiting := acquiring(t.Context(), l, nil)
		time.Sleep(time.Minute)
		set := share(t, w.node("a"), "x", limits.Resource("db", 1))
		g := <-waiting
		if g.err != nil {
			t.Fatal(g.err)
		}
		wantStat(t, set, 1, 0)
		g.permit.Release()
		synctest.Wait()
		wantIdle(t, set)
	})
}

func TestAcquireWaitsOnAcrossALoss(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		set := share(t, a, "x", limits.Resource("db", 1))
		l := LimitsAt(b, a.Addr(), "x")
		held := take(t, l, nil)
		ours := acquiring(t.Context(), set, nil)
		synctest.Wait()
		first := acquiring(t.Context(), l, nil)
		synctest.Wait()
		second := acquiring(t.Context(), l, nil)
		synctest.Wait()
		wantStat(t, set, 1, 3)
		w.net.Cut("a", "b")
		if g := <-ours; g.err != nil { // what b held has come back, and those of b are no longer before us
			t.Fatal(g.err)
		} else {
			time.Sleep(time.Minute)
			wantStat(t, set, 1, 2)
			if err := held.Update("db", 1); !errors.Is(err, task.ErrLost) {
				t.Errorf("Update of a lost permit: got %v, want ErrLost", err)
			}
			held.Release()
			held.Pause(time.Hour)
			g.permit.Release()
		}
		for _, c := range []<-chan grant{first, second} { // in their order
			g := <-c
			if g.err != nil {
				t.Fatal(g.err)
			}
			synctest.Wait()
			g.permit.Release()
		}
		synctest.Wait()
		wantIdle(t, set)
		w.net.Cut("a", "b")
		time.Sleep(time.Minute)
		if n := w.net.Open(); n != 0 {
			t.Errorf("got %d open ends while nobody asks, want none", n)
		}
		take(t, l, nil).Release()
		synctest.Wait()
		wantIdle(t, set)
	})
}

func TestWhatIsAskedEndsWithTheNode(t *testing.T) {
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		a, b := w.node("a"), w.node("b")
		set := share(t, a, "x", limits.Resource("db", 1))
		l, nowhere := LimitsAt(b, a.Addr(), "x"), LimitsAt(b, "z:1", "x")
		held := take(t, l, nil)
		waiting, hoping := acquiring(t.Context(), l, nil), acquiring(t.Context(), nowhere, nil)
		synctest.Wait()
		if err := b.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		for _, c := range []<-chan grant{waiting, hoping} {
			if g := <-c; !errors.Is(g.err, ErrNodeStopped) {
				t.Errorf("got %v, want ErrNodeStopped", g.err)
			}
		}
		if _, err := l.Acquire(t.Context(), nil); !errors.Is(err, ErrNodeStopped) {
			t.Errorf("Acquire after Stop: got %v, want ErrNodeStopped", err)
		}
		if _, err := l.TryAcquire(nil); !errors.Is(err, ErrNodeStopped) {
			t.Errorf("TryAcquire after Stop: got %v, want ErrNodeStopped", err)
		}
		held.Release()
		synctest.Wait()
		wantIdle(t, set)
	})
}
