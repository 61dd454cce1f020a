package actor_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

func ExampleNewFuture() {
	answer, complete := actor.NewFuture[int]()
	go complete(42, nil)
	fmt.Println(answer.Await(context.Background()))
	fmt.Println("completed again:", complete(43, nil))
	// Output:
	// 42 <nil>
	// completed again: false
}

func ExampleCompleted() {
	cached := actor.Completed("from the cache", nil)
	fmt.Println(cached.Result())
	// Output: from the cache <nil>
}

// The ctx of Await bounds the wait; what is waited for goes on.
func ExampleFuture_Await() {
	answer, complete := actor.NewFuture[int]()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := answer.Await(ctx)
	fmt.Println(err)

	complete(42, nil)
	fmt.Println(answer.Await(context.Background()))
	// Output:
	// context deadline exceeded
	// 42 <nil>
}

func ExampleFuture_Result() {
	_, err := actor.Completed(0, errors.New("out of paper")).Result()
	fmt.Println(err)
	// Output: out of paper
}

func ExampleFuture_Done() {
	answer, complete := actor.NewFuture[int]()
	never := make(chan struct{})
	go complete(42, nil)
	select {
	case <-answer.Done():
		fmt.Println(answer.Result())
	case <-never:
	}
	// Output: 42 <nil>
}

func ExampleFuture_Poll() {
	answer, complete := actor.NewFuture[int]()
	fmt.Println(answer.Poll())
	complete(42, nil)
	fmt.Println(answer.Poll())
	// Output:
	// 0 <nil> false
	// 42 <nil> true
}

func ExampleFuture_Cancel() {
	answer, complete := actor.NewFuture[int]()
	fmt.Println("cancelled:", answer.Cancel())
	fmt.Println("completed:", complete(42, nil))
	_, err := answer.Result()
	fmt.Println(err)
	// Output:
	// cancelled: true
	// completed: false
	// context canceled
}

func ExampleFuture_OnDone() {
	answer, complete := actor.NewFuture[int]()
	answer.OnDone(func(v int, err error) { fmt.Println("first:", v, err) })
	answer.OnDone(func(v int, err error) { fmt.Println("second:", v, err) })
	complete(42, nil)
	answer.OnDone(func(v int, err error) { fmt.Println("late, and at once:", v, err) })
	// Output:
	// first: 42 <nil>
	// second: 42 <nil>
	// late, and at once: 42 <nil>
}

// A Future as the sender of a request: whatever the actor answers completes it.
func ExampleFuture_PID() {
	sys := actor.NewSystem()
	root := sys.ActorSystem().Root
	greeter := root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		if name, ok := ctx.Message().(string); ok {
			ctx.Respond("hello " + name)
		}
	}))
	answer, _ := actor.NewFuture[string]()
	root.RequestWithCustomSender(greeter, "Ada", answer.PID(sys))
	fmt.Println(answer.Result())
	_ = root.StopFuture(greeter).Wait()
	// Output: hello Ada <nil>
}

func ExampleFuture_PipeTo() {
	sys := actor.NewSystem()
	root := sys.ActorSystem().Root
	printed := make(chan struct{})
	printer := root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		if r, ok := ctx.Message().(actor.Result[int]); ok {
			fmt.Println("got", r.Value, r.Err)
			close(printed)
		}
	}))
	answer, complete := actor.NewFuture[int]()
	answer.PipeTo(sys, printer)
	complete(42, nil)
	<-printed
	_ = root.StopFuture(printer).Wait()
	// Output: got 42 <nil>
}

func ExampleMessageError() {
	sys := actor.NewSystem()
	root := sys.ActorSystem().Root
	answer, _ := actor.NewFuture[int]()
	root.Send(answer.PID(sys), "forty-two")
	_, err := answer.Result()
	fmt.Println(err)

	orphan, _ := actor.NewFuture[int]()
	root.RequestWithCustomSender(sys.ActorSystem().NewLocalPID("nobody"), 1, orphan.PID(sys))
	_, err = orphan.Result()
	fmt.Println("nobody there:", errors.Is(err, proto.ErrDeadLetter))
	// Output:
	// actor: want a message of type int, got string
	// nobody there: true
}
