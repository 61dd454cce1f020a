package task_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// traced returns a System that records spans, a tracer of the same provider,
// and the spans that have ended so far, a line each.
func traced() (*actor.System, trace.Tracer, func() []string) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	spans := func() (lines []string) {
		for _, s := range recorder.Ended() {
			line := s.Name()
			for _, a := range s.Attributes() {
				line += fmt.Sprintf(" %s=%s", a.Key, a.Value.String())
			}
			if st := s.Status(); st.Code != codes.Unset {
				line += fmt.Sprintf(" %s: %s, events %d", st.Code, st.Description, len(s.Events()))
			}
			lines = append(lines, line)
		}
		return lines
	}
	return actor.NewSystem(actor.TracerProvider(provider)), provider.Tracer("test"), spans
}

func TestEveryAttemptIsASpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _, spans := traced()
		work := task.MustNew(func(ctx context.Context, x int) (int, error) {
			switch {
			case x < 0:
				return 0, errors.New("boom")
			case x == 0:
				panic("zero")
			case x > 100:
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return x, nil
		}, task.System(sys), task.Name("work"), task.Workers(1))
		retried := work.With(task.Retries(task.RetryPolicy{Max: 1, Backoff: task.Constant(time.Second)}))
		_, _ = work.Submit(t.Context(), 1).Result()
		_, _ = work.Call(t.Context(), 2)
		_, _ = work.Submit(t.Context(), 0).Result()
		_, _ = retried.Submit(t.Context(), -1).Result()
		_, _ = work.With(task.Timeout(time.Second)).Submit(t.Context(), 101).Result()
		synctest.Wait()
		span := func(call, attempt int, status string) string {
			return fmt.Sprintf("task work troupe.task=work troupe.call=%d troupe.attempt=%d troupe.worker=worker-0%s", call, attempt, status)
		}
		want := []string{
			span(1, 1, ""), span(2, 1, ""),
			span(3, 1, ` Error: task "work": panic: zero, events 1`),
			span(4, 1, " Error: boom, events 1"), span(4, 2, " Error: boom, events 1"),
			span(5, 1, " Error: task: attempt not finished within 1s (Timeout), events 1"),
		}
		if got := spans(); !slices.Equal(got, want) {
			t.Errorf("spans:\n got %q\nwant %q", got, want)
		}
		sys.Stop(t.Context())
	})
}

func TestASpanStandsBetweenTheCallersAndTheFunctions(t *testing.T) {
	sys, tracer, _ := traced()
	ctx, caller := tracer.Start(context.Background(), "caller")
	defer caller.End()
	for name, opts := range map[string][]task.Option{
		"worker": {}, "inline": {task.Inline()}, "on demand": {task.OnDemand()}, "timeout": {task.Timeout(time.Hour)},
	} {
		work := task.MustNew(func(ctx context.Context, _ int) (sdktrace.ReadOnlySpan, error) {
			s, _ := trace.SpanFromContext(ctx).(sdktrace.ReadOnlySpan)
			return s, nil
		}, append(opts, task.System(sys))...)
		s, err := work.Call(ctx, 1)
		if err != nil || s == nil {
			t.Fatalf("%s: got span %v, error %v", name, s, err)
		}
		if got, want := s.Parent().SpanID(), caller.SpanContext().SpanID(); got != want {
			t.Errorf("%s: parent: got %v, want %v", name, got, want)
		}
		if s.EndTime().IsZero() {
			t.Errorf("%s: the span has not ended with the attempt", name)
		}
	}
	if err := sys.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestEveryItemOfAMapIsASpan(t *testing.T) {
	sys, _, spans := traced()
	work := task.MustNew(func(_ context.Context, x int) (int, error) { return x, nil }, task.System(sys))
	const n = 50
	for _, err := range work.Map(context.Background(), slices.Values(make([]int, n))) {
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := work.MapSlice(context.Background(), make([]int, n)); err != nil {
		t.Error(err)
	}
	if got := len(spans()); got != 2*n {
		t.Errorf("spans: got %d, want %d", got, 2*n)
	}
	if err := sys.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// A cancelled call has its outcome at once; its span goes on until the
// function has returned.
func TestASpanOfACancelledCallEndsWithTheFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _, spans := traced()
		open := make(chan struct{})
		work := task.MustNew(func(context.Context, int) (int, error) { <-open; return 0, errors.New("late") },
			task.System(sys))
		f := work.Submit(t.Context(), 1)
		synctest.Wait()
		f.Cancel()
		synctest.Wait()
		if got := spans(); len(got) != 0 {
			t.Errorf("spans while the function runs: got %q, want none", got)
		}
		close(open)
		synctest.Wait()
		if got := spans(); len(got) != 1 {
			t.Errorf("spans: got %q, want one", got)
		}
		sys.Stop(t.Context())
	})
}
