package limits

import (
	"context"

	"github.com/troupe-go/troupe/internal/limitctx"
)

// From returns the Limiter of the task whose function was given ctx, or a
// context made from it; without one, a Limiter that grants anything at once.
// It never returns nil.
func From(ctx context.Context) Limiter {
	if ctx != nil {
		if l, ok := ctx.Value(limitctx.Limiter{}).(Limiter); ok {
			return l
		}
	}
	return unlimited{}
}

// PermitFrom returns the permit that a task took for the call whose function
// was given ctx, to report its use; the task releases it. Without one it
// returns a permit that stands for nothing and takes any report. It never
// returns nil.
func PermitFrom(ctx context.Context) *Permit {
	if ctx != nil {
		if p, ok := ctx.Value(limitctx.Permit{}).(*Permit); ok && p != nil {
			return p
		}
	}
	return &noPermit
}

// NewContext returns a context in which [From] finds l and [PermitFrom] finds
// p; a nil one is left as it is in ctx. It is what a task does for its
// functions, for tests of them and for other runtimes.
func NewContext(ctx context.Context, l Limiter, p *Permit) context.Context {
	return &limitContext{Context: ctx, limiter: l, permit: p}
}

type limitContext struct {
	context.Context
	limiter Limiter
	permit  *Permit
}

func (c *limitContext) Value(key any) any {
	switch key.(type) {
	case limitctx.Limiter:
		if c.limiter != nil {
			return c.limiter
		}
	case limitctx.Permit:
		if c.permit != nil {
			return c.permit
		}
	}
	return c.Context.Value(key)
}

// noPermit is the permit of everything that has no limits.
var noPermit Permit

// unlimited is the Limiter of everything that has no limits.
type unlimited struct{}

func (unlimited) Acquire(ctx context.Context, r Request) (*Permit, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	return unlimited{}.TryAcquire(r)
}

func (unlimited) TryAcquire(r Request) (*Permit, error) {
	if err := negative(r); err != nil {
		return nil, err
	}
	return &noPermit, nil
}

func (unlimited) Enqueue(r Request, to Grantee) (*Permit, Ticket, error) {
	if to == nil {
		return nil, nil, errNilGrantee
	}
	p, err := unlimited{}.TryAcquire(r)
	return p, nil, err
}

func (unlimited) Stats() []Stat { return nil }
