package task

import (
	"context"
	"fmt"
	"iter"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/cell"
)

// Gather waits for all futures and returns their values in order. At the first
// failure, or when ctx ends, it returns that error at once; the other calls run
// on. The same future may be given twice.
func Gather[T any](ctx context.Context, fs ...*Future[T]) ([]T, error) {
	if err := checkAll(ctx, fs); err != nil {
		return nil, err
	}
	values := make([]T, len(fs))
	for i, r := range completions(ctx, fs) {
		if r.Err != nil {
			return nil, r.Err
		}
		values[i] = r.Value
	}
	return values, nil
}

// GatherMap is [Gather] for a map of futures.
func GatherMap[K comparable, T any](ctx context.Context, fs map[K]*Future[T]) (map[K]T, error) {
	keys := make([]K, 0, len(fs))
	list := make([]*Future[T], 0, len(fs))
	for k, f := range fs {
		keys = append(keys, k)
		list = append(list, f)
	}
	values, err := Gather(ctx, list...)
	if err != nil {
		return nil, err
	}
	m := make(map[K]T, len(fs))
	for i, k := range keys {
		m[k] = values[i]
	}
	return m, nil
}

// Settle waits for all futures and returns their outcomes in order, failures in
// place. When ctx ends, the unfinished ones hold context.Cause(ctx), which is
// also the error.
func Settle[T any](ctx context.Context, fs ...*Future[T]) ([]Result[T], error) {
	if err := checkAll(ctx, fs); err != nil {
		return nil, err
	}
	results := make([]Result[T], len(fs))
	var ended error
	for i, f := range fs {
		v, err := f.Await(ctx)
		if err != nil {
			if _, own, done := f.Poll(); !done {
				ended = err
			} else {
				err = own
			}
		}
		results[i] = Result[T]{Value: v, Err: err}
	}
	return results, ended
}

// AsCompleted yields the index and outcome of each future as they finish. When
// ctx ends, it yields context.Cause(ctx) for each unfinished one. The calls run
// on if the loop is left.
func AsCompleted[T any](ctx context.Context, fs ...*Future[T]) iter.Seq2[int, Result[T]] {
	return func(yield func(int, Result[T]) bool) {
		if err := checkAll(ctx, fs); err != nil {
			for i := range fs {
				if !yield(i, Result[T]{Err: err}) {
					return
				}
			}
			return
		}
		completions(ctx, fs)(yield)
	}
}

// WaitMode says how long [Wait] waits.
type WaitMode int

// The modes of Wait.
const (
	WaitAll        WaitMode = iota // until all are done
	WaitAny                        // until one is done
	WaitFirstError                 // until one has failed, or all are done
)

// String returns the name of the mode.
func (m WaitMode) String() string {
	switch m {
	case WaitAll:
		return "WaitAll"
	case WaitAny:
		return "WaitAny"
	case WaitFirstError:
		return "WaitFirstError"
	}
	return fmt.Sprintf("WaitMode(%d)", int(m))
}

// Wait waits as m says and returns the futures that are done then and those
// that are not, each in order. When ctx ends first, err is context.Cause(ctx);
// failures of the calls are not errors of Wait.
func Wait[T any](ctx context.Context, m WaitMode, fs ...*Future[T]) (done, pending []*Future[T], err error) {
	if m < WaitAll || m > WaitFirstError {
		return nil, fs, fmt.Errorf("task: Wait: unknown mode %v", m)
	}
	if err := checkAll(ctx, fs); err != nil {
		return nil, fs, err
	}
	for i, r := range completions(ctx, fs) {
		if _, _, finished := fs[i].Poll(); !finished {
			err = r.Err
			break
		}
		if m == WaitAny || m == WaitFirstError && r.Err != nil {
			break
		}
	}
	for _, f := range fs {
		if _, _, finished := f.Poll(); finished {
			done = append(done, f)
		} else {
			pending = append(pending, f)
		}
	}
	return done, pending, err
}

func checkAll[T any](ctx context.Context, fs []*Future[T]) error {
	if ctx == nil {
		return errNilContext
	}
	for i, f := range fs {
		if f == nil {
			return fmt.Errorf("%w at index %d", errNilFuture, i)
		}
	}
	return nil
}

// completions yields each future when it is done; when ctx ends, it yields the
// cause for those that are not. Futures that are done already come first.
func completions[T any](ctx context.Context, fs []*Future[T]) iter.Seq2[int, Result[T]] {
	return func(yield func(int, Result[T]) bool) {
		open := make([]int, 0, len(fs))
		for i, f := range fs {
			if v, err, done := f.Poll(); !done {
				open = append(open, i)
			} else if !yield(i, Result[T]{Value: v, Err: err}) {
				return
			}
		}
		if len(open) > 0 {
			await(ctx, fs, open, yield)
		}
	}
}

// await is completions for the futures at the indexes in open.
func await[T any](ctx context.Context, fs []*Future[T], open []int, yield func(int, Result[T]) bool) {
	events := make(chan int, len(open)) // room for all: completing never blocks
	watchers := make([]*cell.Watcher, len(open))
	defer func() {
		for _, w := range watchers {
			w.Remove()
		}
	}()
	for n, i := range open {
		c, _ := actor.CellOf(fs[i])
		watchers[n] = c.Watch(func() { events <- i })
		c.Assist(ctx)
	}
	seen := make(map[int]bool, len(open))
	for range open {
		select {
		case i := <-events:
			seen[i] = true
			v, err, _ := fs[i].Poll()
			if !yield(i, Result[T]{Value: v, Err: err}) {
				return
			}
		case <-ctx.Done():
			leftovers(ctx, fs, open, seen, yield)
			return
		}
	}
}

// leftovers yields, after the end of ctx, those of open that were not seen:
// their outcome if it is there, else the cause.
func leftovers[T any](ctx context.Context, fs []*Future[T], open []int, seen map[int]bool, yield func(int, Result[T]) bool) {
	for _, i := range open {
		if seen[i] {
			continue
		}
		v, err, done := fs[i].Poll()
		if !done {
			err = context.Cause(ctx)
		}
		if !yield(i, Result[T]{Value: v, Err: err}) {
			return
		}
	}
}
