package cell_test

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-go/troupe/internal/cell"
)

func TestTheContextEndsWithTheCall(t *testing.T) {
	for name, tt := range map[string]struct {
		end   func(*cell.Cell)
		cause error
	}{
		"return": {func(c *cell.Cell) { returns(c, errOwn) }, context.Canceled},
		"abort":  {func(c *cell.Cell) { c.Abort(cell.TimedOut, errCause) }, errCause},
		"value from outside": {func(c *cell.Cell) {
			c.ClaimOutside(nil)
			c.Publish(nil)
		}, context.Canceled},
	} {
		for asked, when := range map[bool]string{true: "Done asked before", false: "Done asked after"} {
			t.Run(name+"/"+when, func(t *testing.T) {
				parent, cancel := newCounted()
				defer cancel(nil)
				c, _ := newCall(parent)
				c.Start()
				ctx := c.AsContext()
				equal(t, "Err of a running call", ctx.Err(), nil)
				if asked {
					equal(t, "closed", closed(ctx.Done()), false)
				}
				tt.end(c)
				equal(t, "Err", ctx.Err(), context.Canceled)
				equal(t, "Cause", context.Cause(ctx), tt.cause)
				equal(t, "closed", closed(ctx.Done()), true)
				equal(t, "Done", ctx.Done(), ctx.Done())
			})
		}
	}
}

// The call is settled and the engine has looked for an Ext when the function,
// or what it left running, asks for Done for the first time.
func TestAContextAskedForBetweenClaimAndPublishEnds(t *testing.T) {
	t.Run("return", func(t *testing.T) {
		c, _ := newCall(context.Background())
		c.Start()
		c.ClaimRunning()
		finish(c, nil) // there is nothing yet
		done := c.AsContext().Done()
		c.Publish(nil)
		equal(t, "closed", closed(done), true)
	})
	t.Run("abort", func(t *testing.T) {
		c, _ := newCall(context.Background())
		c.Start()
		ctx := c.AsContext()
		c.ClaimOutside(errCause)
		done := ctx.Done()
		c.Publish(errCause)
		equal(t, "closed", closed(done), true)
		equal(t, "Err", ctx.Err(), context.Canceled)
		equal(t, "Cause", context.Cause(ctx), errCause)
	})
}

func TestDoneAtTheSameTimeAsTheEndCloses(t *testing.T) {
	for range 5000 {
		c, _ := newCall(context.Background())
		c.Start()
		ctx := c.AsContext()
		var done, again <-chan struct{}
		race(
			func() { done = ctx.Done() },
			func() { again = ctx.Done() },
			func() { returns(c, nil) },
			func() { c.Abort(cell.Cancelled, errCause) },
		)
		if done != again || !closed(done) || ctx.Err() == nil {
			t.Fatalf("same %v, closed %v, Err %v", done == again, closed(done), ctx.Err())
		}
	}
}

func TestTheContextEndsWithTheCallersCtx(t *testing.T) {
	parent, cancel := newCounted()
	c, _ := newCall(parent)
	c.Start()
	ctx := c.AsContext()
	cancel(errCause)
	equal(t, "Err without Done", ctx.Err(), context.Canceled)
	equal(t, "Cause without Done", context.Cause(ctx), errCause)
	equal(t, "closed", closed(ctx.Done()), true)
	equal(t, "Cause", context.Cause(ctx), errCause)
}

func TestTheContextPassesValuesAndDeadlineOn(t *testing.T) {
	type key struct{}
	at := time.Now().Add(time.Hour)
	parent, cancel := context.WithDeadline(context.WithValue(context.Background(), key{}, "value"), at)
	defer cancel()
	c, _ := newCall(parent)
	ctx := c.AsContext()
	for _, made := range []string{"before Done", "after Done"} {
		got, ok := ctx.Deadline()
		equal(t, "deadline "+made, got, at)
		equal(t, "deadline "+made, ok, true)
		equal[any](t, "value "+made, ctx.Value(key{}), "value")
		equal[any](t, "call "+made, ctx.Value(cell.CallKey{}), c)
		ctx.Done()
	}
	c.Abort(cell.Cancelled, nil)
	equal[any](t, "value when over", ctx.Value(key{}), "value")
	equal(t, "parent", c.Parent(), parent)
	equal(t, "parent of a plain cell", (&cell.Cell{}).Parent(), context.Background())
}

func TestADerivedContextIsCancelledWithoutAGoroutine(t *testing.T) {
	c, _ := newCall(context.Background())
	c.Start()
	child, cancel := context.WithCancel(c.AsContext())
	defer cancel()
	c.Abort(cell.Cancelled, errCause) // propagates before it returns
	equal(t, "Err", child.Err(), context.Canceled)
	equal(t, "Cause", context.Cause(child), errCause)
}

func TestACallIsStirredByDoneAndByItsAbort(t *testing.T) {
	asked, _ := newCall(context.Background())
	aborted, _ := newCall(context.Background())
	for _, c := range []*cell.Cell{asked, aborted} {
		c.Start()
		equal(t, "Err", c.AsContext().Err(), nil)
		equal(t, "stirred before", c.Stirred(), false)
	}
	first := asked.AsContext().Done()
	equal(t, "stirred by Done", asked.Stirred(), true)
	equal(t, "Done again", asked.AsContext().Done(), first)
	aborted.Abort(cell.Stopped, errCause)
	equal(t, "stirred by the abort", aborted.Stirred(), true)
}
