package task_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func ExampleGather() {
	ctx := context.Background()
	upper := task.MustNew(task.Func(strings.ToUpper), task.Workers(2))
	defer upper.Stop()

	words, err := task.Gather(ctx, upper.Submit(ctx, "fan"), upper.Submit(ctx, "out"))
	fmt.Println(words, err)
	// Output: [FAN OUT] <nil>
}

func ExampleGatherMap() {
	ctx := context.Background()
	length := task.MustNew(task.Func(func(s string) int { return len(s) }))
	defer length.Stop()

	calls := map[string]*task.Future[int]{}
	for _, word := range []string{"a", "task", "of", "its", "own"} {
		calls[word] = length.Submit(ctx, word)
	}
	lengths, err := task.GatherMap(ctx, calls)
	fmt.Println(lengths, err)
	// Output: map[a:1 its:3 of:2 own:3 task:4] <nil>
}

// Settle is Gather for those who want the failures too.
func ExampleSettle() {
	ctx := context.Background()
	half := task.MustNew(func(_ context.Context, x int) (int, error) {
		if x%2 != 0 {
			return 0, errors.New("odd")
		}
		return x / 2, nil
	})
	defer half.Stop()

	results, err := task.Settle(ctx, half.Submit(ctx, 8), half.Submit(ctx, 7))
	for _, r := range results {
		fmt.Println(r.Value, r.Err)
	}
	fmt.Println(err)
	// Output:
	// 4 <nil>
	// 0 odd
	// <nil>
}

func ExampleAsCompleted() {
	first, complete := actor.NewFuture[string]() // a reply that others give
	second := actor.Completed("at once", nil)
	for i, r := range task.AsCompleted(context.Background(), first, second) {
		fmt.Println(i, r.Value, r.Err)
		complete("later", nil)
	}
	// Output:
	// 1 at once <nil>
	// 0 later <nil>
}

func ExampleWait() {
	open, _ := actor.NewFuture[int]()
	done, pending, err := task.Wait(context.Background(), task.WaitAny, open, actor.Completed(1, nil))
	fmt.Println(len(done), "done,", len(pending), "pending,", err)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done, pending, err = task.Wait(ctx, task.WaitAll, open, actor.Completed(1, nil))
	fmt.Println(len(done), "done,", len(pending), "pending,", err)
	// Output:
	// 1 done, 1 pending, <nil>
	// 1 done, 1 pending, context canceled
}

// Then goes on with a value when that is there, without a goroutine that waits.
func ExampleThen() {
	ctx := context.Background()
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil })
	defer square.Stop()

	text := task.Then(square.Submit(ctx, 9), func(_ context.Context, x int) (string, error) {
		return fmt.Sprint("nine squared is ", x), nil
	})
	fmt.Println(text.Await(ctx))
	// Output: nine squared is 81 <nil>
}
