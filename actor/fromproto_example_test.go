package actor_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

// Asking an actor by protoactor's own means, and waiting under a ctx.
func ExampleFromProto() {
	root := actor.NewSystem().ActorSystem().Root
	greeter := root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		if name, ok := ctx.Message().(string); ok {
			ctx.Respond("hello " + name)
		}
	}))
	ctx := context.Background()
	answer := actor.FromProto[string](root.RequestFuture(greeter, "Ada", time.Minute))
	fmt.Println(answer.Await(ctx))

	wrong := actor.FromProto[int](root.RequestFuture(greeter, "Ada", time.Minute))
	fmt.Println(wrong.Await(ctx))

	silent := actor.FromProto[string](root.RequestFuture(greeter, 12, time.Millisecond))
	_, err := silent.Await(ctx)
	fmt.Println("too late:", errors.Is(err, context.DeadlineExceeded), errors.Is(err, proto.ErrTimeout))

	_ = root.StopFuture(greeter).Wait()
	late := actor.FromProto[string](root.RequestFuture(greeter, "Ada", time.Minute))
	_, err = late.Await(ctx)
	fmt.Println("gone:", errors.Is(err, proto.ErrDeadLetter))
	// Output:
	// hello Ada <nil>
	// 0 actor: want a message of type int, got string
	// too late: true true
	// gone: true
}
