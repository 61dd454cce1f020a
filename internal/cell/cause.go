package cell

import "context"

// CauseOf is context.Cause for a ctx that has ended. A ctx of somebody's own
// type may end without saying why; that is no reason to end a call without an
// error.
func CauseOf(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return context.Canceled
}
