package main

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/bench/internal/harness"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

// troupeLimiter is a limits.Set, its rates by the default algorithm.
func troupeLimiter() limiter {
	return limiter{
		name:      subject,
		rates:     troupeRates(limits.TokenBucket),
		semaphore: func(n int) semaphore { return troupeSet{set: limits.MustNew(limits.Resource("slot", n))} },
	}
}

// troupeGCRA is the same with exact integers, which cost less.
func troupeGCRA() limiter {
	return limiter{name: "troupe GCRA", rates: troupeRates(limits.GCRA)}
}

func troupeRates(algorithm limits.Algorithm) func(keys int) func(context.Context) error {
	return func(keys int) func(context.Context) error {
		var ls []limits.Limit
		request := limits.Request{}
		for i := range keys {
			key := [...]string{"requests", "input", "output"}[i]
			ls = append(ls, limits.Rate(key, plenty, time.Second, algorithm))
			request[key] = 1
		}
		set := limits.MustNew(ls...)
		return func(ctx context.Context) error {
			p, err := set.Acquire(ctx, request)
			p.Release()
			return err
		}
	}
}

type troupeSet struct{ set *limits.Set }

func (s troupeSet) Acquire(ctx context.Context) (func(), error) {
	p, err := s.set.Acquire(ctx, nil)
	if err != nil {
		return nil, err
	}
	return p.Release, nil
}

func (s troupeSet) Use(ctx context.Context) error {
	p, err := s.set.Acquire(ctx, nil)
	if err != nil {
		return err
	}
	work()
	p.Release()
	return nil
}

// troupeGate releases what a call of a task waits for, and times until the
// function runs.
func troupeGate(times int) harness.Run {
	return func(ctx context.Context, m *harness.Meter) error {
		set := limits.MustNew(limits.Resource("slot", 1))
		began := make(chan time.Time, 1)
		t, err := task.New(func(context.Context, int) (int, error) { began <- time.Now(); return 0, nil }, task.Limits(set))
		if err != nil {
			return err
		}
		defer t.Stop()
		took := make([]time.Duration, m.Scale(times))
		for i := range took {
			held, err := set.Acquire(ctx, nil)
			if err != nil {
				return err
			}
			f := t.Submit(ctx, i)
			time.Sleep(asleep)
			start := time.Now()
			held.Release()
			took[i] = (<-began).Sub(start)
			if _, err := f.Await(ctx); err != nil {
				return err
			}
		}
		reportMedian(m, took)
		return nil
	}
}
