package main

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// groups is golang.org/x/sync/errgroup: a group of its own for each call that
// is awaited by itself, one limited group for a batch.
type groups struct {
	fn      function
	workers int
}

func errgroupPeer() peer {
	return peer{
		name:  "errgroup",
		call:  func(fn function, workers int) caller { return &groups{fn: fn, workers: workers} },
		batch: func(fn function, workers int) batcher { return &groups{fn: fn, workers: workers} },
	}
}

func (e *groups) Call(ctx context.Context, x int) (int, error) {
	var g errgroup.Group
	var value int
	g.Go(func() (err error) {
		value, err = e.fn(ctx, x)
		return err
	})
	err := g.Wait()
	return value, err
}

func (e *groups) Submit(ctx context.Context, in []int) func() ([]int, error) {
	var g errgroup.Group
	g.SetLimit(e.workers)
	values := make([]int, len(in))
	for i, x := range in {
		g.Go(func() (err error) {
			values[i], err = e.fn(ctx, x)
			return err
		})
	}
	return func() ([]int, error) { return values, g.Wait() }
}

func (e *groups) Stop() {}
