package main

import (
	"context"
	"iter"
	"slices"
)

// collectStream does a batch through a streamer: everything happens in collect.
func collectStream(ctx context.Context, s interface {
	Stream(context.Context, iter.Seq[int], func(int)) error
}, in []int) func() ([]int, error) {
	return func() ([]int, error) {
		values := make([]int, 0, len(in))
		err := s.Stream(ctx, slices.Values(in), func(v int) { values = append(values, v) })
		return values, err
	}
}
