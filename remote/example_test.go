package remote_test

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"slices"
	"syscall"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// double is a task that the examples place elsewhere. A variable of the package
// exists in children, too.
var double = task.MustNew(func(_ context.Context, x int) (int, error) { return 2 * x, nil }, task.Name("example.double"))

// The program of the package's introduction. Its main begins with Main.
func Example() {
	remote.Main() // a child process goes no further
	far := double.On(remote.Processes(4))
	defer far.Stop()
	for v, err := range far.Map(context.Background(), slices.Values([]int{1, 2, 3})) {
		fmt.Println(v, err)
	}
}

// A call that crashes its process fails alone.
func ExampleProcesses() {
	remote.Main() // the first line of main
	far := double.On(remote.Processes(2, remote.MemoryLimit(256<<20), remote.RecycleAfter(10_000)))
	defer far.Stop()

	ctx := context.Background()
	v, err := far.Call(ctx, 4)
	var crash *task.CrashError
	if errors.As(err, &crash) {
		fmt.Println("crashed with exit code", crash.ExitCode, "and signal", crash.Signal)
		fmt.Println(crash.Stderr)
	}
	fmt.Println(v, err)
}

func ExampleNodes() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	// A machine that serves. Here it is a System of its own in the same process.
	there := actor.NewSystem()
	defer there.Stop(context.Background())
	task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.Name("square"), task.System(there))
	server, err := remote.Start(remote.Config{System: there, Token: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(ctx)

	// A machine that calls.
	here := actor.NewSystem()
	defer here.Stop(context.Background())
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.Name("square"), task.System(here))
	node, err := remote.Start(remote.Config{System: here, Token: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	far := square.On(remote.Nodes(node, server.Addr()), task.Idempotent())
	defer far.Stop()
	for v, err := range far.Map(ctx, slices.Values([]int{1, 2, 3})) {
		fmt.Println(v, err)
	}
	// Output:
	// 1 <nil>
	// 4 <nil>
	// 9 <nil>
}

// Without a secret, nobody outside of this machine is let in.
func ExampleStart() {
	_, err := remote.Start(remote.Config{Listen: ":0", Capacity: -1})
	fmt.Println(err)
	// Output:
	// remote: Capacity -1: want at least 1, or 0 for GOMAXPROCS
	// remote: Listen ":0" is not the loopback interface, and the node has neither TLS nor Token: whoever reaches it could run its tasks; set TLS or Token, or AllowInsecure if the network is trusted
}

// A node that serves until SIGTERM, and then finishes what runs.
func ExampleNode_Serve() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	node, err := remote.Start(remote.Config{Listen: ":7000", Token: "secret", Capacity: 16})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Stop(context.Background())
	if err := node.Serve(ctx); err != nil {
		fmt.Println(err)
	}
}

var errNoStock = errors.New("shop: not in stock")

func init() { remote.RegisterError("shop.ErrNoStock", errNoStock) } // in both programs

func ExampleRegisterError() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	there, here := actor.NewSystem(), actor.NewSystem()
	defer there.Stop(context.Background())
	defer here.Stop(context.Background())
	order := func(_ context.Context, item string) (int, error) {
		return 0, fmt.Errorf("order %s: %w", item, errNoStock)
	}
	task.MustNew(order, task.Name("order"), task.System(there))
	server, err := remote.Start(remote.Config{System: there})
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(ctx)
	node, err := remote.Start(remote.Config{System: here})
	if err != nil {
		fmt.Println(err)
		return
	}
	far := task.MustNew(order, task.Name("order"), task.System(here), task.On(remote.Nodes(node, server.Addr())))
	defer far.Stop()

	_, err = far.Call(ctx, "tea")
	fmt.Println(err)
	fmt.Println(errors.Is(err, errNoStock))
	// Output:
	// order tea: shop: not in stock
	// true
}
