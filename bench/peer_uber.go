package main

import (
	"context"

	"go.uber.org/ratelimit"
)

// uberLimiter is go.uber.org/ratelimit: units of one, no ctx, no refusal.
// Several limits are taken one after the other.
func uberLimiter() limiter {
	return limiter{
		name: "uber ratelimit",
		rates: func(keys int) func(context.Context) error {
			all := make([]ratelimit.Limiter, keys)
			for i := range all {
				all[i] = ratelimit.New(plenty)
			}
			return func(context.Context) error {
				for _, l := range all {
					l.Take()
				}
				return nil
			}
		},
	}
}
