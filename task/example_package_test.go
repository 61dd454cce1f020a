package task_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/troupe-go/troupe/task"
)

var square = task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.Workers(4))

// The smallest whole program.
func Example() {
	ctx := context.Background()
	defer square.Stop()
	for v, err := range square.Map(ctx, slices.Values([]int{1, 2, 3})) {
		fmt.Println(v, err)
	}
	// Output:
	// 1 <nil>
	// 4 <nil>
	// 9 <nil>
}
