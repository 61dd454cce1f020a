package cell_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/internal/cell"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errOwn   = errors.New("the function's own error")
	errCause = errors.New("the cause")
)

// An end is what an owner was told.
type end struct {
	from  cell.State
	why   cell.Why
	cause error
	done  bool // the outcome could be read already
}

// newCall returns a cell with an owner that finishes the Ext as the engine
// does, and what the owner has been told so far.
func newCall(parent context.Context) (*cell.Cell, *[]end) {
	c, told := &cell.Cell{}, &[]end{}
	c.SetParent(parent)
	c.Owner = &cell.Owner{
		Ended: func(c *cell.Cell, from cell.State, why cell.Why, cause error) {
			*told = append(*told, end{from: from, why: why, cause: cause, done: c.IsDone()})
			finish(c, cause)
		},
		Help:   func(*cell.Cell, context.Context) {},
		Expect: func(*cell.Cell) {},
	}
	return c, told
}

func finish(c *cell.Cell, cause error) {
	if e := c.Ext.Load(); e != nil {
		e.Finish(cause)
	}
}

// returns does what a worker does when the function has returned.
func returns(c *cell.Cell, err error) bool {
	if !c.ClaimRunning() {
		return false
	}
	finish(c, nil)
	c.Publish(err)
	return true
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
