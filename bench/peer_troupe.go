package main

import (
	"context"
	"iter"

	"github.com/troupe-go/troupe/task"
)

// The forms of troupe's API that rows compare, each a peer of its own under
// the one name.
func troupeCall() []peer {
	return []peer{{
		name: subject,
		call: func(fn function, workers int) caller { return troupeCaller{open(fn, workers)} },
	}}
}

func troupeSubmit() []peer {
	return []peer{{
		name:  subject,
		call:  func(fn function, workers int) caller { return troupeSubmitter{open(fn, workers)} },
		batch: func(fn function, workers int) batcher { return troupeSubmitter{open(fn, workers)} },
		queue: func(fn function, workers, _ int) batcher { return troupeSubmitter{open(fn, workers)} },
	}}
}

func troupeMap() []peer {
	return []peer{{
		name:   subject,
		batch:  func(fn function, workers int) batcher { return troupeMapper{open(fn, workers)} },
		stream: func(fn function, workers int) streamer { return troupeMapper{open(fn, workers)} },
	}}
}

func troupeMapSlice() []peer {
	return []peer{{
		name:  subject,
		batch: func(fn function, workers int) batcher { return troupeSliceMapper{open(fn, workers)} },
	}}
}

// troupePool is what the forms have in common.
type troupePool struct {
	task *task.Task[int, int]
}

func open(fn function, workers int) troupePool {
	return troupePool{task: task.MustNew(fn, task.Workers(workers))}
}

func (p troupePool) Ready(ctx context.Context) error { return p.task.Ready(ctx) }
func (p troupePool) Stop()                           { p.task.Stop() }

type troupeCaller struct{ troupePool }

func (p troupeCaller) Call(ctx context.Context, x int) (int, error) { return p.task.Call(ctx, x) }

type troupeSubmitter struct{ troupePool }

func (p troupeSubmitter) Call(ctx context.Context, x int) (int, error) {
	return p.task.Submit(ctx, x).Await(ctx)
}

func (p troupeSubmitter) Submit(ctx context.Context, in []int) func() ([]int, error) {
	futures := make([]*task.Future[int], len(in))
	for i, x := range in {
		futures[i] = p.task.Submit(ctx, x)
	}
	return func() ([]int, error) {
		values := make([]int, len(in))
		for i, f := range futures {
			v, err := f.Await(ctx)
			if err != nil {
				return nil, err
			}
			values[i] = v
		}
		return values, nil
	}
}

type troupeMapper struct{ troupePool }

func (p troupeMapper) Submit(ctx context.Context, in []int) func() ([]int, error) {
	return collectStream(ctx, p, in)
}

func (p troupeMapper) Stream(ctx context.Context, in iter.Seq[int], visit func(int)) error {
	for v, err := range p.task.Map(ctx, in) {
		if err != nil {
			return err
		}
		visit(v)
	}
	return nil
}

type troupeSliceMapper struct{ troupePool }

func (p troupeSliceMapper) Submit(ctx context.Context, in []int) func() ([]int, error) {
	return func() ([]int, error) { return p.task.MapSlice(ctx, in) }
}
