package cell_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/internal/cell"
)

func TestEveryWaiterIsWoken(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// Waiters are pooled, so a lost or a doubled wake-up shows in a later round.
	for range 300 {
		c := &cell.Cell{}
		wait := func(ctx context.Context) func() {
			return func() {
				if err := c.Wait(ctx); err != nil || !c.IsDone() {
					t.Errorf("Wait: got %v, done %v", err, c.IsDone())
				}
			}
		}
		race(wait(context.Background()), wait(ctx), wait(context.Background()), wait(ctx),
			func() { c.Abort(cell.Cancelled, errCause) }, wait(context.Background()))
	}
}

func TestWaitIsBoundByCtxAndPrefersTheOutcome(t *testing.T) {
	ended, end := context.WithCancelCause(context.Background())
	end(errCause)
	c := &cell.Cell{}
	for range 10 {
		equal(t, "Wait on an open cell", c.Wait(ended), errCause)
	}
	c.Abort(cell.Cancelled, errOwn)
	for range 10 {
		equal(t, "Wait on a done cell", c.Wait(ended), nil)
	}
}

func TestWaitAsksTheOwnerToHelp(t *testing.T) {
	c, _ := newCall(context.Background())
	asked := 0
	c.Owner.Help = func(c *cell.Cell, ctx context.Context) {
		asked++
		c.Start()
		returns(c, nil)
	}
	c.Owner.Expect = func(*cell.Cell) { asked += 10 }
	c.Expect()
	equal(t, "asked", asked, 10)
	equal(t, "Wait", c.Wait(context.Background()), nil)
	equal(t, "Wait", c.Wait(context.Background()), nil)
	c.Expect()
	c.Assist(context.Background())
	equal(t, "asked", asked, 11)
}

func TestPooledWaitersServeInsideAndOutsideOfBubbles(t *testing.T) {
	round := func() {
		c := &cell.Cell{}
		var waiting sync.WaitGroup
		for range 8 {
			waiting.Go(func() { _ = c.Wait(context.Background()) })
		}
		time.AfterFunc(time.Millisecond, func() { c.Abort(cell.Cancelled, nil) })
		waiting.Wait()
	}
	for range 5 {
		round()
		synctest.Test(t, func(*testing.T) { round() })
	}
}
