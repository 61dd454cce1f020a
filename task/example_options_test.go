package task_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// A function that fails now and then is tried again.
func ExampleRetries() {
	tries := 0
	fetch := task.MustNew(func(_ context.Context, page string) (string, error) {
		if tries++; tries < 3 {
			return "", errors.New("connection reset")
		}
		return "text of " + page, nil
	}, task.Workers(1), task.Retries(task.RetryPolicy{
		Max:     4,
		Backoff: task.Exponential(time.Millisecond, time.Second),
		On: func(a task.Attempt) bool {
			fmt.Println("attempt", a.Number, "failed:", a.Err)
			return true
		},
	}))
	defer fetch.Stop()
	fmt.Println(fetch.Call(context.Background(), "page"))
	// Output:
	// attempt 1 failed: connection reset
	// attempt 2 failed: connection reset
	// text of page <nil>
}

// Exhausted attempts are all in the error, which is also the last one's.
func ExampleRetryError() {
	errDown := errors.New("down")
	fetch := task.MustNew(func(context.Context, string) (string, error) { return "", errDown },
		task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(0)}))
	defer fetch.Stop()

	_, err := fetch.Call(context.Background(), "page")
	var retry *task.RetryError
	fmt.Println(errors.As(err, &retry) && len(retry.Attempts) == 3, errors.Is(err, errDown))
	// Output: true true
}

// Permanent marks a failure that another attempt would not mend.
func ExamplePermanent() {
	errGone := errors.New("404 gone")
	tries := 0
	fetch := task.MustNew(func(context.Context, string) (string, error) {
		tries++
		return "", task.Permanent(errGone)
	}, task.Workers(1), task.Retries(task.RetryPolicy{Max: 5}))
	defer fetch.Stop()

	_, err := fetch.Call(context.Background(), "page")
	fmt.Println(err, tries)
	// Output: 404 gone 1
}

// RetryAfter is for servers that say when to come back.
func ExampleRetryAfter() {
	tries := 0
	fetch := task.MustNew(func(_ context.Context, page string) (string, error) {
		if tries++; tries == 1 {
			return "", task.RetryAfter(errors.New("429 too many requests"), time.Millisecond)
		}
		return "text of " + page, nil
	}, task.Workers(1), task.Retries(task.RetryPolicy{}))
	defer fetch.Stop()
	fmt.Println(fetch.Call(context.Background(), "page"))
	// Output: text of page <nil>
}

func ExampleBackoff_Delay() {
	b := task.Exponential(100*time.Millisecond, time.Second).NoJitter()
	for k := 1; k <= 5; k++ {
		fmt.Print(b.Delay(k), " ")
	}
	// Output: 100ms 200ms 400ms 800ms 1s
}

func ExampleLinear() {
	b := task.Linear(time.Second, 3*time.Second).NoJitter()
	fmt.Println(b.Delay(1), b.Delay(2), b.Delay(3), b.Delay(4))
	// Output: 1s 2s 3s 3s
}

func ExampleFibonacci() {
	b := task.Fibonacci(time.Second, time.Minute).NoJitter()
	fmt.Println(b.Delay(1), b.Delay(2), b.Delay(3), b.Delay(4), b.Delay(5))
	// Output: 1s 1s 2s 3s 5s
}

// Until tries again until a result will do.
func ExampleUntil() {
	size := 0
	read := task.MustNew(func(context.Context, string) (int, error) {
		size += 40
		return size, nil
	},
		task.Workers(1),
		task.Retries(task.RetryPolicy{Max: 5, Backoff: task.Constant(0)}),
		task.Until(func(size int) error {
			if size < 100 {
				return errors.New("incomplete")
			}
			return nil
		}))
	defer read.Stop()
	fmt.Println(read.Call(context.Background(), "file"))
	// Output: 120 <nil>
}

func ExampleTimeout() {
	wait := task.MustNew(func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}, task.Timeout(time.Millisecond))
	defer wait.Stop()

	_, err := wait.Call(context.Background(), 1)
	var timeout *task.TimeoutError
	fmt.Println(errors.As(err, &timeout) && timeout.Kind == task.AttemptRun, errors.Is(err, context.DeadlineExceeded))
	// Output: true true
}

// QueueTimeout gives up on a call that waits too long for a worker.
func ExampleQueueTimeout() {
	ctx := context.Background()
	begun := make(chan bool)
	wait := task.MustNew(func(ctx context.Context, _ int) (int, error) {
		begun <- true
		<-ctx.Done()
		return 0, ctx.Err()
	}, task.Workers(1), task.QueueTimeout(time.Millisecond))
	defer wait.Stop()

	wait.Submit(ctx, 1)
	<-begun // the only worker is taken
	_, err := wait.Call(ctx, 2)
	fmt.Println(err)
	// Output: task: not started within 1ms (QueueTimeout)
}

// Queue bounds what waits. Submit then blocks while the queue is full, which
// slows down whoever is too quick.
func ExampleQueue() {
	ctx := context.Background()
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil },
		task.Workers(1), task.Queue(2))
	defer square.Stop()

	var fs []*task.Future[int]
	for x := range 100 { // never more than two of them wait
		fs = append(fs, square.Submit(ctx, x))
	}
	values, err := task.Gather(ctx, fs...)
	fmt.Println(len(values), err)
	// Output: 100 <nil>
}

// Reject fails the call instead, for servers that would rather say no.
func ExampleReject() {
	ctx := context.Background()
	begun := make(chan bool)
	wait := task.MustNew(func(ctx context.Context, _ int) (int, error) {
		begun <- true
		<-ctx.Done()
		return 0, ctx.Err()
	}, task.Workers(1), task.Queue(1), task.Reject())
	defer wait.Stop()

	wait.Submit(ctx, 1)
	<-begun
	wait.Submit(ctx, 2) // waits
	_, err := wait.Submit(ctx, 3).Result()
	fmt.Println(errors.Is(err, task.ErrQueueFull))
	// Output: true
}

// Priority lets urgent calls go first.
func ExamplePriority() {
	ctx := context.Background()
	begun, finish := make(chan bool), make(chan bool)
	handle := task.MustNew(func(_ context.Context, ticket string) (string, error) {
		if ticket == "first" {
			begun <- true
			<-finish
		}
		fmt.Println(ticket)
		return ticket, nil
	}, task.Workers(1), task.Priority(func(ticket string) int { return len(ticket) }))
	defer handle.Stop()

	f := handle.Submit(ctx, "first")
	<-begun // the others queue up behind it
	fs := []*task.Future[string]{f, handle.Submit(ctx, "low"), handle.Submit(ctx, "higher"), handle.Submit(ctx, "highest of all")}
	close(finish)
	_, _ = task.Gather(ctx, fs...)
	// Output:
	// first
	// highest of all
	// higher
	// low
}

// An on-demand task has a worker for each call and none between calls.
func ExampleOnDemand() {
	ctx := context.Background()
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil },
		task.OnDemand(), task.Workers(100)) // at most 100 at once
	defer square.Stop()

	values, err := square.MapSlice(ctx, []int{1, 2, 3})
	fmt.Println(values, err)
	// Output: [1 4 9] <nil>
}

// IdleTimeout lets the workers go when there is nothing to do for a while; the
// next call brings them back.
func ExampleIdleTimeout() {
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil },
		task.Workers(10), task.IdleTimeout(time.Minute))
	defer square.Stop()
	fmt.Println(square.Call(context.Background(), 5))
	// Output: 25 <nil>
}

// Inline runs every call in its caller, so a debugger can step into it.
func ExampleInline() {
	double := task.MustNew(func(_ context.Context, x int) (int, error) { return 2 * x, nil }, task.Inline())
	defer double.Stop()
	v, err, done := double.Submit(context.Background(), 21).Poll() // done already
	fmt.Println(v, err, done)
	// Output: 42 <nil> true
}

// Balance gives each worker a queue of its own.
func ExampleBalance() {
	ctx := context.Background()
	where := task.MustNew(func(ctx context.Context, _ int) (string, error) { return task.Info(ctx).Worker, nil },
		task.Workers(3), task.Balance(task.RoundRobin))
	defer where.Stop()

	workers, err := where.MapSlice(ctx, []int{0, 1, 2, 3, 4})
	fmt.Println(workers, err)
	// Output: [worker-0 worker-1 worker-2 worker-0 worker-1] <nil>
}

// Supervise says what a panic does to the worker; the call fails in any case.
func ExampleSupervise() {
	ctx := context.Background()
	sys := actor.NewSystem()
	risky := task.MustNew(func(_ context.Context, x int) (int, error) { return 100 / x, nil },
		task.Workers(1), task.System(sys), task.Supervise(supervisor.Policy{MaxRestarts: 5, Within: time.Minute}))
	defer risky.Stop()

	_, err := risky.Call(ctx, 0)
	fmt.Println(errors.Is(err, task.ErrPanicked))
	fmt.Println(risky.Call(ctx, 4))
	fmt.Println("restarts:", risky.Stats().Restarts)
	// Output:
	// true
	// 25 <nil>
	// restarts: 1
}

// Names are for logs and other nodes, and unique in a System.
func ExampleName() {
	a := task.MustNew(task.Func(func(x int) int { return x }), task.Name("example"))
	defer a.Stop()
	_, err := task.New(task.Func(func(x int) int { return x }), task.Name("example"))
	fmt.Println(a.Name(), err != nil)
	// Output: example true
}

// A System of one's own is stopped as a whole.
func ExampleSystem() {
	ctx := context.Background()
	sys := actor.NewSystem(actor.Name("images"))
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.System(sys))
	fmt.Println(square.Call(ctx, 2))
	fmt.Println(sys.Stop(ctx))
	// Output:
	// 4 <nil>
	// <nil>
}

// StopGrace bounds how long Stop waits for a function that ignores its ctx.
func ExampleStopGrace() {
	quiet := actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler))) // Stop would warn
	begun, release := make(chan bool), make(chan bool)
	stubborn := task.MustNew(func(context.Context, int) (int, error) {
		close(begun)
		<-release
		return 0, nil
	}, task.StopGrace(time.Millisecond), task.System(quiet))
	f := stubborn.Submit(context.Background(), 1)
	<-begun
	fmt.Println("abandoned:", stubborn.Stop().Abandoned)
	_, err := f.Result()
	fmt.Println(errors.Is(err, task.ErrStopped))
	close(release)
	// Output:
	// abandoned: 1
	// true
}

// Idempotent says that a call may be run again when its executor is lost.
func ExampleIdempotent() {
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.Idempotent())
	defer square.Stop()
	fmt.Println(square.Call(context.Background(), 3))
	// Output: 9 <nil>
}
