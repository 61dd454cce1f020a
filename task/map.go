package task

import (
	"context"
	"iter"
)

const leastWindow = 16

// Map yields the result of every input, lazily and in the order of the inputs:
// it reads at most [Window] inputs ahead. A failing item is yielded in its
// place and the iteration goes on. Leaving the loop, or the end of ctx, cancels
// what was read ahead; in the second case context.Cause(ctx) is yielded last.
//
// The inputs are read, and the results yielded, on the caller's goroutine. The
// iterator can be used more than once if in can.
func (t *Task[In, Out]) Map(ctx context.Context, in iter.Seq[In], opts ...MapOption) iter.Seq2[Out, error] {
	m, err := newMapping(opts)
	switch {
	case err != nil:
	case ctx == nil:
		err = errNilContext
	case in == nil:
		err = errNilSeq
	}
	return func(yield func(Out, error) bool) {
		if err != nil {
			var zero Out
			yield(zero, err)
			return
		}
		t.mapAll(ctx, in, m, yield)
	}
}

// mapAll runs one iteration.
func (t *Task[In, Out]) mapAll(ctx context.Context, in iter.Seq[In], m mapping, yield func(Out, error) bool) {
	window := m.window
	if window == 0 {
		window = max(leastWindow, 2*t.core.pool.Size())
	}
	report := m.reporter(t.Name(), m.total)
	var last error
	defer func() { report.finish(last) }()
	visit := func(v Out, err error) bool {
		report.item(err)
		return yield(v, err)
	}
	switch {
	case m.unordered:
		last = t.mapUnordered(ctx, in, window, visit)
	case t.chunkable():
		last = t.mapChunks(ctx, in, window, visit)
	default:
		last = t.mapFutures(ctx, in, window, visit)
	}
	if ctx.Err() != nil && last != nil {
		var zero Out
		yield(zero, last)
	}
}

// chunkable reports whether several calls can travel as one: nothing treats
// them one by one.
func (t *Task[In, Out]) chunkable() bool {
	s := &t.set
	return t.err == nil && t.spec.Plain && !s.onDemand && s.queue == 0 && s.policy == nil
}

// mapFutures is the ordered Map, one call for each item. It returns the cause
// if ctx ended.
func (t *Task[In, Out]) mapFutures(ctx context.Context, in iter.Seq[In], window int, yield func(Out, error) bool) error {
	ring := make([]*Future[Out], 0, window)
	defer func() { cancelAll(ring) }()
	next := func() (more bool) {
		v, err := ring[0].Await(ctx)
		if ctx.Err() != nil {
			return false
		}
		ring = append(ring[:0], ring[1:]...)
		return yield(v, err)
	}
	for x := range in {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		ring = append(ring, t.Submit(ctx, x))
		for full := len(ring) == window; len(ring) > 0; full = false {
			if _, _, done := ring[0].Poll(); !done && !full {
				break
			}
			if !next() {
				return context.Cause(ctx)
			}
		}
	}
	for len(ring) > 0 {
		if !next() {
			break
		}
	}
	return context.Cause(ctx)
}

func cancelAll[T any](fs []*Future[T]) {
	for _, f := range fs {
		f.Cancel()
	}
}

// mapUnordered yields results as they finish. It returns the cause if ctx ended.
func (t *Task[In, Out]) mapUnordered(ctx context.Context, in iter.Seq[In], window int, yield func(Out, error) bool) error {
	live := make(map[*Future[Out]]struct{}, window)
	done := make(chan *Future[Out], window) // room for all: completing never blocks
	defer func() {
		for f := range live {
			f.Cancel()
		}
	}()
	take := func(f *Future[Out]) bool {
		delete(live, f)
		v, err, _ := f.Poll()
		return ctx.Err() == nil && yield(v, err)
	}
	wait := func() bool {
		select {
		case f := <-done:
			return take(f)
		case <-ctx.Done():
			return false
		}
	}
	for x := range in {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f := t.Submit(ctx, x)
		live[f] = struct{}{}
		t.notify(ctx, f, done)
		for full := len(live) == window; full || len(done) > 0; full = false {
			if !wait() {
				return context.Cause(ctx)
			}
		}
	}
	for len(live) > 0 {
		if !wait() {
			break
		}
	}
	return context.Cause(ctx)
}

// notify sends f to done when it is, and lets the pool know that it is awaited.
func (t *Task[In, Out]) notify(ctx context.Context, f *Future[Out], done chan<- *Future[Out]) {
	f.OnDone(func(Out, error) { done <- f })
	assist(ctx, f)
}
