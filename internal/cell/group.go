package cell

import (
	"context"
	"sync"
)

// Group links many calls to the one ctx they were submitted with. Registering
// with a ctx costs more than a tiny call does, so calls under the same ctx
// share a registration.
type Group struct {
	ctx    context.Context
	detach func() bool

	mu     sync.Mutex
	cells  []*Cell // in no order; each knows its place by Ext.place
	closed bool    // takes no more: ctx has ended, or Retire was called
}

// NewGroup returns an empty Group for calls under ctx, which can end.
func NewGroup(ctx context.Context) *Group {
	g := &Group{ctx: ctx}
	g.detach = context.AfterFunc(ctx, g.abort) // abort itself has no use for detach
	return g
}

// Attach makes the end of the group's ctx end c, if that is the ctx which c was
// submitted with, and reports whether it did. A call that has ended already is
// left alone.
func (g *Group) Attach(c *Cell) bool {
	e := c.Ext.Load()
	if e.parent.Done() != g.ctx.Done() {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished {
		return true
	}
	e.group, e.place = g, int32(len(g.cells))
	g.cells = append(g.cells, c)
	return true
}

// leave notes that the call with e has ended. It is called once for each that
// was attached.
func (g *Group) leave(e *Ext) {
	g.mu.Lock()
	last := len(g.cells) - 1
	if last < 0 { // abort has taken them
		g.mu.Unlock()
		return
	}
	moved := g.cells[last]
	g.cells[e.place] = moved
	moved.Ext.Load().place = e.place
	g.cells[last] = nil
	g.cells = g.cells[:last]
	over := g.closed && last == 0
	g.mu.Unlock()
	if over {
		g.detach()
	}
}

// Retire ends the registration as soon as no call depends on it. Nil-safe.
func (g *Group) Retire() {
	if g == nil {
		return
	}
	g.mu.Lock()
	g.closed = true
	over := len(g.cells) == 0
	g.mu.Unlock()
	if over {
		g.detach()
	}
}

// abort ends the calls of the group; ctx has ended. All outcomes are there
// before the first callback runs: one that waits for another call under the
// same ctx would otherwise wait for itself.
func (g *Group) abort() {
	g.mu.Lock()
	g.closed = true
	cells := g.cells
	g.cells = nil
	g.mu.Unlock()
	cause := CauseOf(g.ctx)
	ended := cells[:0]
	for _, c := range cells {
		if c.claimOutside(Running, Cancelled, cause) {
			c.show(cause)
			ended = append(ended, c)
		}
	}
	announce(ended)
}

// announce tells the watchers of all cells, also if one of their callbacks ends
// the goroutine by runtime.Goexit.
func announce(cells []*Cell) {
	for len(cells) > 0 {
		c := cells[0]
		cells = cells[1:]
		func() {
			through := false
			defer func() {
				if !through {
					announce(cells)
				}
			}()
			c.announce()
			through = true
		}()
	}
}
