package main

import (
	"context"

	"github.com/alitto/pond/v2"
)

// pondPool is pond's result pool: a future per call, a group per batch.
type pondPool struct {
	fn   function
	pool pond.ResultPool[int]
}

func pondPeer() peer {
	return peer{
		name:  "pond",
		call:  func(fn function, workers int) caller { return newPondPool(fn, workers) },
		batch: func(fn function, workers int) batcher { return newPondPool(fn, workers) },
		queue: func(fn function, workers, _ int) batcher { return newPondPool(fn, workers) },
	}
}

func newPondPool(fn function, workers int) *pondPool {
	return &pondPool{fn: fn, pool: pond.NewResultPool[int](workers)}
}

func (p *pondPool) Call(ctx context.Context, x int) (int, error) {
	return p.pool.SubmitErr(func() (int, error) { return p.fn(ctx, x) }).Wait()
}

func (p *pondPool) Submit(ctx context.Context, in []int) func() ([]int, error) {
	group := p.pool.NewGroup()
	for _, x := range in {
		group.SubmitErr(func() (int, error) { return p.fn(ctx, x) })
	}
	return group.Wait
}

func (p *pondPool) Stop() { p.pool.StopAndWait() }
