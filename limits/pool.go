package limits

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
)

// A Pool is a [Limiter] over several Sets: regions, accounts or keys that can
// stand in for each other. It asks the Set whose turn it is first and goes on
// to the others if that one cannot grant at once. If none can, the request
// waits at all of them, in its turn at each, and goes to the first that can.
//
// Sets that lack a key of the request, or could never grant it for another
// reason, and closed Sets are passed over. A request that none could ever grant
// gets a *[RequestError]: about an amount, from the first Set that has all its
// keys, or else about a key, from the first Set. If none is left that is open,
// it gets [ErrClosed]. A Pool is safe for concurrent use and has no state of its own but
// whose turn it is: a Set may be in several Pools, and be used directly.
type Pool struct {
	sets   []*Set
	choice Choice
	offset int

	mu    sync.Mutex // held while a request joins the queues, so that all of them have the same order
	turns atomic.Uint64
}

// NewPool returns a Pool over sets, of which there must be at least one, none
// nil and none twice. All that is wrong is joined in one error.
func NewPool(sets []*Set, opts ...PoolOption) (*Pool, error) {
	p := &Pool{sets: slices.Clone(sets)}
	var errs []error
	if len(sets) == 0 {
		errs = append(errs, errors.New("limits: Pool: no sets"))
	}
	seen := make(map[*Set]bool, len(sets))
	for i, s := range sets {
		if s == nil {
			errs = append(errs, fmt.Errorf("limits: Pool: set %d is nil", i))
		} else if seen[s] {
			errs = append(errs, fmt.Errorf("limits: Pool: set %d is there twice", i))
		}
		seen[s] = true
	}
	for _, o := range opts {
		if o == nil {
			errs = append(errs, errors.New("limits: Pool: nil option"))
		} else if err := o.applyPool(p); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// Acquire implements [Limiter].
func (p *Pool) Acquire(ctx context.Context, r Request) (*Permit, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	permit, t, err := p.ask(r, nil)
	if t == nil {
		return permit, err
	}
	return t.wait(ctx)
}

// TryAcquire implements [Limiter].
func (p *Pool) TryAcquire(r Request) (*Permit, error) {
	permit, err := p.try(r, p.turn())
	if err == ErrUnavailable {
		for _, s := range p.sets {
			s.refuse(r)
		}
	}
	return permit, err
}

// Enqueue implements [Queuer].
func (p *Pool) Enqueue(r Request, to Grantee) (*Permit, Ticket, error) {
	if to == nil {
		return nil, nil, errNilGrantee
	}
	permit, t, err := p.ask(r, to)
	if t == nil {
		return permit, nil, err
	}
	return nil, t, nil
}

// Check returns what Acquire would say of r at once, without taking anything: a
// *[RequestError] if no Set could ever grant r, [ErrClosed] if those that could
// are closed, else nil.
func (p *Pool) Check(r Request) error {
	closed := false
	for _, s := range p.sets {
		switch s.Check(r) {
		case nil:
			return nil
		case ErrClosed:
			closed = true
		}
	}
	if closed {
		return ErrClosed
	}
	return p.fault(r)
}

// Sets returns the Sets of the Pool, in their order, in a slice that the caller
// may keep.
func (p *Pool) Sets() []*Set { return slices.Clone(p.sets) }

// Stats returns those of the Sets, one after another.
func (p *Pool) Stats() []Stat {
	var stats []Stat
	for _, s := range p.sets {
		stats = append(stats, s.Stats()...)
	}
	return stats
}

// turn returns the index of the Set to ask first.
func (p *Pool) turn() int {
	if p.choice == Random {
		return rand.IntN(len(p.sets))
	}
	n := uint64(len(p.sets))
	return int((p.turns.Add(1) - 1 + uint64(p.offset)) % n)
}

// try grants r from the first Set that can, beginning with sets[first].
func (p *Pool) try(r Request, first int) (*Permit, error) {
	var unavailable, closed bool
	for i := range p.sets {
		permit, err := p.sets[(first+i)%len(p.sets)].try(r, false)
		switch err {
		case nil:
			return permit, nil
		case ErrUnavailable:
			unavailable = true
		case ErrClosed:
			closed = true
		}
	}
	switch {
	case unavailable:
		return nil, ErrUnavailable
	case closed:
		return nil, ErrClosed
	default:
		return nil, p.fault(r)
	}
}

// fault tells what is wrong with r, which no Set could ever grant.
func (p *Pool) fault(r Request) error {
	for _, s := range p.sets {
		if s.fits(r) {
			return s.fault(r)
		}
	}
	return p.sets[0].fault(r)
}

// ask grants r now, or lets it wait for the one to be told; nil for a caller
// that blocks.
func (p *Pool) ask(r Request, to Grantee) (*Permit, *ticket, error) {
	first := p.turn()
	permit, err := p.try(r, first)
	if err != ErrUnavailable {
		return permit, nil, err
	}
	t := newTicket(to)
	t.open.Add(1) // until it has joined all queues, so that none of them ends it as the last
	for i := range p.sets {
		s := p.sets[(first+i)%len(p.sets)]
		if need, err := s.resolve(r, nil); err == nil {
			t.place(s, need)
		}
	}
	told := p.join(t)
	if t.open.Add(-1) == 0 && t.settle() {
		t.err = ErrClosed
		told.add(t)
	}
	told.tell()
	return nil, t, nil
}

// join lets t wait at all its Sets and returns whom to tell: t itself, if one
// of them could grant it after all.
func (p *Pool) join(t *ticket) (told tickets) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range t.entries {
		e.permit.set.join(e, &told)
	}
	return told
}
