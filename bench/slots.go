package main

import (
	"context"
	"sync"
)

// outcome is the typed result of one call.
type outcome struct {
	value int
	err   error
}

func run(ctx context.Context, fn function, x int) outcome {
	v, err := fn(ctx, x)
	return outcome{value: v, err: err}
}

// slots is the idiom for batches on pools that return nothing: each call
// stores its value at its own place, the first error is kept, and a WaitGroup
// tells when all have ended. It is the cheapest form there is, cheaper than
// one that would keep an error for each call.
type slots struct {
	ctx     context.Context
	values  []int
	pending sync.WaitGroup
	failed  sync.Once
	err     error
}

// newSlots returns the places for n calls.
func newSlots(ctx context.Context, n int) *slots {
	s := &slots{ctx: ctx, values: make([]int, n)}
	s.pending.Add(n)
	return s
}

// fill runs the call of place i.
func (s *slots) fill(fn function, i, x int) {
	v, err := fn(s.ctx, x)
	if err != nil {
		s.failed.Do(func() { s.err = err })
	}
	s.values[i] = v
	s.pending.Done()
}

// collect waits for all calls and returns their values and the first error.
func (s *slots) collect() ([]int, error) {
	s.pending.Wait()
	return s.values, s.err
}

// slotJob is one call of a batch, for pools that take values and no closures.
type slotJob struct {
	i, x int
	to   *slots
}
