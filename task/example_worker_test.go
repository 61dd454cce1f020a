package task_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// Counter needs no lock: its member runs one method at a time.
type Counter struct{ n int }

func (c *Counter) Add(_ context.Context, n int) (int, error) {
	c.n += n
	return c.n, nil
}

func (c *Counter) Get(context.Context) (int, error) { return c.n, nil }

func newCounter(context.Context) (*Counter, error) { return &Counter{}, nil }

// Connection is closed once, whatever ends it.
type Connection struct{}

func (*Connection) Close() error {
	fmt.Println("closed")
	return nil
}

func (*Connection) Query(_ context.Context, q string) (string, error) {
	return "answer to " + q, nil
}

// A worker owns a state, made by init before the first call and closed at the
// end if it is an io.Closer.
func ExampleNewWorker() {
	connections, err := task.NewWorker(func(context.Context) (*Connection, error) {
		fmt.Println("opened")
		return &Connection{}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer connections.Stop()

	ctx := context.Background()
	for _, q := range []string{"one", "two"} {
		fmt.Println(task.Ask(ctx, connections, (*Connection).Query, q).Await(ctx))
	}
	// Output:
	// opened
	// answer to one <nil>
	// answer to two <nil>
	// closed
}

func ExampleMustNewWorker() {
	counter := task.MustNewWorker(newCounter)
	defer counter.Stop()
	fmt.Println(task.Ask(context.Background(), counter, (*Counter).Add, 5).Result())
	// Output: 5 <nil>
}

// The method is a method expression, so the compiler checks the argument; calls
// run in the order in which they were submitted.
func ExampleAsk() {
	ctx := context.Background()
	counter := task.MustNewWorker(newCounter)
	defer counter.Stop()

	five := task.Ask(ctx, counter, (*Counter).Add, 5) // at once
	seven := task.Ask(ctx, counter, (*Counter).Add, 2)
	fmt.Println(task.Gather(ctx, five, seven))
	// Output: [5 7] <nil>
}

// Any function that takes the state first will do.
func ExampleAsk_function() {
	ctx := context.Background()
	texts := task.MustNewWorker(func(context.Context) (*strings.Builder, error) { return &strings.Builder{}, nil })
	defer texts.Stop()

	write := func(b *strings.Builder, _ context.Context, s string) (string, error) {
		b.WriteString(s)
		return b.String(), nil
	}
	task.Ask(ctx, texts, write, "to be ")
	fmt.Println(task.Ask(ctx, texts, write, "or not").Await(ctx))
	// Output: to be or not <nil>
}

// Calls with the same key go to the same member, so that it alone has what
// belongs to the key.
func ExampleAskKey() {
	ctx := context.Background()
	carts := task.MustNewWorker(func(context.Context) (map[string][]string, error) {
		return map[string][]string{}, nil
	}, task.Workers(4))
	defer carts.Stop()

	type line struct{ customer, item string }
	add := func(all map[string][]string, _ context.Context, l line) ([]string, error) {
		all[l.customer] = append(all[l.customer], l.item)
		return all[l.customer], nil
	}
	for _, l := range []line{{"ann", "tea"}, {"bob", "nails"}, {"ann", "milk"}, {"bob", "hammer"}} {
		fmt.Println(task.AskKey(ctx, carts, l.customer, add, l).Await(ctx))
	}
	// Output:
	// [tea] <nil>
	// [nails] <nil>
	// [tea milk] <nil>
	// [nails hammer] <nil>
}

func ExampleDo() {
	ctx := context.Background()
	counter := task.MustNewWorker(newCounter)
	defer counter.Stop()
	task.Ask(ctx, counter, (*Counter).Add, 3) // nobody has to wait for it
	fmt.Println(task.Do(ctx, counter, (*Counter).Get).Await(ctx))
	// Output: 3 <nil>
}

// Any actor can ask a worker by its PID.
func ExampleMessage() {
	counter := task.MustNewWorker(newCounter)
	defer counter.Stop()

	root := actor.Default().ActorSystem().Root
	answer, err := root.RequestFuture(counter.PID(), task.Message((*Counter).Add, 5), time.Second).Result()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.(task.Result[int]).Value)
	// Output: 5
}

func ExampleMessageKey() {
	counters := task.MustNewWorker(newCounter, task.Workers(4))
	defer counters.Stop()

	root, pid := actor.Default().ActorSystem().Root, counters.PID()
	root.Send(pid, task.MessageKey("ann", (*Counter).Add, 5))
	answer := actor.FromProto[int](root.RequestFuture(pid, task.MessageKey("ann", (*Counter).Add, 1), time.Second))
	fmt.Println(answer.Result())
	// Output: 6 <nil>
}

// A call that was asked for by message ends with the ctx of whoever asked.
func ExampleWithContext() {
	wait := task.MustNew(func(ctx context.Context, _ string) (string, error) {
		<-ctx.Done()
		return "", context.Cause(ctx)
	})
	defer wait.Stop()

	ctx, cancel := context.WithCancelCause(context.Background())
	root := actor.Default().ActorSystem().Root
	asked := root.RequestFuture(wait.PID(), task.WithContext(ctx, "for ever"), time.Minute)
	cancel(errors.New("the user has left"))
	fmt.Println(actor.FromProto[string](asked).Result())
	// Output: the user has left
}

// The calls of one member interleave while they wait for something; the state
// then needs a lock.
func ExampleConcurrent() {
	ctx := context.Background()
	type room struct{ present sync.WaitGroup }
	rooms := task.MustNewWorker(func(context.Context) (*room, error) {
		r := &room{}
		r.present.Add(3)
		return r, nil
	}, task.Concurrent(3))
	defer rooms.Stop()

	meet := func(r *room, _ context.Context, name string) (string, error) {
		r.present.Done()
		r.present.Wait() // for the others
		return name, nil
	}
	fmt.Println(task.Gather(ctx, task.Ask(ctx, rooms, meet, "ann"), task.Ask(ctx, rooms, meet, "bob"), task.Ask(ctx, rooms, meet, "eve")))
	// Output: [ann bob eve] <nil>
}

// With is for settings of single calls.
func ExampleWorker_With() {
	ctx := context.Background()
	counter := task.MustNewWorker(newCounter)
	defer counter.Stop()

	forgiving := counter.With(task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(time.Millisecond)}))
	unsteady := func(c *Counter, ctx context.Context, n int) (int, error) {
		if task.Info(ctx).Attempt < 3 {
			return 0, errors.New("not yet")
		}
		return c.Add(ctx, n)
	}
	_, err := task.Ask(ctx, counter, unsteady, 5).Await(ctx)
	fmt.Println(err)
	fmt.Println(task.Ask(ctx, forgiving, unsteady, 5).Await(ctx))
	// Output:
	// not yet
	// 5 <nil>
}

// Ready makes all states now, and tells if that fails.
func ExampleWorker_Ready() {
	connections := task.MustNewWorker(func(context.Context) (*Connection, error) {
		return nil, errors.New("connection refused")
	}, task.Workers(2))
	defer connections.Stop()
	fmt.Println(connections.Ready(context.Background()))
	// Output: connection refused
}

// Drain finishes what was accepted, and then closes the states.
func ExampleWorker_Drain() {
	ctx := context.Background()
	connections := task.MustNewWorker(func(context.Context) (*Connection, error) { return &Connection{}, nil })
	answer := task.Ask(ctx, connections, (*Connection).Query, "one")

	if _, err := connections.Drain(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(answer.Result())
	_, err := task.Ask(ctx, connections, (*Connection).Query, "two").Await(ctx)
	fmt.Println(errors.Is(err, task.ErrStopped))
	// Output:
	// closed
	// answer to one <nil>
	// true
}

func ExampleWorker_Resize() {
	ctx := context.Background()
	counters := task.MustNewWorker(newCounter)
	defer counters.Stop()
	if err := counters.Resize(3); err != nil {
		fmt.Println(err)
	}
	if err := counters.Ready(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(counters.Stats().Workers)
	// Output: 3
}

// A worker can be the child of an actor, and then stops with it.
func ExampleWorker_Props() {
	system := actor.NewSystem()
	counter := task.MustNewWorker(newCounter, task.System(system))
	spawned := make(chan error)
	root := system.ActorSystem().Root
	parent := root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		if _, ok := ctx.Message().(*proto.Started); ok {
			_, err := ctx.SpawnNamed(counter.Props(), "counter")
			spawned <- err
		}
	}))
	fmt.Println(<-spawned)
	fmt.Println(task.Ask(context.Background(), counter, (*Counter).Add, 5).Result())

	_ = root.StopFuture(parent).Wait()
	_, err := task.Do(context.Background(), counter, (*Counter).Get).Result()
	fmt.Println(errors.Is(err, task.ErrStopped))
	// Output:
	// <nil>
	// 5 <nil>
	// true
}
