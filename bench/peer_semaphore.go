package main

import (
	"context"

	xsync "golang.org/x/sync/semaphore"
)

// syncSemaphore is golang.org/x/sync/semaphore.
func syncSemaphore() limiter {
	return limiter{
		name:      "x/sync/semaphore",
		semaphore: func(n int) semaphore { return weighted{xsync.NewWeighted(int64(n))} },
	}
}

type weighted struct{ *xsync.Weighted }

func (w weighted) Acquire(ctx context.Context) (func(), error) {
	if err := w.Weighted.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return func() { w.Release(1) }, nil
}

func (w weighted) Use(ctx context.Context) error {
	if err := w.Weighted.Acquire(ctx, 1); err != nil {
		return err
	}
	work()
	w.Release(1)
	return nil
}

// channelSemaphore is a buffered channel.
func channelSemaphore() limiter {
	return limiter{
		name:      "channel",
		semaphore: func(n int) semaphore { return slotChannel(make(chan struct{}, n)) },
	}
}

type slotChannel chan struct{}

func (c slotChannel) Acquire(ctx context.Context) (func(), error) {
	select {
	case c <- struct{}{}:
		return func() { <-c }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c slotChannel) Use(ctx context.Context) error {
	select {
	case c <- struct{}{}:
		work()
		<-c
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
