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

// trace lets the trace of a call go on here: with a span, if there is a provider.
// What ends the call ends that, too.
func (h *house) trace(ctx context.Context, v *visit, end func(error)) (context.Context, func(error)) {
	if from := v.call.GetHeaders(); len(from) > 0 {
		ctx = propagator.Extract(ctx, propagation.MapCarrier(from))
	}
	if h.tracers == nil {
		return ctx, end
	}
	ctx, span := h.tracers.Tracer("github.com/troupe-go/troupe/remote").Start(ctx, v.task,
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("troupe.task", v.task), attribute.String("troupe.node", h.name),
			attribute.Int64("troupe.call", int64(v.call.GetNumber())), attribute.Int("troupe.attempt", int(v.call.GetAttempt()))))
	return ctx, func(err error) {
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
		end(err)
	}
}
