package task_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestBreakCancelsWhatWasReadAhead(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			var begun, ended, read atomic.Int64
			p := task.MustNew(func(ctx context.Context, x int) (int, error) {
				begun.Add(1)
				if x == 0 || kind == "inline" {
					return x, nil
				}
				<-ctx.Done()
				ended.Add(1)
				return 0, ctx.Err()
			}, opts...)
			for v, err := range p.Map(t.Context(), endless(&read), mo...) {
				equal(t, "first", v, 0)
				equal(t, "first", err, nil)
				synctest.Wait()
				break
			}
			was := begun.Load()
			synctest.Wait()
			equal(t, "begun after break", begun.Load(), was)
			equal(t, "Busy", p.Stats().Busy, 0)
			if kind != "inline" {
				equal(t, "functions that saw their ctx end", ended.Load(), was-1)
			}
			v, err := p.Call(t.Context(), 0)
			equal(t, "a later call", v, 0)
			equal(t, "a later call", err, nil)
			p.Stop()
		}
	})
}

func TestBreakDoesNotWaitForFunctionsThatIgnoreTheirCtx(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				return 0, nil
			}
			return g.ignore(ctx, x)
		}, task.Workers(3), task.System(sys))
		for range p.Map(t.Context(), upTo(100)) {
			break
		}
		synctest.Wait()
		ran := len(g.ran())
		if ran > 3 {
			t.Errorf("%d functions run, want at most one for each worker", ran)
		}
		close(g.open)
		synctest.Wait()
		equal(t, "begun after break", len(g.ran()), 0)
		p.Stop()
	})
}

func TestPanicOfTheLoopBodyCancelsWhatWasReadAhead(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				return 0, nil
			}
			return g.pass(ctx, x)
		}, task.Workers(3), task.System(sys))
		func() {
			defer func() { equal(t, "recovered", recover(), any("body")) }()
			for range p.Map(t.Context(), upTo(100)) {
				panic("body")
			}
		}()
		synctest.Wait()
		equal(t, "Busy", p.Stats().Busy, 0)
		p.Stop()
	})
}

func TestPanicOfTheInputCancelsWhatWasReadAhead(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		g := newGate()
		if kind == "inline" {
			close(g.open)
		}
		p := task.MustNew(g.pass, opts...)
		func() {
			defer func() { equal(t, "recovered", recover(), any("input")) }()
			for range p.Map(t.Context(), func(yield func(int) bool) {
				for i := range 3 {
					yield(i)
				}
				panic("input")
			}) {
				continue
			}
		}()
		synctest.Wait()
		equal(t, "Busy", p.Stats().Busy, 0)
		p.Stop()
	})
}

func TestEndOfCtxIsYieldedLastWithItsCause(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			var begun, ended atomic.Int64
			p := task.MustNew(func(ctx context.Context, x int) (int, error) {
				begun.Add(1)
				defer ended.Add(1)
				if x < 2 {
					return x, nil
				}
				<-ctx.Done()
				return 0, errBoom
			}, opts...)
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(errCause) })
			vs, errs := outcomes(p.Map(ctx, upTo(100), mo...))
			if mo != nil && len(vs) == 3 { // those that were quick have no order
				slices.Sort(vs[:2])
			}
			equalSlices(t, "values", vs, []int{0, 1, 0})
			is(t, "last", errs[2], errCause)
			synctest.Wait() // one may have been on its way into the function
			was := begun.Load()
			time.Sleep(time.Minute)
			equal(t, "begun after the end", begun.Load(), was)
			equal(t, "functions that saw their ctx end", ended.Load(), was)
			p.Stop()
		}
	})
}

func TestMapReturnsAtTheEndOfCtxAlsoWhileFunctionsIgnoreIt(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		if kind == "inline" {
			return
		}
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			g := newGate()
			p := task.MustNew(g.ignore, opts...)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
			start := time.Now()
			vs, errs := outcomes(p.Map(ctx, upTo(100), mo...))
			equal(t, "took", time.Since(start), time.Second)
			equal(t, "items", len(vs), 1)
			is(t, "last", errs[0], errCause)
			cancel()
			close(g.open)
			p.Stop()
		}
	})
}

func TestMapUnderACtxThatHasEndedReadsNothing(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errCause)
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			var read atomic.Int64
			_, errs := outcomes(p.Map(ctx, endless(&read), mo...))
			equal(t, "items", len(errs), 1)
			is(t, "last", errs[0], errCause)
			equal(t, "read", read.Load(), 0)
		}
		p.Stop()
	})
}

func TestEndOfCtxAfterTheLastResultIsNotYielded(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		defer p.Stop()
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			ctx, cancel := context.WithCancel(t.Context())
			n := 0
			for _, err := range p.Map(ctx, upTo(10), mo...) {
				equal(t, "error", err, nil)
				if n++; n == 10 {
					cancel()
				}
			}
			equal(t, "items", n, 10)
			cancel()
		}
	})
}

func TestBodyThatEndsCtxMayLeaveOrGoOn(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(sq, opts...)
		defer p.Stop()
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			ctx, cancel := context.WithCancelCause(t.Context())
			for range p.Map(ctx, upTo(100), mo...) {
				cancel(errCause)
				break // an item more would panic
			}
			equal(t, "cause", context.Cause(ctx), errCause)
			ctx, cancel = context.WithCancelCause(t.Context())
			defer cancel(nil)
			var last error
			n := 0
			for _, err := range p.Map(ctx, upTo(100), mo...) {
				cancel(errCause)
				last = err
				n++
			}
			equal(t, "items", n, 2)
			is(t, "last", last, errCause)
		}
	})
}
