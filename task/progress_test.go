package task_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// fails fails for multiples of three.
func fails(_ context.Context, x int) (int, error) {
	if x%3 == 0 {
		return 0, errBoom
	}
	return x, nil
}

func TestOnProgressCountsEveryItem(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, opts []task.Option, _ string) {
		p := task.MustNew(fails, opts...)
		for _, mo := range [][]task.MapOption{nil, {task.Unordered()}} {
			var seen []task.ProgressInfo
			items := 0
			mo = append(mo, task.OnProgress(func(i task.ProgressInfo) { seen = append(seen, i) }))
			for range p.Map(t.Context(), upTo(100), mo...) {
				items++
				equal(t, "calls so far", len(seen), items) // before its result is yielded
			}
			equal(t, "calls", len(seen), 100)
			failed := 0
			for i, s := range seen {
				equal(t, "Done", s.Done, i+1)
				if s.Failed < failed || s.Failed > failed+1 {
					t.Errorf("Failed goes from %d to %d", failed, s.Failed)
				}
				failed = s.Failed
				equal(t, "Title", s.Title, p.Name())
				equal(t, "Total", s.Total, -1)
			}
			equal(t, "Failed", failed, 34)
		}
		p.Stop()
	})
}

func TestTotalIsKnownIfItIsSaid(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq, task.System(newSystem()))
	defer p.Stop()
	var got []int
	note := task.OnProgress(func(i task.ProgressInfo) { got = append(got, i.Total) })
	_, _ = outcomes(p.Map(t.Context(), upTo(2), note))
	_, _ = outcomes(p.Map(t.Context(), upTo(1), note, task.Total(7)))
	_, _ = outcomes(p.Map(t.Context(), upTo(1), note, task.Total(0)))
	_, err := p.MapSlice(t.Context(), []int{1, 2, 3}, note)
	equal(t, "error", err, nil)
	equalSlices(t, "Total", got, []int{-1, -1, 7, 0, 3, 3, 3})
}

func TestOnProgressOfMapSliceCountsUpToTheFailure(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			time.Sleep(time.Duration(x) * time.Second)
			if x == 4 {
				return 0, errBoom
			}
			return x, nil
		}, task.Workers(10), task.System(sys))
		var seen []task.ProgressInfo
		_, err := p.MapSlice(t.Context(), []int{5, 4, 3, 2, 1}, task.OnProgress(func(i task.ProgressInfo) { seen = append(seen, i) }))
		is(t, "error", err, errBoom)
		var got []string
		for _, s := range seen {
			got = append(got, fmt.Sprint(s.Done, s.Failed, s.Total, s.Elapsed))
		}
		equalSlices(t, "seen", got, []string{"1 0 5 1s", "2 0 5 2s", "3 0 5 3s", "4 1 5 4s"})
		p.Stop()
	})
}

func TestPanicInOnProgressIsContainedAndLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	sys := actor.NewSystem(actor.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	p := task.MustNew(sq, task.System(sys))
	defer p.Stop()
	calls := 0
	vs, _ := outcomes(p.Map(t.Context(), upTo(5), task.OnProgress(func(task.ProgressInfo) { calls++; panic("in OnProgress") })))
	equalSlices(t, "values", vs, squares(5))
	equal(t, "calls", calls, 5)
	if !strings.Contains(log.String(), "in OnProgress") {
		t.Errorf("the log says %q", log.String())
	}
}

func TestOnProgressIsCalledOnTheGoroutineThatIterates(t *testing.T) {
	t.Parallel()
	me := goroutine()
	p := task.MustNew(sq, task.Workers(3), task.System(newSystem()))
	defer p.Stop()
	note := task.OnProgress(func(task.ProgressInfo) { equal(t, "goroutine", goroutine(), me) })
	_, _ = outcomes(p.Map(t.Context(), upTo(20), note))
	_, _ = outcomes(p.Map(t.Context(), upTo(20), note, task.Unordered()))
	_, _ = p.MapSlice(t.Context(), slices.Collect(upTo(20)), note)
}

// goroutine is the head of this goroutine's stack, which names it.
func goroutine() string {
	b := make([]byte, 64)
	b = b[:runtime.Stack(b, false)]
	return string(bytes.Fields(b)[1])
}

// stderrOf returns what body writes to standard error.
func stderrOf(t *testing.T, body func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	was := os.Stderr
	os.Stderr = w
	text := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		text <- string(b)
	}()
	defer func() { os.Stderr = was }()
	body()
	_ = w.Close()
	return <-text
}

func TestProgressEndsWithTheExactCounts(t *testing.T) {
	for name, tc := range map[string]struct {
		run  func(t *testing.T, p *task.Task[int, int])
		want []string
	}{
		"Map": {func(t *testing.T, p *task.Task[int, int]) {
			_, _ = outcomes(p.Map(t.Context(), upTo(10), task.Progress("squares")))
		}, []string{"squares: 10, ", "4 failed", "done in"}},
		"Map with a total": {func(t *testing.T, p *task.Task[int, int]) {
			_, _ = outcomes(p.Map(t.Context(), upTo(10), task.Progress("squares"), task.Total(20)))
		}, []string{"squares: 10/20 (50%), ", "4 failed", "done in"}},
		"Map without a title": {func(t *testing.T, p *task.Task[int, int]) {
			_, _ = outcomes(p.Map(t.Context(), upTo(10), task.Progress("")))
		}, []string{p0 + ": 10, "}},
		"Unordered": {func(t *testing.T, p *task.Task[int, int]) {
			_, _ = outcomes(p.Map(t.Context(), upTo(10), task.Progress("squares"), task.Unordered()))
		}, []string{"squares: 10, ", "4 failed", "done in"}},
		"Map that is left": {func(t *testing.T, p *task.Task[int, int]) {
			for range p.Map(t.Context(), upTo(10), task.Progress("squares")) {
				break
			}
		}, []string{"squares: 1, ", "1 failed"}},
		"Map whose ctx ends": {func(t *testing.T, p *task.Task[int, int]) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			for range p.Map(ctx, upTo(10), task.Progress("squares")) {
				cancel(errCause)
			}
		}, []string{"squares: 1, ", "failed after", "the caller's cause"}},
		"MapSlice": {func(t *testing.T, p *task.Task[int, int]) {
			_, _ = p.MapSlice(t.Context(), []int{1, 2, 4, 5}, task.Progress("squares"))
		}, []string{"squares: 4/4 (100%), ", "done in"}},
		"MapSlice that fails": {func(t *testing.T, p *task.Task[int, int]) {
			_, _ = p.MapSlice(t.Context(), []int{3}, task.Progress("squares"))
		}, []string{"squares: 1/1 (100%), ", "1 failed", "failed after", "boom"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := task.MustNew(fails, task.Name(p0), task.Workers(2), task.System(newSystem()))
			defer p.Stop()
			got := stderrOf(t, func() { tc.run(t, p) })
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("standard error says %q, want %q in it", got, want)
				}
			}
			equal(t, "lines", strings.Count(got, "\n"), 1)
		})
	}
}

const p0 = "numbers"

func TestProgressNeedsNoReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close() // every write fails
	was := os.Stderr
	os.Stderr = w
	defer func() { os.Stderr = was; _ = w.Close() }()
	p := task.MustNew(sq, task.System(newSystem()))
	defer p.Stop()
	vs, _ := outcomes(p.Map(t.Context(), upTo(100), task.Progress("nobody reads")))
	equalSlices(t, "values", vs, squares(100))
}

func TestManyMapsShowTheirProgressAtOnce(t *testing.T) {
	p := task.MustNew(sq, task.Workers(4), task.System(newSystem()))
	defer p.Stop()
	got := stderrOf(t, func() {
		done := make(chan struct{})
		for i := range 20 {
			go func() {
				defer func() { done <- struct{}{} }()
				_, _ = outcomes(p.Map(context.Background(), upTo(50), task.Progress(fmt.Sprint("bar ", i))))
			}()
		}
		for range 20 {
			<-done
		}
	})
	equal(t, "closing lines", strings.Count(got, ": 50, "), 20)
}
