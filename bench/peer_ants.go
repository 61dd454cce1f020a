package main

import (
	"context"
	"sync"

	"github.com/panjf2000/ants/v2"
)

// antsPool is ants' generic pool around one function, its cheapest form: the
// argument says where the result goes, so that no closure is made.
type antsPool[J any] struct {
	pool *ants.PoolWithFuncGeneric[J]
}

func antsPeer() peer {
	return peer{
		name:  "ants",
		call:  func(fn function, workers int) caller { return newAntsCaller(fn, workers) },
		batch: func(fn function, workers int) batcher { return newAntsBatcher(fn, workers) },
	}
}

func newAntsPool[J any](workers int, do func(J)) antsPool[J] {
	pool, err := ants.NewPoolWithFuncGeneric(workers, do)
	if err != nil {
		panic(err) // the arguments are constants of this program
	}
	return antsPool[J]{pool: pool}
}

func (p antsPool[J]) Stop() { p.pool.Release() }

// antsCaller has one allocation per call: argument, outcome and signal.
type antsCaller struct {
	antsPool[*antsCall]
}

type antsCall struct {
	outcome
	ctx  context.Context
	x    int
	done sync.WaitGroup
}

func newAntsCaller(fn function, workers int) antsCaller {
	return antsCaller{newAntsPool(workers, func(c *antsCall) {
		c.outcome = run(c.ctx, fn, c.x)
		c.done.Done()
	})}
}

func (p antsCaller) Call(ctx context.Context, x int) (int, error) {
	c := &antsCall{ctx: ctx, x: x}
	c.done.Add(1)
	if err := p.pool.Invoke(c); err != nil {
		return 0, err
	}
	c.done.Wait()
	return c.value, c.err
}

type antsBatcher struct {
	antsPool[slotJob]
}

func newAntsBatcher(fn function, workers int) antsBatcher {
	return antsBatcher{newAntsPool(workers, func(j slotJob) { j.to.fill(fn, j.i, j.x) })}
}

func (p antsBatcher) Submit(ctx context.Context, in []int) func() ([]int, error) {
	s := newSlots(ctx, len(in))
	for i, x := range in {
		if err := p.pool.Invoke(slotJob{i: i, x: x, to: s}); err != nil {
			return func() ([]int, error) { return nil, err }
		}
	}
	return s.collect
}
