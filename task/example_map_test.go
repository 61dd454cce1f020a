package task_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/troupe-go/troupe/task"
)

// Map is a loop whose body runs on all workers. Results come in order, and a
// failure does not end it.
func ExampleTask_Map() {
	parse := task.MustNew(task.FuncErr(strconv.Atoi), task.Workers(4))
	defer parse.Stop()

	words := slices.Values([]string{"1", "two", "3"})
	for n, err := range parse.Map(context.Background(), words) {
		fmt.Println(n, err)
	}
	// Output:
	// 1 <nil>
	// 0 strconv.Atoi: parsing "two": invalid syntax
	// 3 <nil>
}

// The input may be endless: Map reads only a little ahead of the loop.
func ExampleTask_Map_endless() {
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil })
	defer square.Stop()

	numbers := func(yield func(int) bool) {
		for x := 1; yield(x); x++ {
		}
	}
	for v, err := range square.Map(context.Background(), numbers) {
		if err != nil || v > 100 {
			break // what was read ahead is cancelled
		}
		fmt.Print(v, " ")
	}
	// Output: 1 4 9 16 25 36 49 64 81 100
}

// MapSlice is for a slice whose results are wanted all or not at all.
func ExampleTask_MapSlice() {
	ctx := context.Background()
	parse := task.MustNew(task.FuncErr(strconv.Atoi), task.Workers(4))
	defer parse.Stop()

	fmt.Println(parse.MapSlice(ctx, []string{"1", "2", "3"}))
	fmt.Println(parse.MapSlice(ctx, []string{"1", "two", "3"}))
	// Output:
	// [1 2 3] <nil>
	// [] strconv.Atoi: parsing "two": invalid syntax
}

// Unordered yields what is ready first, so that a slow item holds up no other.
func ExampleUnordered() {
	quick := make(chan bool)
	run := task.MustNew(func(_ context.Context, name string) (string, error) {
		if name == "slow" {
			<-quick // until the other is done
		}
		return name, nil
	}, task.Workers(2))
	defer run.Stop()

	for name := range run.Map(context.Background(), slices.Values([]string{"slow", "quick"}), task.Unordered()) {
		fmt.Println(name)
		if name == "quick" {
			close(quick)
		}
	}
	// Output:
	// quick
	// slow
}

// Window says how far Map may read ahead.
func ExampleWindow() {
	echo := task.MustNew(task.Func(func(x int) int { return x }))
	defer echo.Stop()

	numbers := func(yield func(int) bool) {
		for x := range 3 {
			fmt.Println("read", x)
			if !yield(x) {
				return
			}
		}
	}
	for v := range echo.Map(context.Background(), numbers, task.Window(1)) {
		fmt.Println("got", v)
	}
	// Output:
	// read 0
	// got 0
	// read 1
	// got 1
	// read 2
	// got 2
}

// OnProgress is for those who show progress in their own way.
func ExampleOnProgress() {
	check := task.MustNew(func(_ context.Context, x int) (int, error) {
		if x == 2 {
			return 0, errors.New("two")
		}
		return x, nil
	})
	defer check.Stop()

	show := task.OnProgress(func(p task.ProgressInfo) {
		fmt.Printf("%s: %d of %d, %d failed\n", p.Title, p.Done, p.Total, p.Failed)
	})
	for range check.Map(context.Background(), slices.Values([]int{1, 2, 3}), show, task.Progress("numbers"), task.Total(3)) {
		continue
	}
	// Output:
	// numbers: 1 of 3, 0 failed
	// numbers: 2 of 3, 1 failed
	// numbers: 3 of 3, 1 failed
}

// Progress shows a bar on a terminal, and lines elsewhere, on standard error.
func ExampleProgress() {
	square := task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil })
	defer square.Stop()
	squares, err := square.MapSlice(context.Background(), []int{1, 2, 3}, task.Progress("squares"))
	fmt.Println(squares, err)
	// Output: [1 4 9] <nil>
}
