package cell

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/internal/limitctx"
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
	group    *Group
	finished bool
	watch    atomic.Pointer[watchers]
	place    int32 // in the group; guarded by the group's mu
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

// Attach makes the end of the caller's ctx, given to SetParent, end the call at
// once and with the cause of ctx. SetParent has made the Ext before anybody else
// saw the cell, so whoever ends the call finds it, and one of Attach and Finish
// sees the other.
func (c *Cell) Attach() {
	e := c.Ext.Load()
	detach := context.AfterFunc(e.parent, func() { c.Abort(Cancelled, CauseOf(e.parent)) })
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
	detach, group, cancel := e.detach, e.group, e.cancel
	e.detach, e.group = nil, nil
	e.mu.Unlock()
	if group != nil {
		group.leave(e)
	}
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
//
// Whoever ends the call first claims it and then looks for the Ext; here the Ext
// is made first and then the state is looked at. So one of the two ends the
// context, also if the call is settled by now and not yet done.
func (x *Context) standard() context.Context {
	c := x.cell()
	ctx, cancel := c.Extend().context(c.Parent())
	if c.word.Load()&asked == 0 {
		c.word.Or(asked)
	}
	switch {
	case !c.settled():
	case c.Aborted():
		c.Watch(func() { cancel(c.Err()) }) // the cause cannot be read before
	default:
		cancel(nil)
	}
	return ctx
}

// context returns the standard context below parent, made at the first call:
// outside of the lock, because parent may be of a type of the user's.
func (e *Ext) context(parent context.Context) (context.Context, context.CancelCauseFunc) {
	if ctx, cancel := e.made(); ctx != nil {
		return ctx, cancel
	}
	ctx, cancel := context.WithCancelCause(parent)
	e.mu.Lock()
	if e.ctx == nil {
		e.ctx, e.cancel = ctx, cancel
		e.mu.Unlock()
		return ctx, cancel
	}
	e.mu.Unlock()
	cancel(nil) // somebody else was quicker
	return e.context(parent)
}

func (e *Ext) made() (context.Context, context.CancelCauseFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ctx, e.cancel
}

// now returns the context that speaks for the call: the caller's, until the
// function has asked for Done or the call is over.
func (x *Context) now() context.Context {
	c := x.cell()
	if c.settled() {
		return x.standard()
	}
	if e := c.Ext.Load(); e != nil {
		if ctx, _ := e.made(); ctx != nil {
			return ctx
		}
	}
	return c.Parent()
}

// Done returns a channel that is closed when the call ends, for whatever reason.
func (x *Context) Done() <-chan struct{} { return x.standard().Done() }

// Err follows the rules of context.Context, also for what a function leaves
// running and never asks for Done.
func (x *Context) Err() error { return x.now().Err() }

// Value looks in the call first, then in the caller's ctx. It is also how
// context.Cause finds the cause.
func (x *Context) Value(key any) any {
	switch key.(type) {
	case CallKey:
		return x.cell()
	case limitctx.Limiter, limitctx.Permit:
		return nil // a caller's limits are not those of this call
	}
	return x.now().Value(key)
}

// Deadline is the caller's; a timeout of the task is put on top by the engine.
func (x *Context) Deadline() (deadline time.Time, ok bool) {
	return x.cell().Parent().Deadline()
}
