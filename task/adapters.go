package task

import "context"

// Func adapts a function without context and error.
func Func[In, Out any](fn func(In) Out) func(context.Context, In) (Out, error) {
	if fn == nil {
		return nil
	}
	return func(_ context.Context, in In) (Out, error) { return fn(in), nil }
}

// FuncErr adapts a function without context.
func FuncErr[In, Out any](fn func(In) (Out, error)) func(context.Context, In) (Out, error) {
	if fn == nil {
		return nil
	}
	return func(_ context.Context, in In) (Out, error) { return fn(in) }
}

// Action adapts a function that has no result but its error.
func Action[In any](fn func(context.Context, In) error) func(context.Context, In) (struct{}, error) {
	if fn == nil {
		return nil
	}
	return func(ctx context.Context, in In) (struct{}, error) { return struct{}{}, fn(ctx, in) }
}
