package limits_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/limits"
)

func TestHugeAndTinyLimitsNeitherOverflowNorStick(t *testing.T) {
	for _, a := range algorithms {
		for _, c := range []struct {
			capacity int
			per      time.Duration
		}{
			{1, 1}, {math.MaxInt, 1}, {1, math.MaxInt64}, {math.MaxInt, math.MaxInt64}, {math.MaxInt, time.Second}, {7, 3},
		} {
			t.Run(fmt.Sprintf("%v/%d/%d", a, c.capacity, c.per), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { extremes(t, a, c.capacity, c.per) })
			})
		}
	}
}

func extremes(t *testing.T, a limits.Algorithm, capacity int, per time.Duration) {
	set := limits.MustNew(limits.Rate("k", capacity, per, a))
	defer set.Close()
	all := limits.Request{"k": capacity}
	p := acquire(t, set, all)
	unavailable(t, set, limits.Request{"k": max(1, capacity)})
	if per <= time.Second { // the next one comes after the window, not earlier
		start := time.Now()
		p = acquire(t, set, all)
		if got := time.Since(start); got < per || got > per+time.Microsecond {
			t.Errorf("the second comes after %v, want %v", got, per)
		}
	}
	for range 3 { // a debt that no sum can hold
		if err := p.Update("k", math.MaxInt); err != nil {
			t.Fatal(err)
		}
		// A token bucket owes less than a nanosecond's worth to its rounding.
		slack := float64(capacity)/float64(per) + 1
		if a != limits.TokenBucket {
			slack = 0
		}
		if st := stat(t, set, "k"); float64(st.Used) < float64(capacity)-slack || float64(st.Available) > slack {
			t.Errorf("with the largest debt: got %+v", st)
		}
		p = available(t, set, limits.Request{"k": 0})
	}
	unavailable(t, set, all)
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if _, err := set.Acquire(ctx, all); err == nil {
		t.Error("granted in spite of the debt")
	}
}
