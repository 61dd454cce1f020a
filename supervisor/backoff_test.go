package supervisor

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDelayGrowsExponentially(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	tests := []struct {
		name    string
		backoff Backoff
		want    []time.Duration // of the first restarts of a row
	}{
		{"none", Backoff{}, []time.Duration{0, 0, 0}},
		{"factor 2 by default", Backoff{Initial: s, Max: 10 * s}, []time.Duration{s, 2 * s, 4 * s, 8 * s, 10 * s, 10 * s}},
		{"factor 3", Backoff{Initial: ms, Factor: 3}, []time.Duration{ms, 3 * ms, 9 * ms, 27 * ms}},
		{"factor 1.5", Backoff{Initial: 100 * ms, Factor: 1.5}, []time.Duration{100 * ms, 150 * ms, 225 * ms}},
		{"constant", Backoff{Initial: s, Factor: 1}, []time.Duration{s, s, s}},
		{"a minute at most by default", Backoff{Initial: 25 * s}, []time.Duration{25 * s, 50 * s, 60 * s, 60 * s}},
		{"initial above a minute", Backoff{Initial: time.Hour}, []time.Duration{time.Hour, time.Hour}},
		{"at once at the maximum", Backoff{Initial: s, Max: s}, []time.Duration{s, s}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i, want := range test.want {
				if got := test.backoff.delay(i+1, 0.7); got != want {
					t.Errorf("delay %d is %v, want %v", i+1, got, want)
				}
			}
		})
	}
}

func TestDelayJitterOnlyTakesAway(t *testing.T) {
	b := Backoff{Initial: 10 * time.Second, Jitter: 0.2}
	for chance, want := range map[float64]time.Duration{0: 10 * time.Second, 0.5: 9 * time.Second} {
		if got := b.delay(1, chance); got != want {
			t.Errorf("chance %v gives %v, want %v", chance, got, want)
		}
	}
	if got, low := b.delay(1, math.Nextafter(1, 0)), 8*time.Second; got < low || got > low+time.Microsecond {
		t.Errorf("the shortest delay is %v, want %v", got, low)
	}
}

func TestDelayStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{
			Initial: time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "initial")),
			Factor:  rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(1, 10), rapid.Float64Range(1, math.MaxFloat64)).Draw(t, "factor"),
			Jitter:  rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
		if rapid.Bool().Draw(t, "bounded") {
			b.Max = time.Duration(rapid.Int64Range(int64(b.Initial), math.MaxInt64).Draw(t, "max"))
		}
		if err := (Policy{Backoff: b}).Validate(); err != nil {
			t.Fatal(err)
		}
		k := rapid.OneOf(rapid.IntRange(1, 70), rapid.IntRange(1, math.MaxInt)).Draw(t, "k")
		chance := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "chance")
		full, got := b.delay(k, 0), b.delay(k, chance)
		if full < b.Initial && full < b.ceiling() || full > b.ceiling() {
			t.Errorf("full delay is %v, outside %v to %v", full, b.Initial, b.ceiling())
		}
		if next := b.delay(k+1, 0); k < math.MaxInt && next < full {
			t.Errorf("delay %d is %v, shorter than the one before, %v", k+1, next, full)
		}
		if low := float64(full) * (1 - b.Jitter); got < 0 || got > full || float64(got) < low-low*1e-9-1 {
			t.Errorf("delay with jitter is %v, outside %v to %v", got, time.Duration(low), full)
		}
	})
}
