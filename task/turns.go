package task

import (
	"context"
	"sync/atomic"

	"github.com/troupe-go/troupe/internal/cell"
)

// turns is the ctx of items that are run one after another as one call. That of
// the call would do, and costs nothing, for items that never ask for its Done
// channel. Once one has, each gets a ctx of its own, so that what it leaves
// behind to wait for its end does not wait for the end of all.
type turns struct {
	now    context.Context
	cancel context.CancelCauseFunc
}

// begin makes the ctx of the first item. asks tells whether others have asked.
func (t *turns) begin(c *cell.Cell, asks *atomic.Bool) {
	if t.now == nil {
		t.now = c.AsContext()
		if asks.Load() {
			t.next(c, asks)
		}
	}
}

// next ends the ctx of an item and makes that of the next one.
func (t *turns) next(c *cell.Cell, asks *atomic.Bool) {
	if t.cancel != nil {
		t.cancel(nil)
	}
	if !asks.Load() {
		asks.Store(true)
	}
	t.now, t.cancel = context.WithCancelCause(c.AsContext())
}
