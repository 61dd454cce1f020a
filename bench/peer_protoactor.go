package main

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	proto "github.com/asynkron/protoactor-go/actor"
)

// protoSystem is shared by all pools: making one costs milliseconds, and an
// actor system is meant to live as long as its process.
var protoSystem = sync.OnceValue(func() *proto.ActorSystem {
	return proto.NewActorSystem(
		proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		proto.WithDeadLetterRequestLogging(false),
	)
})

// protoPool is protoactor as it comes: actors, asked in turn with
// RequestFuture. Futures have no timeout, which spares a timer each.
type protoPool struct {
	system *proto.ActorSystem
	actors []*proto.PID
	next   atomic.Uint64
}

type protoRequest struct {
	ctx context.Context
	x   int
}

func protoactorPeer() peer {
	return peer{
		name:  "protoactor",
		call:  func(fn function, workers int) caller { return newProtoPool(fn, workers) },
		batch: func(fn function, workers int) batcher { return newProtoPool(fn, workers) },
		queue: func(fn function, workers, _ int) batcher { return newProtoPool(fn, workers) },
	}
}

func newProtoPool(fn function, workers int) *protoPool {
	return newOwningProtoPool(func() function { return fn }, workers)
}

// newOwningProtoPool gives each actor a function of its own.
func newOwningProtoPool(own func() function, workers int) *protoPool {
	p := &protoPool{system: protoSystem()}
	props := owningProps(own)
	for range workers {
		p.actors = append(p.actors, p.system.Root.Spawn(props))
	}
	return p
}

func owningProps(own func() function) *proto.Props {
	return proto.PropsFromProducer(func() proto.Actor {
		fn := own()
		return proto.ReceiveFunc(func(c proto.Context) {
			if r, ok := c.Message().(*protoRequest); ok {
				c.Respond(run(r.ctx, fn, r.x))
			}
		})
	})
}

// noTimeout is for futures that wait as long as it takes.
const noTimeout = -1

func (p *protoPool) ask(ctx context.Context, x int) *proto.Future {
	actor := p.actors[p.next.Add(1)%uint64(len(p.actors))]
	return p.system.Root.RequestFuture(actor, &protoRequest{ctx: ctx, x: x}, noTimeout)
}

func answer(f *proto.Future) (int, error) {
	reply, err := f.Result()
	if err != nil {
		return 0, err
	}
	o := reply.(outcome)
	return o.value, o.err
}

func (p *protoPool) Call(ctx context.Context, x int) (int, error) {
	return answer(p.ask(ctx, x))
}

func (p *protoPool) Submit(ctx context.Context, in []int) func() ([]int, error) {
	futures := make([]*proto.Future, len(in))
	for i, x := range in {
		futures[i] = p.ask(ctx, x)
	}
	return func() ([]int, error) {
		values := make([]int, len(in))
		for i, f := range futures {
			v, err := answer(f)
			if err != nil {
				return nil, err
			}
			values[i] = v
		}
		return values, nil
	}
}

// Stop stops all actors at once and waits for each.
func (p *protoPool) Stop() {
	stopped := make([]*proto.Future, len(p.actors))
	for i, actor := range p.actors {
		stopped[i] = p.system.Root.StopFuture(actor)
	}
	for _, f := range stopped {
		_ = f.Wait() // gives up after ten seconds; the pool is of no further use either way
	}
}
