package task

import (
	"context"
)

// MapSlice runs every element of in and returns the results in order. The
// first failure in time cancels the rest and is returned at once, also while
// functions that do not look at their ctx still run; so is context.Cause(ctx)
// when ctx ends, and [ErrStopped] when the task stops. in is not read after
// that, and nothing is started.
//
// Quick elements are run a few in a row by one worker; elements must not wait
// for each other. Of the options, [Window] bounds how many are run at once, and
// [Unordered] changes nothing.
func (t *Task[In, Out]) MapSlice(ctx context.Context, in []In, opts ...MapOption) ([]Out, error) {
	m, err := newMapping(opts)
	switch {
	case err != nil:
		return nil, err
	case ctx == nil:
		return nil, errNilContext
	case t.err != nil:
		return nil, t.err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case len(in) == 0:
		return []Out{}, nil
	case t.bulky() && !m.watched():
		return t.sweep(ctx, in, m.window)
	}
	return t.mapEach(ctx, in, m)
}

// mapEach is MapSlice with one call for each element.
func (t *Task[In, Out]) mapEach(ctx context.Context, in []In, m mapping) (out []Out, err error) {
	window := t.window(m)
	report := m.reporter(t.Name(), len(in), t.set.system.Log())
	defer func() { report.finish(err) }()
	ctx, cancel := context.WithCancelCause(ctx)
	live := newArrivals[Out]()
	defer func() {
		cancel(err)
		live.close()
		live.cancel() // so that nothing begins from here on
	}()
	out = make([]Out, len(in))
	for next, finished := 0, 0; finished < len(in); finished++ {
		for ; next < len(in) && next-finished < window; next++ {
			live.add(next, t.Submit(ctx, in[next]))
		}
		i, f := live.wait(ctx)
		if f == nil {
			return nil, context.Cause(ctx)
		}
		out[i], err, _ = f.Poll()
		report.item(err)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
