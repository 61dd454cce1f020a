package limits_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/troupe-go/troupe/limits"
)

func TestContextWithoutLimitsGrantsAnything(t *testing.T) {
	for _, ctx := range []context.Context{t.Context(), nil} {
		l := limits.From(ctx)
		p, err := l.Acquire(t.Context(), limits.Request{"whatever": 5})
		if err != nil {
			t.Fatal(err)
		}
		q := limits.PermitFrom(ctx)
		for _, p := range []*limits.Permit{p, q} {
			if err := p.Update("whatever", 7); err != nil {
				t.Error(err)
			}
			requestError(t, p.Update("whatever", -1), "whatever")
			p.Release()
			p.Pause(time.Hour)
			if err := p.Update("whatever", 7); err != nil {
				t.Errorf("shared by all, and yet released: %v", err)
			}
			if p.Config() != nil {
				t.Error("want no config")
			}
		}
		if p, err := l.TryAcquire(nil); p == nil || err != nil || l.Stats() != nil {
			t.Errorf("got %v, %v, %v", p, err, l.Stats())
		}
		_, err = l.TryAcquire(limits.Request{"whatever": -5})
		requestError(t, err, "whatever")
	}
	q, ok := limits.From(t.Context()).(limits.Queuer)
	if !ok {
		t.Fatal("not a Queuer")
	}
	if p, ticket, err := q.Enqueue(nil, grantee(nil)); p == nil || ticket != nil || err != nil {
		t.Errorf("got %v, %v, %v, want a permit", p, ticket, err)
	}
	if _, _, err := q.Enqueue(nil, nil); err == nil {
		t.Error("want an error for no grantee")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := limits.From(ended).Acquire(ended, nil); err != context.Canceled {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestContextCarriesLimiterAndPermit(t *testing.T) {
	set := limits.MustNew(limits.Resource("r", 1))
	p := acquire(t, set, nil)
	type key struct{}
	ctx := limits.NewContext(context.WithValue(t.Context(), key{}, 5), set, p)
	ctx = limits.NewContext(ctx, nil, nil) // leaves both as they are
	if limits.From(ctx) != limits.Limiter(set) || limits.PermitFrom(ctx) != p || ctx.Value(key{}) != 5 {
		t.Error("something got lost on the way")
	}
	if n := testing.AllocsPerRun(100, func() { limits.From(ctx); limits.PermitFrom(ctx) }); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
	plain := t.Context()
	if n := testing.AllocsPerRun(100, func() { limits.From(plain); limits.PermitFrom(plain) }); n != 0 {
		t.Errorf("without limits: got %v allocations, want none", n)
	}
}

func TestNilContextIsAnError(t *testing.T) {
	pool, err := limits.NewPool([]*limits.Set{limits.MustNew()})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []limits.Limiter{limits.MustNew(), pool, limits.From(t.Context())} {
		var none context.Context
		if _, err := l.Acquire(none, nil); err == nil {
			t.Errorf("%T: want an error", l)
		}
	}
}

// keeper is a Keeper that writes down what it is asked to do.
type keeper struct{ did []string }

func (k *keeper) Update(key string, _ int) error {
	k.did = append(k.did, "update "+key)
	return errors.New("as said")
}
func (k *keeper) Release()                  { k.did = append(k.did, "release") }
func (k *keeper) Pause(time.Duration)       { k.did = append(k.did, "pause") }
func (k *keeper) Config() map[string]string { return map[string]string{"kept": "yes"} }

func TestPermitOfAnotherLimiterGoesToItsKeeper(t *testing.T) {
	k := &keeper{}
	p := limits.NewPermit(k)
	if err := p.Update("k", 1); err == nil || err.Error() != "as said" {
		t.Errorf("got %v, want the keeper's error", err)
	}
	requestError(t, p.Update("k", -1), "k")
	p.Release()
	p.Release()
	if err := p.Update("k", 1); err != limits.ErrReleased {
		t.Errorf("got %v, want ErrReleased", err)
	}
	p.Pause(time.Second)
	if p.Config()["kept"] != "yes" || len(k.did) != 3 {
		t.Errorf("got %v", k.did)
	}
	limits.NewPermit(nil).Release()
}
