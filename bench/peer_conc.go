package main

import (
	"context"
	"iter"

	conciter "github.com/sourcegraph/conc/iter"
	"github.com/sourcegraph/conc/pool"
	"github.com/sourcegraph/conc/stream"
)

// concPool is conc's pool: a reply channel per call, and for a batch a pool of
// its own that collects errors, as a conc pool ends with its Wait. Its pools
// with results give them in no order (v0.3.0), so each call has a slot.
type concPool struct {
	fn      function
	workers int
	pool    *pool.Pool
}

func concPoolPeer() peer {
	return peer{
		name:  "conc pool",
		call:  func(fn function, workers int) caller { return newConcPool(fn, workers) },
		batch: func(fn function, workers int) batcher { return newConcPool(fn, workers) },
	}
}

func newConcPool(fn function, workers int) *concPool {
	return &concPool{fn: fn, workers: workers, pool: pool.New().WithMaxGoroutines(workers)}
}

func (p *concPool) Call(ctx context.Context, x int) (int, error) {
	reply := make(chan outcome, 1)
	p.pool.Go(func() { reply <- run(ctx, p.fn, x) })
	o := <-reply
	return o.value, o.err
}

func (p *concPool) Submit(ctx context.Context, in []int) func() ([]int, error) {
	batch := pool.New().WithMaxGoroutines(p.workers).WithErrors()
	values := make([]int, len(in))
	for i, x := range in {
		batch.Go(func() (err error) {
			values[i], err = p.fn(ctx, x)
			return err
		})
	}
	return func() ([]int, error) { return values, batch.Wait() }
}

func (p *concPool) Stop() { p.pool.Wait() }

// concIter is conc's parallel map over a slice.
type concIter struct {
	fn     function
	mapper conciter.Mapper[int, int]
}

func concIterPeer() peer {
	return peer{
		name: "conc iter",
		batch: func(fn function, workers int) batcher {
			return &concIter{fn: fn, mapper: conciter.Mapper[int, int]{MaxGoroutines: workers}}
		},
	}
}

func (p *concIter) Submit(ctx context.Context, in []int) func() ([]int, error) {
	return func() ([]int, error) {
		return p.mapper.MapErr(in, func(x *int) (int, error) { return p.fn(ctx, *x) })
	}
}

func (p *concIter) Stop() {}

// concStream is conc's ordered stream.
type concStream struct {
	fn      function
	workers int
}

func concStreamPeer() peer {
	open := func(fn function, workers int) *concStream { return &concStream{fn: fn, workers: workers} }
	return peer{
		name:   "conc stream",
		batch:  func(fn function, workers int) batcher { return open(fn, workers) },
		stream: func(fn function, workers int) streamer { return open(fn, workers) },
	}
}

func (p *concStream) Submit(ctx context.Context, in []int) func() ([]int, error) {
	return collectStream(ctx, p, in)
}

func (p *concStream) Stream(ctx context.Context, in iter.Seq[int], visit func(int)) error {
	var first error // touched by callbacks only, which run one after another
	s := stream.New().WithMaxGoroutines(p.workers)
	for x := range in {
		s.Go(func() stream.Callback {
			o := run(ctx, p.fn, x)
			return func() {
				if o.err != nil {
					first = o.err
					return
				}
				visit(o.value)
			}
		})
	}
	s.Wait()
	return first
}

func (p *concStream) Stop() {}
