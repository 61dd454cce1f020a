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
	cells  []*Cell
	ended  int  // of cells
	closed bool // takes no more: ctx has ended, or Retire was called
}

const sweepGroupAt = 64

// NewGroup returns an empty Group for calls under ctx, which can end.
func NewGroup(ctx context.Context) *Group {
	g := &Group{ctx: ctx}
	g.mu.Lock() // the end of ctx must find detach set
	defer g.mu.Unlock()
	g.detach = context.AfterFunc(ctx, g.abort)
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
	e.group = g
	g.cells = append(g.cells, c)
	return true
}

// leave notes that the call with e has ended.
func (g *Group) leave(e *Ext) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e.gone = true
	if g.cells == nil { // abort has taken them
		return
	}
	g.ended++
	switch {
	case g.ended == len(g.cells):
		clear(g.cells)
		g.cells, g.ended = g.cells[:0], 0
		if g.closed {
			g.detach()
		}
	case g.ended >= sweepGroupAt && g.ended > len(g.cells)/2:
		g.sweep()
	}
}

// sweep drops the calls that have ended; under mu.
func (g *Group) sweep() {
	kept := g.cells[:0]
	for _, c := range g.cells {
		if !c.Ext.Load().gone {
			kept = append(kept, c)
		}
	}
	clear(g.cells[len(kept):])
	g.cells, g.ended = kept, 0
}

// Retire ends the registration as soon as no call depends on it.
func (g *Group) Retire() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if len(g.cells) == 0 {
		g.detach()
	}
}

// abort ends the calls of the group; ctx has ended.
func (g *Group) abort() {
	g.mu.Lock()
	g.closed = true
	cells := g.cells
	g.cells, g.ended = nil, 0
	g.mu.Unlock()
	for _, c := range cells {
		c.Abort(Cancelled, context.Cause(g.ctx))
	}
}
