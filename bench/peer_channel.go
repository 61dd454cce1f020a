package main

import (
	"context"
	"iter"
	"sync"
)

// channelPool is what one writes without a library: goroutines that read jobs
// from one channel.
type channelPool[J any] struct {
	jobs    chan J
	workers sync.WaitGroup
}

func newChannelPool[J any](workers, buffer int, do func(J)) *channelPool[J] {
	return newOwningPool(workers, buffer, func() func(J) { return do })
}

// newOwningPool has each worker do its jobs with what own has made for it alone.
func newOwningPool[J any](workers, buffer int, own func() func(J)) *channelPool[J] {
	p := &channelPool[J]{jobs: make(chan J, buffer)}
	for range workers {
		do := own()
		p.workers.Go(func() {
			for j := range p.jobs {
				do(j)
			}
		})
	}
	return p
}

func (p *channelPool[J]) Stop() {
	close(p.jobs)
	p.workers.Wait()
}

func rawPeer() peer { return channelPeer(baseline, 0) }

// bufferedPeer is the same pool behind a buffer of 1024; for queued calls, of
// as many as there are.
func bufferedPeer() peer {
	p := channelPeer("raw 1024", 1024)
	p.queue = func(fn function, workers, calls int) batcher { return newReplyPool(fn, workers, calls) }
	return p
}

func channelPeer(name string, buffer int) peer {
	return peer{
		name:   name,
		call:   func(fn function, workers int) caller { return newReplyPool(fn, workers, buffer) },
		batch:  func(fn function, workers int) batcher { return newSlotPool(fn, workers, buffer) },
		stream: func(fn function, workers int) streamer { return newReplyPool(fn, workers, buffer) },
	}
}

// replyPool answers each call on a channel of its own. The channel holds one
// outcome, so that no worker ever waits for a caller.
type replyPool struct {
	*channelPool[replyJob]
}

type replyJob struct {
	ctx   context.Context
	x     int
	reply chan outcome
}

func newReplyPool(fn function, workers, buffer int) *replyPool {
	return &replyPool{newChannelPool(workers, buffer, func(j replyJob) {
		j.reply <- run(j.ctx, fn, j.x)
	})}
}

func (p *replyPool) Call(ctx context.Context, x int) (int, error) {
	o := <-p.start(ctx, x)
	return o.value, o.err
}

func (p *replyPool) start(ctx context.Context, x int) <-chan outcome {
	reply := make(chan outcome, 1)
	p.jobs <- replyJob{ctx: ctx, x: x, reply: reply}
	return reply
}

func (p *replyPool) Submit(ctx context.Context, in []int) func() ([]int, error) {
	replies := make([]<-chan outcome, len(in))
	for i, x := range in {
		replies[i] = p.start(ctx, x)
	}
	return func() ([]int, error) {
		values := make([]int, len(replies))
		for i, reply := range replies {
			o := <-reply
			if o.err != nil {
				return nil, o.err
			}
			values[i] = o.value
		}
		return values, nil
	}
}

// Stream keeps up to 1024 reply channels in order between the goroutine that
// submits and the caller, who visits.
func (p *replyPool) Stream(ctx context.Context, in iter.Seq[int], visit func(int)) error {
	ordered := make(chan (<-chan outcome), 1024)
	go func() {
		defer close(ordered)
		for x := range in {
			ordered <- p.start(ctx, x)
		}
	}()
	var first error
	for reply := range ordered {
		o := <-reply
		if o.err != nil {
			first = o.err
			continue
		}
		visit(o.value)
	}
	return first
}

// slotPool has the calls of a batch fill slots: nobody needs a single result
// before the others.
type slotPool struct {
	*channelPool[slotJob]
}

func newSlotPool(fn function, workers, buffer int) *slotPool {
	return &slotPool{newChannelPool(workers, buffer, func(j slotJob) {
		j.to.fill(fn, j.i, j.x)
	})}
}

func (p *slotPool) Submit(ctx context.Context, in []int) func() ([]int, error) {
	s := newSlots(ctx, len(in))
	for i, x := range in {
		p.jobs <- slotJob{i: i, x: x, to: s}
	}
	return s.collect
}

// reusedPool is a replyPool whose callers take their reply channels from a
// free list: possible only where each call is awaited before the next.
type reusedPool struct {
	*replyPool
	free sync.Pool
}

func reusedPeer() peer {
	return peer{
		name: "reused slots",
		call: func(fn function, workers int) caller { return newReusedPool(fn, workers) },
	}
}

func newReusedPool(fn function, workers int) *reusedPool {
	p := &reusedPool{replyPool: newReplyPool(fn, workers, 0)}
	p.free.New = func() any { return make(chan outcome, 1) }
	return p
}

func (p *reusedPool) Call(ctx context.Context, x int) (int, error) {
	reply := p.free.Get().(chan outcome)
	p.jobs <- replyJob{ctx: ctx, x: x, reply: reply}
	o := <-reply
	p.free.Put(reply)
	return o.value, o.err
}
