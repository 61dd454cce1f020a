package limits_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/limits"
)

func TestWrongLimitsAreErrorsThatNameThem(t *testing.T) {
	for want, l := range map[string]limits.Limit{
		`Rate(""): empty key`:                      limits.Rate("", 1, time.Second),
		`Rate("k"): capacity 0: want at least 1`:   limits.Rate("k", 0, time.Second),
		`Rate("k"): capacity -5`:                   limits.Rate("k", -5, time.Second),
		`Rate("k"): window 0s`:                     limits.Rate("k", 1, 0),
		`Rate("k"): window -1s`:                    limits.Rate("k", 1, -time.Second),
		`Rate("k"): unknown algorithm 5`:           limits.Rate("k", 1, time.Second, limits.Algorithm(5)),
		`Rate("k"): unknown algorithm -1`:          limits.Rate("k", 1, time.Second, limits.Algorithm(-1)),
		`Rate("k"): Burst(0): want at least 1`:     limits.Rate("k", 1, time.Second, limits.Burst(0)),
		`Rate("k"): Burst(-3): want at least 1`:    limits.Rate("k", 1, time.Second, limits.Burst(-3), limits.GCRA),
		`Burst(2) has no meaning with FixedWindow`: limits.Rate("k", 1, time.Second, limits.Burst(2), limits.FixedWindow),
		`Rate("k"): nil option`:                    limits.Rate("k", 1, time.Second, nil),
		`Calls: capacity 0`:                        limits.Calls(0, time.Second),
		`Resource("r"): capacity 0`:                limits.Resource("r", 0),
		`Resource(""): empty key`:                  limits.Resource("", 1),
		`limit 1: made by none of`:                 {},
	} {
		if _, err := limits.New(l); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestAllFaultsAreJoinedInOneError(t *testing.T) {
	set, err := limits.New(
		limits.Rate("a", 0, -1, limits.Burst(0)),
		limits.Calls(1, time.Second),
		limits.Resource("calls", 1),
		limits.Resource("b", math.MinInt),
	)
	if set != nil || err == nil {
		t.Fatalf("got %v, %v, want only an error", set, err)
	}
	for _, want := range []string{"capacity 0", "window -1ns", "Burst(0)", `duplicate key "calls"`, `Resource("b")`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("MustNew did not panic")
		}
	}()
	limits.MustNew(limits.Resource("b", 0))
}

func TestBurstBoundsOneRequestAndOneMoment(t *testing.T) {
	for _, a := range []limits.Algorithm{limits.TokenBucket, limits.GCRA} {
		small := limits.MustNew(limits.Rate("k", 100, time.Hour, limits.Burst(5), limits.Algorithm(a)))
		_, err := small.TryAcquire(limits.Request{"k": 6})
		if re := requestError(t, err, "k"); !strings.Contains(re.Reason, "burst of 5") {
			t.Errorf("%v: got %v", a, re)
		}
		available(t, small, limits.Request{"k": 5})
		unavailable(t, small, limits.Request{"k": 1})
		large := limits.MustNew(limits.Rate("k", 5, time.Hour, a, limits.Burst(100)))
		if st := stat(t, large, "k"); st.Available != 100 || st.Capacity != 5 {
			t.Errorf("%v: got %+v", a, st)
		}
		available(t, large, limits.Request{"k": 100})
		unavailable(t, large, limits.Request{"k": 1})
	}
}

func TestAlgorithmsHaveNames(t *testing.T) {
	if got := limits.GCRA.String() + " " + limits.Algorithm(9).String(); got != "GCRA Algorithm(9)" {
		t.Errorf("got %s", got)
	}
}

func TestSetWithoutLimitsGrantsAnything(t *testing.T) {
	set := limits.MustNew().Config(map[string]string{"region": "eu"})
	p := acquire(t, set, limits.Request{"anything": 1_000_000})
	if got := p.Config()["region"]; got != "eu" {
		t.Errorf("got region %q, want eu", got)
	}
	if err := p.Update("anything", 1); err != nil {
		t.Error(err)
	}
	p.Pause(time.Hour)
	p.Release()
	acquire(t, set, nil).Release()
	if _, err := set.TryAcquire(limits.Request{"x": -1}); err == nil {
		t.Error("want an error for a negative amount")
	}
	if got := set.Stats(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if n := testing.AllocsPerRun(100, func() { mustAcquire(t, set, nil).Release() }); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
	set.Close()
	if _, err := set.TryAcquire(nil); err != limits.ErrClosed {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestConfigIsCopied(t *testing.T) {
	m := map[string]string{"key": "a"}
	set := limits.MustNew(limits.Resource("r", 2)).Config(m)
	m["key"] = "b"
	p := acquire(t, set, nil)
	p.Config()["key"] = "c"
	p.Release()
	if got := p.Config()["key"]; got != "a" {
		t.Errorf("got %q, want a", got)
	}
	if got := acquire(t, limits.MustNew(limits.Resource("r", 1)), nil).Config(); got != nil {
		t.Errorf("got %v, want nil", got)
	}
}

func TestAcquireAllocatesThePermitOnly(t *testing.T) {
	req := limits.Request{"in": 1, "out": 1}
	set := limits.MustNew(limits.Calls(plenty, time.Second), limits.Rate("in", plenty, time.Second),
		limits.Rate("out", plenty, time.Second, limits.GCRA), limits.Resource("r", 1))
	if n := testing.AllocsPerRun(1000, func() { mustAcquire(t, set, req).Release() }); n > 1 {
		t.Errorf("got %v allocations, want 1", n)
	}
	held := mustAcquire(t, set, req)
	if n := testing.AllocsPerRun(1000, func() { _, _ = set.TryAcquire(req) }); n != 0 {
		t.Errorf("refused: got %v allocations, want none", n)
	}
	held.Release()
}
