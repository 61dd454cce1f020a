package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
)

// A service that fails is started anew until the budget is spent.
func ExampleNew() {
	system := actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
	runs := 0
	feed := supervisor.Service("feed", func(context.Context) error {
		runs++
		fmt.Println("run", runs)
		return errors.New("connection refused")
	})
	tree, err := supervisor.New("app", supervisor.Policy{MaxRestarts: 2}, feed)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := tree.Start(system); err != nil {
		fmt.Println(err)
		return
	}
	err = tree.Wait(context.Background())
	fmt.Println(err)
	fmt.Println(errors.Is(err, supervisor.ErrFailed))
	// Output:
	// run 1
	// run 2
	// run 3
	// supervisor: gave up restarting child "feed" of tree "app" after 2 restarts in 10s: connection refused
	// true
}

// A service runs until its ctx ends.
func ExampleService() {
	system := actor.NewSystem()
	ready := make(chan struct{})
	clock := supervisor.Service("clock", func(ctx context.Context) error {
		close(ready)
		<-ctx.Done()
		fmt.Println("clock:", context.Cause(ctx))
		return nil
	})
	tree, err := supervisor.New("app", supervisor.Policy{}, clock)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := tree.Start(system); err != nil {
		fmt.Println(err)
		return
	}
	<-ready
	fmt.Println("stop:", tree.Stop(context.Background()))
	// Output:
	// clock: supervisor: stopped
	// stop: <nil>
}

func ExampleTree_Add() {
	idle := func(ctx context.Context) error { <-ctx.Done(); return nil }
	tree, err := supervisor.New("app", supervisor.Policy{}, supervisor.Service("first", idle))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := tree.Start(actor.NewSystem()); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tree.Add(supervisor.Service("second", idle)))
	fmt.Println(tree.Add(supervisor.Service("second", idle)))
	fmt.Println(tree.Remove(context.Background(), "first"))
	err = tree.Restart(context.Background(), "first")
	fmt.Println(errors.Is(err, supervisor.ErrNoChild))
	fmt.Println(tree.Stop(context.Background()))
	// Output:
	// <nil>
	// supervisor: tree "app", child "second": the name is taken
	// <nil>
	// true
	// <nil>
}

func ExampleTree_Snapshot() {
	idle := func(ctx context.Context) error { <-ctx.Done(); return nil }
	cache, err := supervisor.New("cache", supervisor.Policy{}, supervisor.Service("fill", idle))
	if err != nil {
		fmt.Println(err)
		return
	}
	tree, err := supervisor.New("app", supervisor.Policy{}, cache)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tree.Snapshot().State)
	if err := tree.Start(actor.NewSystem()); err != nil {
		fmt.Println(err)
		return
	}
	node := tree.Snapshot()
	fmt.Println(node.Name, node.State, node.Children[0].Name, node.Children[0].State)
	fmt.Println(tree.Stop(context.Background()))
	fmt.Println(tree.Snapshot().State)
	// Output:
	// idle
	// app running cache running
	// <nil>
	// stopped
}

// Wait may begin before the tree does.
func ExampleTree_Wait() {
	tree, err := supervisor.New("app", supervisor.Policy{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- tree.Wait(context.Background()) }()
	fmt.Println(tree.Stop(context.Background()))
	fmt.Println(<-ended)
	// Output:
	// <nil>
	// <nil>
}
