package main

import (
	"context"

	proto "github.com/asynkron/protoactor-go/actor"
)

// goroutineCrowd is a goroutine with a channel of requests for each state.
type goroutineCrowd struct {
	pools []*channelPool[slotJob]
}

func newGoroutineCrowd(n int) (crowd, error) {
	c := &goroutineCrowd{pools: make([]*channelPool[slotJob], n)}
	for i := range c.pools {
		c.pools[i] = newOwningPool(1, 0, func() func(slotJob) {
			fn := ownSquare()
			return func(j slotJob) { j.to.fill(fn, j.i, j.x) }
		})
	}
	return c, nil
}

func (c *goroutineCrowd) Ready(context.Context) error { return nil }

func (c *goroutineCrowd) CallAll(ctx context.Context) error {
	s := newSlots(ctx, len(c.pools))
	for i, p := range c.pools {
		p.jobs <- slotJob{i: i, x: i, to: s}
	}
	out, err := s.collect()
	if err != nil {
		return err
	}
	return checkSquares(inputs(len(out)), out)
}

func (c *goroutineCrowd) Stop() {
	for _, p := range c.pools {
		close(p.jobs)
	}
	for _, p := range c.pools {
		p.workers.Wait()
	}
}

// protoCrowd is as many actors below one parent, which stops them all.
type protoCrowd struct {
	*protoPool
	parent *proto.PID
}

// protoFamily asks a parent for its children.
type protoFamily struct{ n int }

func newProtoCrowd(n int) (crowd, error) {
	children := owningProps(ownSquare)
	system := protoSystem()
	parent := system.Root.Spawn(proto.PropsFromFunc(func(c proto.Context) {
		if m, ok := c.Message().(*protoFamily); ok {
			pids := make([]*proto.PID, m.n)
			for i := range pids {
				pids[i] = c.Spawn(children)
			}
			c.Respond(pids)
		}
	}))
	pids, err := system.Root.RequestFuture(parent, &protoFamily{n}, noTimeout).Result()
	if err != nil {
		return nil, err
	}
	return &protoCrowd{&protoPool{system: system, actors: pids.([]*proto.PID)}, parent}, nil
}

func (c *protoCrowd) Ready(context.Context) error { return nil }

// CallAll asks each actor once: ask takes them in turn.
func (c *protoCrowd) CallAll(ctx context.Context) error {
	in := inputs(len(c.actors))
	out, err := submit(ctx, c.protoPool, in)
	if err != nil {
		return err
	}
	return checkSquares(in, out)
}

// Stop stops the parent, which waits for all its children.
func (c *protoCrowd) Stop() {
	gone := make(chan struct{})
	watcher := c.system.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		switch ctx.Message().(type) {
		case *proto.Started:
			ctx.Watch(c.parent)
			ctx.Stop(c.parent)
		case *proto.Terminated:
			close(gone)
		}
	}))
	<-gone
	c.system.Root.Stop(watcher)
}
