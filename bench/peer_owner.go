package main

import (
	"context"
	"sync"
	"sync/atomic"
)

// owningGoroutines is what one writes without a library: a goroutine for each
// state, which nobody else touches, and one channel of requests. Callers that
// wait for each call reuse their reply channels; a batch is answered into slots.
type owningGoroutines struct {
	*channelPool[ownedJob]
	free sync.Pool
}

// ownedJob is answered on reply if it has one, else into its slot.
type ownedJob struct {
	slotJob
	ctx   context.Context
	reply chan outcome
}

func newOwningGoroutines(members int) *owningGoroutines {
	p := &owningGoroutines{channelPool: newOwningPool(members, 0, func() func(ownedJob) {
		fn := ownSquare()
		return func(j ownedJob) {
			if j.reply != nil {
				j.reply <- run(j.ctx, fn, j.x)
				return
			}
			j.to.fill(fn, j.i, j.x)
		}
	})}
	p.free.New = func() any { return make(chan outcome, 1) }
	return p
}

func (p *owningGoroutines) Call(ctx context.Context, x int) (int, error) {
	reply := p.free.Get().(chan outcome)
	p.jobs <- ownedJob{slotJob: slotJob{x: x}, ctx: ctx, reply: reply}
	o := <-reply
	p.free.Put(reply)
	return o.value, o.err
}

func (p *owningGoroutines) Submit(ctx context.Context, in []int) func() ([]int, error) {
	s := newSlots(ctx, len(in))
	for i, x := range in {
		p.jobs <- ownedJob{slotJob: slotJob{i: i, x: x, to: s}}
	}
	return s.collect
}

// lockedStates are states behind a mutex each, taken in turn: no handle, no
// queue, no other goroutine, and so a lower bound.
type lockedStates struct {
	states []lockedState
	next   atomic.Uint64
}

type lockedState struct {
	mu sync.Mutex
	fn function
}

func newLockedStates(n int) *lockedStates {
	l := &lockedStates{states: make([]lockedState, n)}
	for i := range l.states {
		l.states[i].fn = ownSquare()
	}
	return l
}

func (l *lockedStates) Call(ctx context.Context, x int) (int, error) {
	s := &l.states[0]
	if n := uint64(len(l.states)); n > 1 {
		s = &l.states[l.next.Add(1)%n]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fn(ctx, x)
}

func (l *lockedStates) Submit(ctx context.Context, in []int) func() ([]int, error) {
	values := make([]int, len(in))
	for i, x := range in {
		v, err := l.Call(ctx, x)
		if err != nil {
			return func() ([]int, error) { return nil, err }
		}
		values[i] = v
	}
	return func() ([]int, error) { return values, nil }
}

func (l *lockedStates) Stop() {}
