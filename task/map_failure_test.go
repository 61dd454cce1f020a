package task_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestFailingItemIsYieldedInItsPlaceAndTheIterationGoesOn(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, kind string) {
		type exit struct{}
		errs := map[int]any{3: errBoom, 7: "panic", 8: fmt.Errorf("wrapped: %w", errBoom), 11: exit{}, 12: exit{}, 40: "panic"}
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			switch e := errs[x].(type) {
			case error:
				return -1, e
			case string:
				panic(e)
			case exit:
				if kind != "inline" { // it would end this goroutine
					runtime.Goexit()
				}
				return 0, task.ErrGoexit
			}
			return x, nil
		}, opts...)
		defer p.Stop()
		i := 0
		for v, err := range p.Map(t.Context(), upTo(60)) {
			what := fmt.Sprint("item ", i)
			switch e := errs[i].(type) {
			case error:
				is(t, what, err, errBoom)
			case string:
				is(t, what, err, task.ErrPanicked)
				equal(t, what, as[*task.PanicError](t, what, err).Value, any("panic"))
			case exit:
				is(t, what, err, task.ErrGoexit)
			case nil:
				equal(t, what, v, i)
				equal(t, what, err, nil)
			default:
				t.Fatal(e)
			}
			i++
		}
		equal(t, "items", i, 60)
		if kind != "inline" {
			s := p.Stats()
			equal(t, "Submitted", s.Submitted, 60)
			equal(t, "Finished", s.Finished, 54)
			equal(t, "Panicked", s.Panicked, 2)
			equal(t, "Failed", s.Failed, 4)
			equal(t, "Cancelled", s.Cancelled, 0)
		}
	})
}

func TestFailingQuickItemsStayInTheirPlaces(t *testing.T) {
	t.Parallel()
	const n = 30_000
	p := task.MustNew(func(_ context.Context, x int) (int, error) {
		switch {
		case x < 0 || x%5 != 0:
			return x, nil
		case x%31 == 0:
			panic(x)
		case x%37 == 0:
			runtime.Goexit()
		case x%11 == 0:
			return 0, errBoom
		}
		return x, nil
	}, task.Workers(3), task.System(newSystem()))
	defer p.Stop()
	warm(t, p)
	var failed, panicked uint64
	i := 0
	for v, err := range p.Map(t.Context(), upTo(n), task.Window(300)) {
		switch {
		case i%5 != 0:
			if v != i || err != nil {
				t.Fatalf("item %d: got %d, %v", i, v, err)
			}
		case i%31 == 0:
			equal(t, "panic value", as[*task.PanicError](t, "item", err).Value, any(i))
			panicked++
		case i%37 == 0:
			is(t, "item", err, task.ErrGoexit)
			failed++
		case i%11 == 0:
			is(t, "item", err, errBoom)
			failed++
		default:
			if v != i || err != nil {
				t.Fatalf("item %d: got %d, %v", i, v, err)
			}
		}
		i++
	}
	equal(t, "items", i, n)
	s := p.Stats()
	equal(t, "Submitted", s.Submitted, n+warmCalls)
	equal(t, "Failed", s.Failed, failed)
	equal(t, "Panicked", s.Panicked, panicked)
	equal(t, "Finished", s.Finished, n+warmCalls-failed-panicked)
}

func TestMarksOfErrorsAreTakenOffInMapToo(t *testing.T) {
	t.Parallel()
	p := task.MustNew(func(_ context.Context, x int) (int, error) {
		if x == 0 {
			return 0, task.Permanent(errBoom)
		}
		return 0, task.RetryAfter(errBoom, time.Hour)
	}, task.Workers(1), task.System(newSystem()))
	defer p.Stop()
	for _, err := range p.Map(t.Context(), upTo(2)) {
		equal(t, "error", err, errBoom)
	}
	_, err := p.MapSlice(t.Context(), []int{1})
	equal(t, "error", err, errBoom)
}

func TestMistakesInACallOfMapAreItsOnlyItem(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq, task.System(newSystem()))
	defer p.Stop()
	ctx, in := t.Context(), upTo(3)
	var noCtx context.Context
	for name, seq := range map[string]iter.Seq2[int, error]{
		"nil context":                    p.Map(noCtx, in),
		"nil iterator":                   p.Map(ctx, nil),
		"Window(0): want at least 1":     p.Map(ctx, in, task.Window(0)),
		"Window(-2): want at least 1":    p.Map(ctx, in, task.Window(-2)),
		"OnProgress(nil)":                p.Map(ctx, in, task.OnProgress(nil)),
		"Total(-1)":                      p.Map(ctx, in, task.Total(-1)),
		"option 2 is nil":                p.Map(ctx, in, task.Unordered(), nil),
		"Window(0): want at least 1\nta": p.Map(ctx, in, task.Window(0), task.OnProgress(nil)),
	} {
		vs, errs := outcomes(seq)
		equal(t, "items", len(vs), 1)
		if errs[0] == nil || !containsText(errs[0], name) {
			t.Errorf("got %v, want an error about %q", errs[0], name)
		}
	}
	if _, err := p.MapSlice(ctx, []int{1}, task.Window(0), nil); !containsText(err, "Window(0)") || !containsText(err, "option 2 is nil") {
		t.Errorf("MapSlice: got %v", err)
	}
	if _, err := p.MapSlice(noCtx, []int{1}); !containsText(err, "nil context") {
		t.Errorf("MapSlice: got %v", err)
	}
}

func containsText(err error, text string) bool {
	return err != nil && len(text) > 0 && strings.Contains(err.Error(), text)
}

func TestWrongSettingOfAViewIsTheErrorOfEveryItem(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq, task.System(newSystem()))
	defer p.Stop()
	view := p.With(task.Timeout(-1))
	_, errs := outcomes(view.Map(t.Context(), upTo(3)))
	equal(t, "items", len(errs), 3)
	for _, err := range errs {
		if !containsText(err, "Timeout(-1ns)") {
			t.Errorf("got %v, want an error about Timeout", err)
		}
	}
	if _, err := view.MapSlice(t.Context(), []int{1, 2}); !containsText(err, "Timeout(-1ns)") {
		t.Errorf("MapSlice: got %v, want an error about Timeout", err)
	}
}

func TestSettingsOfAViewApplyToItsMap(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			select {
			case <-time.After(time.Duration(x) * time.Second):
				return x, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}, task.Workers(2), task.System(sys))
		defer p.Stop()
		odd := func(x int) error {
			if x%2 == 0 {
				return errBoom
			}
			return nil
		}
		_, errs := outcomes(p.With(task.Timeout(2*time.Second+1)).Map(t.Context(), upTo(4)))
		equal(t, "item 2", errs[2], nil)
		is(t, "item 3", errs[3], context.DeadlineExceeded)
		_, errs = outcomes(p.With(task.Until(odd)).Map(t.Context(), upTo(4)))
		is(t, "item 0", errs[0], errBoom)
		equal(t, "item 1", errs[1], nil)
		is(t, "item 2", errs[2], errBoom)
		equal(t, "item 3", errs[3], nil)
		_, err := p.With(task.Until(odd)).MapSlice(t.Context(), []int{1, 3, 2})
		is(t, "MapSlice", err, errBoom)
	})
}
