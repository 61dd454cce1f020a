package task_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

// Two tasks share one database, which takes three connections at a time.
func ExampleLimits() {
	db := limits.MustNew(limits.Resource("connection", 3))
	ctx := context.Background()

	read := task.MustNew(func(_ context.Context, id int) (string, error) {
		return fmt.Sprint("row ", id), nil
	}, task.Workers(10), task.Limits(db))
	defer read.Stop()
	count := task.MustNew(func(_ context.Context, table string) (int, error) {
		return len(table), nil
	}, task.Workers(10), task.Limits(db))
	defer count.Stop()

	row := read.Submit(ctx, 7)
	n := count.Submit(ctx, "authors")
	fmt.Println(row.Await(ctx))
	fmt.Println(n.Await(ctx))
	fmt.Println(db.Stats()[0].Granted, "permits granted,", db.Stats()[0].Used, "still held")
	// Output:
	// row 7 <nil>
	// 7 <nil>
	// 2 permits granted, 0 still held
}

// An API has a budget of tokens. Each call is charged an estimate before it
// begins, and then what it has really used.
func ExampleCost() {
	api := limits.MustNew(limits.Calls(500, time.Minute), limits.Rate("tokens", 200_000, time.Minute))
	ctx := context.Background()

	label := task.MustNew(func(ctx context.Context, text string) (string, error) {
		used := 40 // as the answer says
		return "positive", limits.PermitFrom(ctx).Update("tokens", used)
	}, task.Limits(api), task.Cost(func(text string) limits.Request {
		return limits.Request{"tokens": 50 + len(text)}
	}))
	defer label.Stop()

	fmt.Println(label.Call(ctx, "what a day"))
	for _, s := range api.Stats() {
		fmt.Println(s.Key, s.Used)
	}
	// Output:
	// positive <nil>
	// calls 1
	// tokens 40
}

// The other side says when to come back: the keys that the call used are paused
// for all who share them, and the call is tried again.
func ExampleLimits_retryAfter() {
	api := limits.MustNew(limits.Calls(1000, time.Second))
	overrun := true
	fetch := task.MustNew(func(_ context.Context, page int) (string, error) {
		if overrun {
			overrun = false
			return "", task.RetryAfter(errors.New("429 Too Many Requests"), 50*time.Millisecond)
		}
		return fmt.Sprint("page ", page), nil
	}, task.Workers(1), task.Limits(api), task.Retries(task.RetryPolicy{Max: 3}))
	defer fetch.Stop()

	start := time.Now()
	pages, err := fetch.MapSlice(context.Background(), []int{1, 2, 3})
	fmt.Println(pages, err, time.Since(start) >= 50*time.Millisecond)
	// Output: [page 1 page 2 page 3] <nil> true
}

// A function that knows only half-way what it needs takes its permits itself.
func ExampleNewLimited() {
	store := limits.MustNew(limits.Resource("cache", 10), limits.Resource("disk", 1))
	ctx := context.Background()

	read, err := task.NewLimited(func(ctx context.Context, key string, l limits.Limiter) (string, error) {
		cache, err := l.Acquire(ctx, limits.Request{"cache": 1, "disk": 0})
		if err != nil {
			return "", err
		}
		if key == "known" {
			return "from the cache", nil
		}
		cache.Release()
		if _, err = l.Acquire(ctx, limits.Request{"cache": 0, "disk": 1}); err != nil {
			return "", err
		}
		return "", errors.New("disk failed") // what it holds is released for it
	}, task.Limits(store))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer read.Stop()

	fmt.Println(read.Call(ctx, "known"))
	fmt.Println(read.Call(ctx, "unknown"))
	for _, s := range store.Stats() {
		fmt.Println(s.Key, s.Available, "of", s.Capacity)
	}
	// Output:
	// from the cache <nil>
	//  disk failed
	// cache 10 of 10
	// disk 1 of 1
}

func ExampleMustNewLimited() {
	upload := task.MustNewLimited(func(ctx context.Context, bytes int, l limits.Limiter) (string, error) {
		_, err := l.Acquire(ctx, limits.Request{"bytes": bytes})
		return "uploaded", err
	}, task.Limits(limits.MustNew(limits.Rate("bytes", 1<<20, time.Second))))
	defer upload.Stop()

	fmt.Println(upload.Call(context.Background(), 4096))
	_, err := upload.Call(context.Background(), 1<<21)
	var refused *limits.RequestError
	fmt.Println(errors.As(err, &refused), err)
	// Output:
	// uploaded <nil>
	// true limits: key "bytes", amount 2097152: above the capacity of 1048576
}
