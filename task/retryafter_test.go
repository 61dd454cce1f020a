package task_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/troupe-go/troupe/task"
)

func TestPermanentEndsRetrying(t *testing.T) {
	t.Parallel()
	own := &ownError{code: 3}
	for name, tt := range map[string]struct {
		err  error
		want func(err error) bool
	}{
		"bare":                  {task.Permanent(own), func(err error) bool { return err == own }},
		"wrapped":               {fmt.Errorf("ctx: %w", task.Permanent(own)), func(err error) bool { return err.Error() == "ctx: code 3" && errors.Is(err, own) }},
		"joined":                {errors.Join(errBoom, task.Permanent(own)), func(err error) bool { return errors.Is(err, own) && errors.Is(err, errBoom) }},
		"beside RetryAfter":     {task.Permanent(task.RetryAfter(own, time.Second)), func(err error) bool { return errors.Is(err, own) }},
		"below RetryAfter":      {task.RetryAfter(task.Permanent(own), time.Second), func(err error) bool { return errors.Is(err, own) }},
		"permanent of deadline": {task.Permanent(context.DeadlineExceeded), func(err error) bool { return err == context.DeadlineExceeded }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			fn := func(context.Context, int) (int, error) { runs++; return 0, tt.err }
			retrying(t, fn, task.RetryPolicy{Max: 5}, func(_ int, err error, s task.Stats) {
				if !tt.want(err) {
					t.Errorf("got outcome %v", err)
				}
				equal(t, "attempts", runs, 1)
				equal(t, "Retries", s.Retries, 0)
			})
		})
	}
	equal(t, "Permanent(nil)", task.Permanent(nil), nil)
	equal(t, "RetryAfter(nil)", task.RetryAfter(nil, time.Second), nil)
}

func TestMarksOfErrorsAreTakenOffWithoutRetriesToo(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(func(_ context.Context, err error) (int, error) { return 0, err }, opts...)
			defer p.Stop()
			for range 200 { // quick enough to run in the caller's place
				_, err := p.Call(context.Background(), task.Permanent(errBoom))
				equal(t, "Permanent", err, errBoom)
				_, err = p.Call(context.Background(), task.RetryAfter(errBoom, time.Hour))
				equal(t, "RetryAfter", err, errBoom)
			}
		})
	}
}

func TestRetryAfterComesBackWhenItSaysAtNoCost(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		policy task.RetryPolicy
		wrap   func(error) error
	}{
		"Max 0":   {task.RetryPolicy{}, func(err error) error { return err }},
		"Max 1":   {task.RetryPolicy{Max: 1, Backoff: task.Constant(time.Hour)}, func(err error) error { return err }},
		"wrapped": {task.RetryPolicy{}, func(err error) error { return fmt.Errorf("server: %w", err) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var starts []time.Duration
			var begin time.Time
			fn := func(_ context.Context, x int) (int, error) {
				if begin.IsZero() {
					begin = time.Now()
				}
				starts = append(starts, time.Since(begin))
				if len(starts) < 4 {
					return 0, tt.wrap(task.RetryAfter(errBoom, time.Duration(len(starts))*time.Second))
				}
				return x, nil
			}
			retrying(t, fn, tt.policy, func(v int, err error, s task.Stats) {
				equal(t, "value", v, 7)
				equal(t, "error", err, nil)
				equalSlices(t, "starts", starts, []time.Duration{0, time.Second, 3 * time.Second, 6 * time.Second})
				equal(t, "Retries", s.Retries, 3)
			})
		})
	}
}

func TestRetryAfterHelpsAtMostAHundredTimes(t *testing.T) {
	t.Parallel()
	runs := 0
	fn := func(context.Context, int) (int, error) { runs++; return 0, task.RetryAfter(errBoom, time.Second) }
	retrying(t, fn, task.RetryPolicy{}, func(_ int, err error, s task.Stats) {
		equal(t, "attempts", runs, 101)
		equal(t, "attempts told", len(as[*task.RetryError](t, "outcome", err).Attempts), 101)
		is(t, "outcome", err, errBoom)
	})
}

func TestRetryAfterKeepsWithinMaxElapsed(t *testing.T) {
	t.Parallel()
	runs := 0
	fn := func(context.Context, int) (int, error) { runs++; return 0, task.RetryAfter(errBoom, time.Second) }
	retrying(t, fn, task.RetryPolicy{Max: 10, MaxElapsed: 5 * time.Second}, func(_ int, err error, s task.Stats) {
		equal(t, "attempts", runs, 6)
		as[*task.RetryError](t, "outcome", err)
	})
}

func TestDelayBeyondAllBoundsIsBeyondMaxElapsed(t *testing.T) {
	t.Parallel()
	const ever = time.Duration(math.MaxInt64)
	for name, err := range map[string]error{"RetryAfter": task.RetryAfter(errBoom, ever), "Backoff": errBoom} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn := func(context.Context, int) (int, error) { time.Sleep(time.Nanosecond); return 0, err }
			policy := task.RetryPolicy{Max: 5, MaxElapsed: time.Hour, Backoff: task.Constant(ever).NoJitter()}
			retrying(t, fn, policy, func(_ int, err error, s task.Stats) {
				equal(t, "attempts", len(as[*task.RetryError](t, "outcome", err).Attempts), 1)
			})
		})
	}
}

func TestRetryAfterDoesNotSpendTheAttemptsOfOthers(t *testing.T) {
	t.Parallel()
	runs := 0
	var starts []time.Duration
	var begin time.Time
	fn := func(context.Context, int) (int, error) {
		if begin.IsZero() {
			begin = time.Now()
		}
		starts = append(starts, time.Since(begin))
		runs++
		if runs%2 == 1 {
			return 0, task.RetryAfter(errBoom, 0)
		}
		return 0, errBoom
	}
	policy := task.RetryPolicy{Max: 2, Backoff: task.Linear(time.Second, time.Minute).NoJitter()}
	retrying(t, fn, policy, func(_ int, err error, s task.Stats) {
		as[*task.RetryError](t, "outcome", err)
		// Paid are attempts 2, 4 and 6; the curve counts those only.
		equalSlices(t, "starts", starts, []time.Duration{0, 0, time.Second, time.Second, 3 * time.Second, 3 * time.Second})
	})
}

func TestNegativeRetryAfterIsAtOnce(t *testing.T) {
	t.Parallel()
	f := &flaky{fail: 1}
	fn := func(ctx context.Context, x int) (int, error) {
		v, err := f.run(ctx, x)
		return v, task.RetryAfter(err, -time.Hour)
	}
	retrying(t, fn, task.RetryPolicy{}, func(v int, err error, s task.Stats) {
		equal(t, "value", v, 7)
		equal(t, "error", err, nil)
	})
}
