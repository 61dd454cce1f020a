package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/pool"
	"github.com/troupe-go/troupe/limits"
)

// NewLimited is [New] for a function that takes its permits itself: it is given
// the Limiter of the [Limits] option, or without that one that grants anything
// at once. It excludes [Cost]. The Limiter is good until the function returns,
// in whatever way: permits left unreleased are released then, and later ones
// refused. Until then it remembers each permit, 100 bytes or so.
//
// The function waits for a permit on its worker, within [Timeout]. A
// [RetryAfter] pauses all that the attempt has been granted.
func NewLimited[In, Out any](fn func(context.Context, In, limits.Limiter) (Out, error), opts ...Option) (*Task[In, Out], error) {
	var inner func(context.Context, In) (Out, error)
	injected := option(func(s *settings) error { s.injected = true; return nil })
	if fn != nil {
		inner = func(ctx context.Context, in In) (Out, error) { return fn(ctx, in, limits.From(ctx)) }
		injected = func(s *settings) error { s.injected, s.name = true, symbol(fn); return nil }
	}
	return New(inner, append([]Option{injected}, opts...)...)
}

// MustNewLimited is NewLimited for variables: it panics where NewLimited
// returns an error.
func MustNewLimited[In, Out any](fn func(context.Context, In, limits.Limiter) (Out, error), opts ...Option) *Task[In, Out] {
	t, err := NewLimited(fn, opts...)
	if err != nil {
		panic(err)
	}
	return t
}

// gate is the limiter that the engine asks before each attempt; nil if none.
func (s *settings) gate() limits.Limiter {
	if s.injected {
		return nil
	}
	return s.limiter
}

// costsOf checks the options about limits against each other; its faults join
// those before.
func costsOf[In any](s *settings, before error) (func(In) limits.Request, error) {
	cost, err := typed[func(In) limits.Request]("Cost", s.cost)
	faults := []error{before, err}
	if s.cost != nil && s.injected {
		faults = append(faults, errors.New("task: Cost: a function that is given the Limiter takes its permits itself"))
	}
	return cost, errors.Join(append(faults, s.rateNeedsCost())...)
}

func (s *settings) rateNeedsCost() error {
	if s.gate() == nil || s.cost != nil {
		return nil
	}
	for _, stat := range s.limiter.Stats() {
		if stat.Kind == "rate" {
			return fmt.Errorf("task: Limits: the Rate %q needs Cost, to say what a call takes of it", stat.Key)
		}
	}
	return nil
}

// limit lets the function find its Limiter and its permit.
func (h *shell) limit(set *settings) func(a *pool.Attempt) {
	l := set.limiter
	return func(a *pool.Attempt) {
		h.meet.Do(func() { introduce(l, h.pool.System()) })
		given := l
		if set.injected {
			k := &keeper{Limiter: l}
			a.OnLeave(k.releaseAll)
			a.Local, given = k, k
		}
		a.Ctx = limits.NewContext(a.Ctx, given, a.Permit())
	}
}

// introduce makes the actors of the Sets behind l live in sys from now on.
func introduce(l limits.Limiter, sys *actor.System) {
	switch l := l.(type) {
	case *limits.Set:
		l.PID(sys)
	case *limits.Pool:
		for _, set := range l.Sets() {
			set.PID(sys)
		}
	}
}

// pause holds back what the attempt used, if err says that it is overrun.
func pause(a *pool.Attempt, err error) {
	var after *retryAfterError
	if !errors.As(err, &after) {
		return
	}
	if p := a.Permit(); p != nil {
		p.Pause(after.after)
	}
	if k, ok := a.Local.(*keeper); ok {
		k.pause(err)
	}
}

// keeper is the Limiter of one attempt: it remembers what it granted, so that
// a function which fails half-way leaves nothing behind.
type keeper struct {
	limits.Limiter
	mu      sync.Mutex
	permits []*limits.Permit
	over    bool
}

func (k *keeper) keep(p *limits.Permit, err error) (*limits.Permit, error) {
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	over := k.over
	if !over {
		k.permits = append(k.permits, p)
	}
	k.mu.Unlock()
	if over { // by a goroutine that the function left behind
		p.Release()
		return nil, errors.New("task: the function whose Limiter this is has returned")
	}
	return p, nil
}

// Acquire implements limits.Limiter.
func (k *keeper) Acquire(ctx context.Context, r limits.Request) (*limits.Permit, error) {
	return k.keep(k.Limiter.Acquire(ctx, r))
}

// TryAcquire implements limits.Limiter.
func (k *keeper) TryAcquire(r limits.Request) (*limits.Permit, error) {
	return k.keep(k.Limiter.TryAcquire(r))
}

// pause holds back what was granted, if err says that it is overrun.
func (k *keeper) pause(err error) {
	var after *retryAfterError
	if !errors.As(err, &after) {
		return
	}
	for _, p := range k.held() {
		p.Pause(after.after)
	}
}

func (k *keeper) held() []*limits.Permit {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.permits)
}

func (k *keeper) releaseAll() {
	k.mu.Lock()
	permits := k.permits
	k.permits, k.over = nil, true
	k.mu.Unlock()
	for _, p := range permits {
		p.Release()
	}
}
