package supervisor_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/supervisor"
)

func ExamplePolicy() {
	policy := supervisor.Policy{
		Scope:       supervisor.RestForOne,
		MaxRestarts: 5,
		Within:      time.Minute,
		Backoff:     supervisor.Backoff{Initial: 100 * time.Millisecond, Max: 10 * time.Second, Jitter: 0.2},
		Decide: func(err error) supervisor.Directive {
			if errors.Is(err, fs.ErrPermission) {
				return supervisor.Stop // would fail again
			}
			return supervisor.Restart
		},
	}
	fmt.Println(policy.Validate())
	// Output: <nil>
}

func ExamplePolicy_Validate() {
	policy := supervisor.Policy{Within: -time.Second, Backoff: supervisor.Backoff{Max: time.Second}}
	fmt.Println(policy.Validate())
	// Output:
	// supervisor: Policy.Within is -1s: want 0 for the default, or more
	// supervisor: Policy.Backoff.Initial is 0, so that Max, Factor and Jitter have no effect
}

// A pool of one's own asks the policy and carries the verdict out by itself.
func ExamplePolicy_Next() {
	policy := supervisor.Policy{MaxRestarts: 3, Backoff: supervisor.Backoff{Initial: time.Second}}
	var history supervisor.History
	now := time.Now()
	for range 4 {
		verdict := policy.Next(now, &history, errors.New("disk on fire"))
		fmt.Println(verdict.Directive, verdict.Delay, verdict.Err)
		now = now.Add(verdict.Delay)
	}
	// Output:
	// Restart 1s disk on fire
	// Restart 2s disk on fire
	// Restart 4s disk on fire
	// Escalate 0s supervisor: gave up restarting after 3 restarts in 10s: disk on fire
}

func ExampleBackoff() {
	policy := supervisor.Policy{Backoff: supervisor.Backoff{Initial: 3 * time.Second, Factor: 4, Max: 20 * time.Second}}
	var history supervisor.History
	now := time.Now()
	for range 3 {
		verdict := policy.Next(now, &history, errors.New("no route"))
		fmt.Println(verdict.Delay)
		now = now.Add(verdict.Delay)
	}
	// Output:
	// 3s
	// 12s
	// 20s
}

// Any protoactor actor can supervise its children by a Policy.
func ExamplePolicy_Strategy() {
	system := proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	started, stopped := make(chan int), make(chan struct{})
	incarnation := 0
	child := proto.PropsFromFunc(func(ctx proto.Context) {
		switch ctx.Message().(type) {
		case *proto.Started:
			incarnation++
			started <- incarnation
		case *proto.Stopped:
			close(stopped)
		case string:
			panic("told to")
		}
	})

	policy := supervisor.Policy{MaxRestarts: 2}
	parent := proto.PropsFromFunc(func(ctx proto.Context) {
		switch msg := ctx.Message().(type) {
		case *proto.Started:
			ctx.Spawn(child)
		case string:
			ctx.Send(ctx.Children()[0], msg)
		}
	}, proto.WithSupervisor(policy.Strategy()))

	pid := system.Root.Spawn(parent)
	for range 3 {
		fmt.Println("incarnation", <-started)
		system.Root.Send(pid, "panic")
	}
	<-stopped
	fmt.Println("stopped: the budget is spent, and the parent has no parent to tell")
	system.Root.Stop(pid)
	// Output:
	// incarnation 1
	// incarnation 2
	// incarnation 3
	// stopped: the budget is spent, and the parent has no parent to tell
}

// With RestForOne, children depend on those started before them.
func ExamplePolicy_Option() {
	system := proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	started := make(chan string)
	child := func(name string) *proto.Props {
		return proto.PropsFromFunc(func(ctx proto.Context) {
			switch ctx.Message().(type) {
			case *proto.Started:
				started <- name
			case string:
				panic("told to")
			}
		})
	}
	policy := supervisor.Policy{Scope: supervisor.RestForOne}
	children := make(chan *proto.PID, 2)
	parent := system.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		if _, ok := ctx.Message().(*proto.Started); ok {
			children <- ctx.Spawn(child("database"))
			children <- ctx.Spawn(child("cache"))
		}
	}, policy.Option()))

	database, cache := <-children, <-children
	<-started
	<-started
	system.Root.Send(cache, "panic")
	fmt.Println("only", <-started)
	system.Root.Send(database, "panic")
	<-started
	<-started
	fmt.Println("both")
	system.Root.Stop(parent)
	// Output:
	// only cache
	// both
}
