package main

import (
	"context"

	"golang.org/x/time/rate"
)

// timeRateLimiter is golang.org/x/time/rate. Several limits are taken one after
// the other.
func timeRateLimiter() limiter {
	return limiter{
		name: "x/time/rate",
		rates: func(keys int) func(context.Context) error {
			if keys == 1 {
				return rate.NewLimiter(plenty, plenty).Wait
			}
			all := make([]*rate.Limiter, keys)
			for i := range all {
				all[i] = rate.NewLimiter(plenty, plenty)
			}
			return func(ctx context.Context) error {
				for _, l := range all {
					if err := l.Wait(ctx); err != nil {
						return err
					}
				}
				return nil
			}
		},
	}
}
