package task

import (
	"context"
	"iter"
)

// How many inputs are read ahead at least, and where calls run elsewhere.
const (
	leastWindow = 16
	farWindow   = 256
)

// Map yields the result of every input, lazily and in the order of the inputs:
// it reads at most [Window] inputs ahead of what it has yielded. A failing item
// is yielded in its place and the iteration goes on. Leaving the loop, or the
// end of ctx, cancels what was read ahead: functions see their ctx end, and
// what has not begun is never run. In the second case context.Cause(ctx) is
// yielded last, unless all results were.
//
// The inputs are read, and the results yielded, on the caller's goroutine. So
// while in blocks, what was read runs, but nothing is yielded; and if ctx ends
// meanwhile, Map ends when in returns. An item may also be run on that
// goroutine, if the function is quick and ctx has no end. Quick items may be
// run a few in a row by one worker; items must not wait for each other.
//
// The iterator can be used more than once if in can. It may be used inside of
// a function of the same task, with the ctx that the function was given. After
// Stop, every further input yields [ErrStopped].
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
	report := m.reporter(t.Name(), m.total, t.set.system.Log())
	visit := yield
	if report != nil {
		visit = func(v Out, err error) bool {
			report.item(err)
			return yield(v, err)
		}
	}
	var cut error // why the iteration ended early, if the loop did not leave it
	defer func() { report.finish(cut) }()
	switch window := t.window(m); {
	case ctx.Err() != nil:
		cut = context.Cause(ctx)
	case m.unordered:
		cut = t.mapUnordered(ctx, in, window, visit)
	case t.bulky():
		cut = t.mapBelt(ctx, in, window, visit)
	default:
		cut = t.mapFutures(ctx, in, window, visit)
	}
	if cut != nil {
		var zero Out
		yield(zero, cut)
	}
}

// window is how many inputs may be read ahead.
func (t *Task[In, Out]) window(m mapping) int {
	if m.window > 0 {
		return m.window
	}
	size := t.core.pool.Size()
	if size == 0 && t.core.site != nil {
		return farWindow // how many places there are, and will be, is not known
	}
	return max(leastWindow, 2*size)
}

// bulky reports whether several calls can be run as one: nothing treats them
// one by one, and they run here.
func (t *Task[In, Out]) bulky() bool {
	s := &t.set
	return t.err == nil && t.spec.Plain && t.core.site == nil && !s.onDemand && s.queue == 0 && s.policy == nil && s.until == nil
}

// mapFutures is the ordered Map with one call for each item. It returns the
// cause if ctx ended.
func (t *Task[In, Out]) mapFutures(ctx context.Context, in iter.Seq[In], window int, yield func(Out, error) bool) error {
	var line []*Future[Out] // submitted and not yielded
	var cut error
	defer func() {
		for _, f := range line {
			f.Cancel()
		}
	}()
	next := func() (more bool) {
		v, err := line[0].Await(ctx)
		if ctx.Err() != nil {
			cut = context.Cause(ctx)
			return false
		}
		line[0] = nil
		line = line[1:]
		return yield(v, err)
	}
	for x := range in {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line = append(line, t.Submit(ctx, x))
		for len(line) >= window || len(line) > 0 && cellOf(line[0]).IsDone() {
			if !next() {
				return cut
			}
		}
	}
	for len(line) > 0 && next() {
	}
	return cut
}

// mapUnordered yields results as they finish, one call for each item. It
// returns the cause if ctx ended.
func (t *Task[In, Out]) mapUnordered(ctx context.Context, in iter.Seq[In], window int, yield func(Out, error) bool) error {
	live, n := newArrivals[Out](), 0
	defer func() {
		live.close()
		live.cancel()
	}()
	for x := range in {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		live.add(0, t.Submit(ctx, x))
		n++
		for {
			_, f := live.poll()
			if f == nil && n >= window {
				_, f = live.wait(ctx)
			}
			if f == nil && n < window {
				break
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n--
			if v, err, _ := f.Poll(); !yield(v, err) {
				return nil
			}
		}
	}
	for ; n > 0; n-- {
		_, f := live.wait(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if v, err, _ := f.Poll(); !yield(v, err) {
			return nil
		}
	}
	return nil
}
