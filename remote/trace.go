package remote

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Calls carry the W3C trace context, so that a span here is the child of the
// attempt's there.
var propagator propagation.TraceContext

// headers returns what travels with a call made with ctx; nil if nothing does.
func headers(ctx context.Context) map[string]string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	carrier := propagation.MapCarrier{}
	propagator.Inject(ctx, carrier)
	return carrier
}

// trace opens the span of a call; the function that is returned closes it.
func (h *house) trace(ctx context.Context, v *visit, end func()) (context.Context, func()) {
	ctx = propagator.Extract(ctx, propagation.MapCarrier(v.call.GetHeaders()))
	ctx, span := h.tracers.Tracer("github.com/troupe-go/troupe").Start(ctx, v.task,
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("troupe.task", v.task), attribute.String("troupe.node", h.name),
			attribute.Int64("troupe.call", int64(v.call.GetNumber())), attribute.Int("troupe.attempt", int(v.call.GetAttempt()))))
	return ctx, func() {
		if err := context.Cause(ctx); err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		end()
		span.End()
	}
}
