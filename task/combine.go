package task

import (
	"context"
	"fmt"
	"iter"
)

// Gather waits for all futures and returns their values in order. At the first
// failure, or when ctx ends, it returns that error, or context.Cause(ctx), at
// once; the other calls run on. Of failures that are there already, the first
// in order counts. The same future may be given twice.
func Gather[T any](ctx context.Context, fs ...*Future[T]) ([]T, error) {
	if err := checkAll(ctx, fs); err != nil {
		return nil, err
	}
	values := make([]T, len(fs))
	for i, done := range finishing(ctx, fs) {
		if !done {
			return nil, context.Cause(ctx)
		}
		v, err, _ := fs[i].Poll()
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

// GatherMap is [Gather] for a map of futures.
func GatherMap[K comparable, T any](ctx context.Context, fs map[K]*Future[T]) (map[K]T, error) {
	keys := make([]K, 0, len(fs))
	list := make([]*Future[T], 0, len(fs))
	for k, f := range fs {
		if f == nil {
			return nil, fmt.Errorf("%w at key %v", errNilFuture, k)
		}
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
// also the error; the calls run on.
func Settle[T any](ctx context.Context, fs ...*Future[T]) ([]Result[T], error) {
	if err := checkAll(ctx, fs); err != nil {
		return nil, err
	}
	results := make([]Result[T], len(fs))
	var ended error
	for i, f := range fs {
		_, _ = f.Await(ctx)
		if v, err, done := f.Poll(); done {
			results[i] = Result[T]{Value: v, Err: err}
			continue
		}
		ended = context.Cause(ctx)
		results[i] = Result[T]{Err: ended}
	}
	return results, ended
}

// AsCompleted yields the index and outcome of each future as they finish; those
// that have finished before come first, in order. When ctx ends, it yields
// context.Cause(ctx) for each unfinished one. The calls run on if the loop is
// left. The iterator can be used more than once.
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
		for i, done := range finishing(ctx, fs) {
			r := Result[T]{Err: context.Cause(ctx)}
			if done {
				r.Value, r.Err, _ = fs[i].Poll()
			}
			if !yield(i, r) {
				return
			}
		}
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
	for i, finished := range finishing(ctx, fs) {
		if !finished {
			err = context.Cause(ctx)
			break
		}
		if _, failure, _ := fs[i].Poll(); m == WaitAny || m == WaitFirstError && failure != nil {
			break
		}
	}
	for _, f := range fs {
		if cellOf(f).IsDone() {
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

// finishing yields the index of each future when it is done; those that are
// done already come first. When ctx ends, it yields false beside the index of
// each one that is not.
func finishing[T any](ctx context.Context, fs []*Future[T]) iter.Seq2[int, bool] {
	return func(yield func(int, bool) bool) {
		var open []int
		for i, f := range fs {
			if !cellOf(f).IsDone() {
				open = append(open, i)
			} else if !yield(i, true) {
				return
			}
		}
		if len(open) == 0 {
			return
		}
		live := newArrivals[T]()
		defer live.close()
		for _, i := range open {
			live.add(i, fs[i])
		}
		for range open {
			i, f := live.wait(ctx)
			if f == nil {
				live.rest(yield)
				return
			}
			if !yield(i, true) {
				return
			}
		}
	}
}
