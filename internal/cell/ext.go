package cell

import (
	"context"
	"sync"
	"time"
)

// Ext holds what only some calls need: the standard context handed to the
// function when it asks for Done, the link to the caller's context, and what
// the engine remembers between attempts.
type Ext struct {
	parent   context.Context // the caller's, unless that is context.Background; set once
	mu       sync.Mutex
	ctx      context.Context
	cancel   context.CancelCauseFunc
	detach   func() bool
	finished bool
	extras   map[any]any

	Engine any // the engine's record of attempts; the engine guards it
}

// Extra returns what is kept under key, made by create at the first call.
func (e *Ext) Extra(key any, create func() any) (v any, created bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v, ok := e.extras[key]; ok {
		return v, false
	}
	if e.extras == nil {
		e.extras = make(map[any]any)
	}
	v = create()
	e.extras[key] = v
	return v, true
}

// Extend returns the cell's Ext, made now if there is none.
func (c *Cell) Extend() *Ext {
	if e := c.Ext.Load(); e != nil {
		return e
	}
	e := &Ext{}
	if c.Ext.CompareAndSwap(nil, e) {
		return e
	}
	return c.Ext.Load()
}

// SetParent stores the ctx that the call was submitted with; before the cell is
// shared. The most common one needs no room.
func (c *Cell) SetParent(ctx context.Context) {
	if ctx != context.Background() {
		c.Extend().parent = ctx
	}
}

// Parent returns the ctx that the call was submitted with.
func (c *Cell) Parent() context.Context {
	if e := c.Ext.Load(); e != nil && e.parent != nil {
		return e.parent
	}
	return context.Background()
}

// Attach makes the end of the caller's ctx end the call, at once and with the
// cause of ctx.
func (c *Cell) Attach() {
	e := c.Extend()
	detach := context.AfterFunc(e.parent, func() { c.Abort(Cancelled, context.Cause(e.parent)) })
	e.mu.Lock()
	over := e.finished
	if !over {
		e.detach = detach
	}
	e.mu.Unlock()
	if over { // the call ended before we could leave the handle
		detach()
	}
}

// Finish releases what the call holds outside itself: its link to the caller's
// ctx and its own ctx, which ends with cause.
func (e *Ext) Finish(cause error) {
	e.mu.Lock()
	e.finished = true
	detach, cancel := e.detach, e.cancel
	e.detach = nil
	e.mu.Unlock()
	if detach != nil {
		detach()
	}
	if cancel != nil {
		cancel(cause)
	}
}

// Context is the cell as the context of its function. It is free until the
// function asks for Done.
type Context Cell

// AsContext returns the context handed to the function.
func (c *Cell) AsContext() *Context { return (*Context)(c) }

// CallKey is the key under which a Context gives its own *Cell.
type CallKey struct{}

func (x *Context) cell() *Cell { return (*Cell)(x) }

// standard returns the context behind Done, made at the first call.
func (x *Context) standard() context.Context {
	c := x.cell()
	e := c.Extend()
	e.mu.Lock()
	if e.ctx == nil {
		e.ctx, e.cancel = context.WithCancelCause(c.Parent())
	}
	ctx, cancel, over := e.ctx, e.cancel, e.finished
	e.mu.Unlock()
	if over || c.IsDone() {
		var cause error
		if c.IsDone() && c.Aborted() {
			cause = c.err
		}
		cancel(cause)
	}
	return ctx
}

func (x *Context) made() context.Context {
	e := x.cell().Ext.Load()
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ctx
}

// Done returns a channel that is closed when the call ends, for whatever reason.
func (x *Context) Done() <-chan struct{} { return x.standard().Done() }

// Err follows the rules of context.Context.
func (x *Context) Err() error {
	if ctx := x.made(); ctx != nil {
		return ctx.Err()
	}
	if c := x.cell(); c.Aborted() {
		return x.standard().Err()
	}
	return x.cell().Parent().Err()
}

// Value looks in the call first, then in the caller's ctx.
func (x *Context) Value(key any) any {
	if _, ok := key.(CallKey); ok {
		return x.cell()
	}
	if ctx := x.made(); ctx != nil {
		return ctx.Value(key)
	}
	return x.cell().Parent().Value(key)
}

// Deadline is the caller's; a timeout of the task is put on top by the engine.
func (x *Context) Deadline() (deadline time.Time, ok bool) {
	return x.cell().Parent().Deadline()
}
