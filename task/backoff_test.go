package task_test

import (
	"math"
	"testing"
	"time"

	"github.com/troupe-go/troupe/task"
)

func TestBackoffFollowsItsCurve(t *testing.T) {
	t.Parallel()
	const s, far = time.Second, time.Duration(math.MaxInt64)
	for name, tt := range map[string]struct {
		b    task.Backoff
		want []time.Duration // of retries 1, 2, …
		late time.Duration   // of retry 1,000,000
	}{
		"exponential":        {task.Exponential(s, 20*s), []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 20 * s, 20 * s}, 20 * s},
		"linear":             {task.Linear(3*s, 10*s), []time.Duration{3 * s, 6 * s, 9 * s, 10 * s, 10 * s}, 10 * s},
		"fibonacci":          {task.Fibonacci(s, 10*s), []time.Duration{s, s, 2 * s, 3 * s, 5 * s, 8 * s, 10 * s}, 10 * s},
		"constant":           {task.Constant(7 * s), []time.Duration{7 * s, 7 * s, 7 * s}, 7 * s},
		"none":               {task.Constant(0), []time.Duration{0, 0}, 0},
		"zero value":         {task.Backoff{}, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s}, 60 * s},
		"flat":               {task.Exponential(s, s), []time.Duration{s, s, s}, s},
		"far exponential":    {task.Exponential(1, far), []time.Duration{1, 2, 4, 8}, far},
		"far linear":         {task.Linear(far/2+1, far), []time.Duration{far/2 + 1, far, far}, far},
		"far fibonacci":      {task.Fibonacci(far/3, far), []time.Duration{far / 3, far / 3}, far},
		"nanoseconds":        {task.Fibonacci(1, 100), []time.Duration{1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 100}, 100},
		"as large as it can": {task.Constant(far), []time.Duration{far, far}, far},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exact := tt.b.NoJitter()
			for i, want := range tt.want {
				got := exact.Delay(i + 1)
				if diff := got - want; diff.Abs() > want/1_000_000_000 { // beyond what floating point can tell apart
					t.Errorf("delay %d: got %v, want %v", i+1, got, want)
				}
				for range 50 {
					if d := tt.b.Delay(i + 1); d < 0 || d > got {
						t.Fatalf("delay %d with jitter: got %v, want 0 to %v", i+1, d, got)
					}
				}
			}
			equal(t, "delay 1,000,000", exact.Delay(1_000_000), tt.late)
			equal(t, "delay 0, which there is not", exact.Delay(0), exact.Delay(1))
			equal(t, "delay -1, which there is not", exact.Delay(-1), exact.Delay(1))
		})
	}
}

func TestJitterIsUniformFromZeroToTheCurve(t *testing.T) {
	t.Parallel()
	b := task.Constant(time.Second)
	const n, parts = 4000, 4
	var counts [parts]int
	for range n {
		counts[min(parts-1, int(b.Delay(1)*parts/time.Second))]++
	}
	for i, got := range counts { // 1000 are expected in each, with a deviation of 27
		if got < 800 || got > 1200 {
			t.Errorf("part %d of %d of the range: got %d of %d delays", i+1, parts, got, n)
		}
	}
}
