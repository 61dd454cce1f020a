package task

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-go/troupe/internal/pool"
)

const scope = "github.com/troupe-go/troupe/task"

// trace makes a span for every attempt.
func (h *shell) trace(p trace.TracerProvider) func(context.Context, *pool.Attempt) (context.Context, func(error)) {
	tracer := p.Tracer(scope)
	return func(ctx context.Context, a *pool.Attempt) (context.Context, func(error)) {
		ctx, span := tracer.Start(ctx, h.kind+" "+h.pool.Name(), trace.WithAttributes(
			attribute.String("troupe.task", h.pool.Name()),
			attribute.Int64("troupe.call", int64(a.Cell.ID())),
			attribute.Int("troupe.attempt", a.Number),
			attribute.String("troupe.worker", a.Worker()),
		))
		return ctx, func(err error) {
			if err != nil {
				span.RecordError(err)
				span.SetStatus(codes.Error, err.Error())
			}
			span.End()
		}
	}
}
