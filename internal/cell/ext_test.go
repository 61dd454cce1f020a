package cell_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/internal/cell"
)

// counted is a caller's ctx that counts what is attached to it. It has a Done
// channel of its own, or package context would look through it.
type counted struct {
	context.Context
	done     chan struct{}
	attached atomic.Int32
}

func (p *counted) Done() <-chan struct{} { return p.done }

func (p *counted) AfterFunc(f func()) func() bool {
	p.attached.Add(1)
	stop := context.AfterFunc(p.Context, f)
	return func() bool {
		p.attached.Add(-1)
		return stop()
	}
}

func newCounted() (*counted, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	p := &counted{Context: ctx, done: make(chan struct{})}
	end := sync.OnceFunc(func() { close(p.done) })
	return p, func(cause error) { cancel(cause); end() }
}

func TestAttachEndsTheCallWithTheCallersCause(t *testing.T) {
	parent, cancel := newCounted()
	c, told := newCall(parent)
	c.Attach()
	cancel(errCause)
	<-c.DoneChan()
	equal(t, "outcome", c.Err(), errCause)
	equal(t, "told", (*told)[0], end{from: cell.Open, why: cell.Cancelled, cause: errCause})
}

func TestNothingStaysAttachedToTheCallersCtx(t *testing.T) {
	parent, cancel := newCounted()
	defer cancel(nil)
	for range 2000 {
		c, _ := newCall(parent)
		race(
			c.Attach,
			func() {
				if c.Start() {
					c.AsContext().Done()
					returns(c, nil)
				}
			},
			func() { c.Abort(cell.Cancelled, errCause) },
		)
	}
	equal(t, "attached", parent.attached.Load(), 0)
}

// inquisitive asks the call's own ctx when it is asked itself.
type inquisitive struct {
	context.Context
	child context.Context
}

func (p *inquisitive) Done() <-chan struct{} {
	_ = p.child.Err()
	return p.Context.Done()
}

func TestTheCallersCtxIsNotAskedUnderALock(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	parent := &inquisitive{Context: ctx}
	c, _ := newCall(parent)
	parent.child = c.AsContext()
	through := make(chan struct{})
	go func() {
		defer close(through)
		parent.child.Done()
		c.Abort(cell.Cancelled, nil)
	}()
	select {
	case <-through:
	case <-time.After(10 * time.Second):
		t.Fatal("Done waits for itself")
	}
}

func TestExtraIsMadeOnce(t *testing.T) {
	for range 500 {
		var c cell.Cell
		var made, created atomic.Int32
		get := func() {
			v, first := c.Extend().Extra("key", func() any { return made.Add(1) })
			equal[any](t, "extra", v, int32(1))
			if first {
				created.Add(1)
			}
		}
		race(get, get, get)
		equal(t, "made", made.Load(), 1)
		equal(t, "told that it was made", created.Load(), 1)
	}
}
