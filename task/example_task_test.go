package task_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// One line puts a function behind a pool of workers.
func ExampleNew() {
	square, err := task.New(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.Workers(4))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer square.Stop()

	f := square.Submit(context.Background(), 10) // at once
	v, err := f.Await(context.Background())
	fmt.Println(v, err)
	// Output: 100 <nil>
}

// All mistakes in the options come back at once.
func ExampleNew_mistakes() {
	_, err := task.New(task.Func(strings.ToUpper), task.Workers(0), task.Reject())
	fmt.Println(err)
	// Output:
	// task: Workers(0): want at least 1
	// task: Reject needs Queue
}

func ExampleMustNew() {
	length := task.MustNew(task.Func(func(s string) int { return len(s) }))
	defer length.Stop()
	fmt.Println(length.Call(context.Background(), "troupe"))
	// Output: 6 <nil>
}

func ExampleFunc() {
	upper := task.MustNew(task.Func(strings.ToUpper))
	defer upper.Stop()
	fmt.Println(upper.Call(context.Background(), "quiet"))
	// Output: QUIET <nil>
}

func ExampleFuncErr() {
	parse := task.MustNew(task.FuncErr(strconv.Atoi))
	defer parse.Stop()
	fmt.Println(parse.Call(context.Background(), "12"))
	_, err := parse.Call(context.Background(), "twelve")
	fmt.Println(err)
	// Output:
	// 12 <nil>
	// strconv.Atoi: parsing "twelve": invalid syntax
}

func ExampleAction() {
	greet := task.MustNew(task.Action(func(_ context.Context, name string) error {
		fmt.Println("hello,", name)
		return nil
	}))
	defer greet.Stop()
	_, err := greet.Call(context.Background(), "world")
	fmt.Println(err)
	// Output:
	// hello, world
	// <nil>
}

func ExampleTask_Call() {
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil })
	defer square.Stop()
	v, err := square.Call(context.Background(), 12)
	fmt.Println(v, err)
	// Output: 144 <nil>
}

// Submit does not wait; the Future does.
func ExampleTask_Submit() {
	ctx := context.Background()
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.Workers(2))
	defer square.Stop()

	three, four := square.Submit(ctx, 3), square.Submit(ctx, 4) // both run
	a, _ := three.Await(ctx)
	b, _ := four.Await(ctx)
	fmt.Println(a + b)
	// Output: 25
}

// A Future can be cancelled: the function sees its ctx end.
func ExampleTask_Submit_cancel() {
	ctx := context.Background()
	wait := task.MustNew(func(ctx context.Context, _ string) (string, error) {
		<-ctx.Done()
		return "", context.Cause(ctx)
	})
	defer wait.Stop()

	f := wait.Submit(ctx, "for ever")
	fmt.Println("cancelled:", f.Cancel())
	_, err := f.Await(ctx)
	fmt.Println(err)
	// Output:
	// cancelled: true
	// context canceled
}

// TrySubmit never blocks: on a full queue it says no.
func ExampleTask_TrySubmit() {
	ctx := context.Background()
	begun, finish := make(chan bool), make(chan bool)
	print := task.MustNew(func(_ context.Context, page int) (int, error) {
		begun <- true
		<-finish
		return page, nil
	}, task.Workers(1), task.Queue(1))
	defer print.Stop()

	first, _ := print.TrySubmit(ctx, 1)
	<-begun // page 1 is at the printer
	second, ok := print.TrySubmit(ctx, 2)
	fmt.Println("page 2 waits:", ok)
	_, ok = print.TrySubmit(ctx, 3)
	fmt.Println("page 3 waits:", ok)

	close(finish)
	<-begun
	fmt.Println(first.Result())
	fmt.Println(second.Result())
	// Output:
	// page 2 waits: true
	// page 3 waits: false
	// 1 <nil>
	// 2 <nil>
}

// A Future of one task can be the argument of another.
func ExampleTask_SubmitFuture() {
	ctx := context.Background()
	fetch := task.MustNew(func(_ context.Context, name string) (string, error) { return "text of " + name, nil })
	count := task.MustNew(func(_ context.Context, text string) (int, error) { return len(text), nil })
	defer fetch.Stop()
	defer count.Stop()

	n := count.SubmitFuture(ctx, fetch.Submit(ctx, "page")) // at once
	fmt.Println(n.Await(ctx))
	// Output: 12 <nil>
}

// A view made by With has settings of its own, on the same pool.
func ExampleTask_With() {
	ctx := context.Background()
	wait := task.MustNew(func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})
	defer wait.Stop()

	_, err := wait.With(task.Timeout(time.Millisecond)).Call(ctx, 1)
	fmt.Println(err)
	_, err = wait.With(task.Timeout(-1)).Call(ctx, 1)
	fmt.Println(err)
	// Output:
	// task: attempt not finished within 1ms (Timeout)
	// task: Timeout(-1ns): want a positive duration
}

// Ready is for services that report when they can serve.
func ExampleTask_Ready() {
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.Workers(3))
	defer square.Stop()
	fmt.Println("workers:", square.Stats().Workers)
	fmt.Println(square.Ready(context.Background()))
	fmt.Println("workers:", square.Stats().Workers)
	// Output:
	// workers: 0
	// <nil>
	// workers: 3
}

// Drain finishes what was accepted and refuses the rest.
func ExampleTask_Drain() {
	ctx := context.Background()
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.Workers(2))
	var fs []*task.Future[int]
	for x := range 5 {
		fs = append(fs, square.Submit(ctx, x))
	}

	_, err := square.Drain(ctx)
	fmt.Println(err)
	values, err := task.Gather(ctx, fs...)
	fmt.Println(values, err)
	_, err = square.Call(ctx, 5)
	fmt.Println(errors.Is(err, task.ErrStopped))
	// Output:
	// <nil>
	// [0 1 4 9 16] <nil>
	// true
}

// Stop ends what runs and what waits, and says what became of it.
func ExampleTask_Stop() {
	ctx := context.Background()
	begun := make(chan bool)
	wait := task.MustNew(func(ctx context.Context, x int) (int, error) {
		begun <- true
		<-ctx.Done()
		return 0, ctx.Err()
	}, task.Name("wait"), task.Workers(1))
	running, waiting := wait.Submit(ctx, 1), wait.Submit(ctx, 2)
	<-begun

	report := wait.Stop()
	fmt.Printf("%d cancelled, %d never started\n", report.Cancelled, report.NeverStarted)
	_, err := running.Result()
	fmt.Println(err)
	_, err = waiting.Result()
	fmt.Println(err)
	// Output:
	// 1 cancelled, 1 never started
	// task "wait": stopped while the call ran
	// task "wait": stopped
}

func ExampleTask_Resize() {
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.Workers(1))
	defer square.Stop()
	fmt.Println(square.Resize(8), square.Ready(context.Background()))
	fmt.Println("workers:", square.Stats().Workers)
	fmt.Println(square.Resize(0))
	// Output:
	// <nil> <nil>
	// workers: 8
	// task: Resize: want at least 1 worker
}

func ExampleTask_Stats() {
	ctx := context.Background()
	check := task.MustNew(func(_ context.Context, x int) (int, error) {
		if x < 0 {
			return 0, errors.New("negative")
		}
		return x, nil
	}, task.Workers(2))
	for x := -2; x < 5; x++ {
		_, _ = check.Call(ctx, x)
	}
	check.Stop()

	s := check.Stats()
	fmt.Printf("%d submitted, %d finished, %d failed\n", s.Submitted, s.Finished, s.Failed)
	// Output: 7 submitted, 5 finished, 2 failed
}

// A function can ask what call it serves.
func ExampleInfo() {
	whoami := task.MustNew(func(ctx context.Context, _ struct{}) (string, error) {
		i := task.Info(ctx)
		return fmt.Sprintf("call %d of %s, attempt %d, on %s", i.Call, i.Task, i.Attempt, i.Worker), nil
	}, task.Name("whoami"), task.Workers(1))
	defer whoami.Stop()
	fmt.Println(whoami.Call(context.Background(), struct{}{}))
	// Output: call 1 of whoami, attempt 1, on worker-0 <nil>
}

// A panic is the error of its call and of nothing else.
func ExamplePanicError() {
	ctx := context.Background()
	first := task.MustNew(func(_ context.Context, xs []int) (int, error) { return xs[0], nil }, task.Name("first"))
	defer first.Stop()

	_, err := first.Call(ctx, nil)
	fmt.Println(err)
	var p *task.PanicError
	fmt.Println(errors.Is(err, task.ErrPanicked), errors.As(err, &p) && len(p.Stack) > 0)
	fmt.Println(first.Call(ctx, []int{7}))
	// Output:
	// task "first": panic: runtime error: index out of range [0] with length 0
	// true true
	// 7 <nil>
}

// A task is an actor: any actor can send it a message and gets a Result.
func ExampleTask_PID() {
	sys := actor.NewSystem()
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.System(sys))
	defer square.Stop()

	answer, _ := actor.NewFuture[int]()
	sys.ActorSystem().Root.RequestWithCustomSender(square.PID(), 6, answer.PID(sys))
	fmt.Println(answer.Result())
	// Output: 36 <nil>
}

// The pool as a child of one's own actor stops with it.
func ExampleTask_Props() {
	sys := actor.NewSystem()
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.System(sys))
	root := sys.ActorSystem().Root
	pid := root.Spawn(square.Props())

	fmt.Println(square.Call(context.Background(), 3))
	_ = root.StopFuture(pid).Wait()
	_, err := square.Call(context.Background(), 3)
	fmt.Println(errors.Is(err, task.ErrStopped))
	// Output:
	// 9 <nil>
	// true
}
