package remote_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
)

// traced returns a System that records its spans.
func traced() (*actor.System, *sdktrace.TracerProvider, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	return actor.NewSystem(actor.Logger(quiet), actor.TracerProvider(provider)), provider, spans
}

func TestATraceGoesOnAtTheNode(t *testing.T) {
	here, provider, ours := traced()
	there, _, theirs := traced()
	seen := make(chan trace.SpanContext, 10)
	b := serving(t, remote.Config{System: there}, "work", func(ctx context.Context, how string) (int, error) {
		seen <- trace.SpanContextFromContext(ctx)
		return fail(ctx, how)
	})
	far := placed[string, int](newSite(t, remote.Config{System: here}), "work", nil, b)
	ctx, root := provider.Tracer("test").Start(t.Context(), "root")
	value(t, far.Submit(ctx, "fine"))
	fault(t, far.Submit(ctx, "wrapped"))
	root.End()
	far.Stop()
	b.close() // all spans have ended
	attempts := make(map[trace.SpanID]bool)
	for _, s := range ours.Ended() {
		if s.Name() == "task work" {
			attempts[s.SpanContext().SpanID()] = true
		}
		if s.SpanContext().TraceID() != root.SpanContext().TraceID() {
			t.Errorf("span %q is of another trace", s.Name())
		}
	}
	ended := theirs.Ended()
	if len(attempts) != 2 || len(ended) != 2 {
		t.Fatalf("%d attempts here, %d spans there: want 2 each", len(attempts), len(ended))
	}
	for i, s := range ended {
		if s.SpanContext().TraceID() != root.SpanContext().TraceID() || !attempts[s.Parent().SpanID()] || !s.Parent().IsRemote() {
			t.Errorf("span %q is not a child of an attempt", s.Name())
		}
		if want := []codes.Code{codes.Unset, codes.Error}[i]; s.Status().Code != want {
			t.Errorf("span %d has status %v, want %v", i, s.Status(), want)
		}
		if in := <-seen; in.SpanID() != s.SpanContext().SpanID() {
			t.Errorf("the function saw span %v, want %v", in.SpanID(), s.SpanContext().SpanID())
		}
		attributes := make(map[string]string)
		for _, a := range s.Attributes() {
			attributes[string(a.Key)] = a.Value.String()
		}
		if attributes["troupe.task"] != "work" || attributes["troupe.node"] != b.node.Addr() || attributes["troupe.attempt"] != "1" {
			t.Errorf("attributes %v", attributes)
		}
	}
}

func TestATraceTravelsThroughNodesThatDoNotTrace(t *testing.T) {
	here, provider, _ := traced()
	b := serving(t, remote.Config{}, "trace", func(ctx context.Context, _ int) (string, error) {
		return trace.SpanContextFromContext(ctx).TraceID().String(), nil
	})
	far := placed[int, string](newSite(t, remote.Config{System: here}), "trace", nil, b)
	ctx, root := provider.Tracer("test").Start(t.Context(), "root")
	defer root.End()
	if id := value(t, far.Submit(ctx, 1)); id != root.SpanContext().TraceID().String() {
		t.Errorf("the function saw trace %s", id)
	}
}
