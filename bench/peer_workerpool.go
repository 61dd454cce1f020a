package main

import (
	"context"

	"github.com/gammazero/workerpool"
)

// workerPool is gammazero/workerpool: closures through one dispatcher.
type workerPool struct {
	fn   function
	pool *workerpool.WorkerPool
}

func workerpoolPeer() peer {
	return peer{
		name:  "gammazero",
		call:  func(fn function, workers int) caller { return newWorkerPool(fn, workers) },
		batch: func(fn function, workers int) batcher { return newWorkerPool(fn, workers) },
		queue: func(fn function, workers, _ int) batcher { return newWorkerPool(fn, workers) },
	}
}

func newWorkerPool(fn function, workers int) *workerPool {
	return &workerPool{fn: fn, pool: workerpool.New(workers)}
}

func (p *workerPool) Call(ctx context.Context, x int) (int, error) {
	reply := make(chan outcome, 1)
	p.pool.Submit(func() { reply <- run(ctx, p.fn, x) })
	o := <-reply
	return o.value, o.err
}

func (p *workerPool) Submit(ctx context.Context, in []int) func() ([]int, error) {
	s := newSlots(ctx, len(in))
	for i, x := range in {
		p.pool.Submit(func() { s.fill(p.fn, i, x) })
	}
	return s.collect
}

func (p *workerPool) Stop() { p.pool.StopWait() }
