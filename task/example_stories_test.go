package task_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/troupe-go/troupe/task"
)

// Fan out and gather: a request needs several answers at once, each within its
// time, and can do without some of them.
func Example_fanOutAndGather() {
	lookup := task.MustNew(func(ctx context.Context, source string) (string, error) {
		switch source {
		case "cache":
			return "", errors.New("not in the cache")
		case "far away":
			<-ctx.Done() // it does not answer
			return "", ctx.Err()
		}
		return "answer of the " + source, nil
	}, task.Workers(8), task.Timeout(10*time.Millisecond))
	defer lookup.Stop()

	ask := func(ctx context.Context) {
		sources := []string{"database", "cache", "far away", "index"}
		var calls []*task.Future[string]
		for _, s := range sources {
			calls = append(calls, lookup.Submit(ctx, s))
		}
		results, err := task.Settle(ctx, calls...)
		if err != nil {
			fmt.Println(err)
			return
		}
		for i, r := range results {
			if r.Err != nil {
				fmt.Printf("%s: %v\n", sources[i], r.Err)
			} else {
				fmt.Printf("%s: %s\n", sources[i], r.Value)
			}
		}
	}
	ask(context.Background())
	// Output:
	// database: answer of the database
	// cache: not in the cache
	// far away: task: attempt not finished within 10ms (Timeout)
	// index: answer of the index
}

// Shut down cleanly: refuse what is new, finish what was accepted, give up when
// time is over.
func Example_shutDownCleanly() {
	var mu sync.Mutex
	var sent []string
	send := task.MustNew(func(_ context.Context, mail string) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, mail)
		return true, nil
	}, task.Workers(2))

	var calls []*task.Future[bool]
	for _, mail := range []string{"one", "two", "three"} {
		calls = append(calls, send.Submit(context.Background(), mail)) // nobody has to wait for it
	}

	// On SIGTERM:
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := send.Drain(ctx); err != nil {
		fmt.Println("not all was sent:", err)
	}
	fmt.Println(len(sent), "sent")
	for _, c := range calls {
		fmt.Println(c.Result())
	}
	_, err := send.Call(ctx, "four")
	fmt.Println(errors.Is(err, task.ErrStopped))
	// Output:
	// 3 sent
	// true <nil>
	// true <nil>
	// true <nil>
	// true
}

// A pipeline of lazy loops: each stage has a pool of its own, and no stage runs
// far ahead of the next.
func Example_pipeline() {
	ctx := context.Background()
	fetch := task.MustNew(func(_ context.Context, name string) (string, error) { return name + " " + name, nil }, task.Workers(4))
	count := task.MustNew(task.Func(func(text string) int { return len(strings.Fields(text)) }), task.Workers(2))
	defer fetch.Stop()
	defer count.Stop()

	names := func(yield func(string) bool) {
		for _, n := range []string{"a", "b c", "d e f"} {
			if !yield(n) {
				return
			}
		}
	}
	texts := func(yield func(string) bool) {
		for text, err := range fetch.Map(ctx, names) {
			if err == nil && !yield(text) {
				return
			}
		}
	}
	for n, err := range count.Map(ctx, texts) {
		fmt.Println(n, err)
	}
	// Output:
	// 2 <nil>
	// 4 <nil>
	// 6 <nil>
}
