package cell_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/troupe-go/troupe/internal/cell"
)

func TestACellIsSmall(t *testing.T) {
	// With 16 bytes each for argument and result a call is one allocation of 96.
	equal(t, "size of a cell", unsafe.Sizeof(cell.Cell{}), 48)
}

func TestStatesMoveAsDrawn(t *testing.T) {
	claim := func(c *cell.Cell) bool { _, won := c.Claim(); return won }
	publish := func(c *cell.Cell) bool { c.Publish(nil); return true }
	for name, tt := range map[string]struct {
		steps []func(*cell.Cell) bool
		ok    bool // of the last step
		state cell.State
		done  bool
	}{
		"new":               {[]func(*cell.Cell) bool{(*cell.Cell).IsOpen}, true, cell.Open, false},
		"start":             {[]func(*cell.Cell) bool{(*cell.Cell).Start}, true, cell.Running, false},
		"start twice":       {[]func(*cell.Cell) bool{(*cell.Cell).Start, (*cell.Cell).Start}, false, cell.Running, false},
		"reopen":            {[]func(*cell.Cell) bool{(*cell.Cell).Start, (*cell.Cell).Reopen}, true, cell.Open, false},
		"reopen an open":    {[]func(*cell.Cell) bool{(*cell.Cell).Reopen}, false, cell.Open, false},
		"claim an open":     {[]func(*cell.Cell) bool{claim}, true, cell.Running, false},
		"claim a running":   {[]func(*cell.Cell) bool{(*cell.Cell).Start, claim}, true, cell.Running, false},
		"claim twice":       {[]func(*cell.Cell) bool{claim, claim}, false, cell.Running, false},
		"claim running":     {[]func(*cell.Cell) bool{(*cell.Cell).Start, (*cell.Cell).ClaimRunning}, true, cell.Running, false},
		"claim not running": {[]func(*cell.Cell) bool{(*cell.Cell).ClaimRunning}, false, cell.Open, false},
		"start a claimed":   {[]func(*cell.Cell) bool{claim, (*cell.Cell).Start}, false, cell.Running, false},
		"reopen a claimed":  {[]func(*cell.Cell) bool{(*cell.Cell).Start, claim, (*cell.Cell).Reopen}, false, cell.Running, false},
		"publish":           {[]func(*cell.Cell) bool{claim, publish}, true, cell.Done, true},
		"start a done":      {[]func(*cell.Cell) bool{claim, publish, (*cell.Cell).Start}, false, cell.Done, true},
		"claim a done":      {[]func(*cell.Cell) bool{claim, publish, claim}, false, cell.Done, true},
	} {
		t.Run(name, func(t *testing.T) {
			var c cell.Cell
			c.SetID(77)
			c.SetQueued()
			var ok bool
			for _, step := range tt.steps {
				ok = step(&c)
			}
			equal(t, "last step", ok, tt.ok)
			equal(t, "state", c.State(), tt.state)
			equal(t, "done", c.IsDone(), tt.done)
			equal(t, "id", c.ID(), 77)
			equal(t, "queued", c.Queued(), true)
			c.ClearQueued()
			equal(t, "state", c.State(), tt.state)
		})
	}
}

func TestAbortTellsTheOwnerOnceBeforeTheOutcomeIsThere(t *testing.T) {
	c, told := newCall(context.Background())
	c.Start()
	equal(t, "AbortOpen of a running call", c.AbortOpen(cell.Stopped, errCause), false)
	equal(t, "Abort", c.Abort(cell.TimedOut, errCause), true)
	equal(t, "second Abort", c.Abort(cell.Stopped, errOwn), false)
	equal(t, "ClaimOutside", c.ClaimOutside(errOwn), false)
	equal(t, "return of the function", returns(c, errOwn), false)
	equal(t, "times told", len(*told), 1)
	equal(t, "told", (*told)[0], end{from: cell.Running, why: cell.TimedOut, cause: errCause})
	equal(t, "outcome", c.Err(), errCause)
	equal(t, "aborted", c.Aborted(), true)
}

func TestAbortOpenEndsWhatNobodyRuns(t *testing.T) {
	c, told := newCall(context.Background())
	c.Start()
	c.Reopen()
	equal(t, "AbortOpen", c.AbortOpen(cell.Stopped, errCause), true)
	equal(t, "told", (*told)[0], end{from: cell.Open, why: cell.Stopped, cause: errCause})
}

func TestTheFunctionsOwnEndIsNotTheOwnersBusiness(t *testing.T) {
	c, told := newCall(context.Background())
	c.Start()
	equal(t, "return", returns(c, errOwn), true)
	equal(t, "times told", len(*told), 0)
	equal(t, "aborted", c.Aborted(), false)
	equal(t, "outcome", c.Err(), errOwn)
}

func TestOneOfManyWins(t *testing.T) {
	for range 2000 {
		c, told := newCall(context.Background())
		var wins, runs atomic.Int32
		try := func(f func() bool) func() {
			return func() {
				if f() {
					wins.Add(1)
				}
			}
		}
		race(
			func() {
				if c.Start() {
					runs.Add(1)
					try(func() bool { return returns(c, nil) })()
				}
			},
			try(func() bool { return c.Abort(cell.Cancelled, errCause) }),
			try(func() bool { return c.AbortOpen(cell.Stopped, errOwn) }),
			try(func() bool {
				won := c.ClaimOutside(nil)
				if won {
					c.Publish(nil)
				}
				return won
			}),
		)
		equal(t, "winners", wins.Load(), 1)
		if !c.IsDone() || len(*told) > 1 || c.Aborted() != (len(*told) == 1) {
			t.Fatalf("done %v, aborted %v, owner told %v", c.IsDone(), c.Aborted(), *told)
		}
	}
}

// race runs all of fs at about the same time and waits for them.
func race(fs ...func()) {
	var ready, over sync.WaitGroup
	ready.Add(len(fs))
	for _, f := range fs {
		over.Go(func() {
			ready.Done()
			ready.Wait()
			f()
		})
	}
	over.Wait()
}
