package limits

import (
	"context"
	"errors"
)

// A Limiter grants permits: a [Set], a [Pool], what [From] returns, or one of
// yours. It is safe for concurrent use.
type Limiter interface {
	// Acquire returns a permit for all that r takes, or for nothing of it: at
	// once if it is there, else it blocks until it is or ctx ends, which
	// returns context.Cause(ctx) and takes nothing. It waits only behind
	// earlier requests that share a key with r, and in turn nothing overtakes
	// it: a large request is not starved by small ones.
	//
	// If the grant and the end of ctx meet, the grant wins. A request that
	// could never be granted is a *[RequestError] at once; a closed Set
	// returns [ErrClosed]. The permit is the caller's, to be released on every
	// path; a function that holds one while it acquires another of the same
	// Resource may wait for itself.
	Acquire(ctx context.Context, r Request) (*Permit, error)

	// TryAcquire is Acquire without the wait: what cannot be granted now, or
	// would overtake a request that waits, is [ErrUnavailable].
	TryAcquire(r Request) (*Permit, error)

	// Stats returns the state of each limit, in the order of their definition.
	Stats() []Stat
}

// A Queuer is a Limiter that can be waited for without a blocked goroutine, as
// a [Set] and a [Pool] can.
type Queuer interface {
	Limiter

	// Enqueue is Acquire for a caller that does not block. Exactly one result
	// is not nil: a permit, if it could be granted at once; an error, as
	// Acquire returns it; or a ticket, if the request now waits in its turn.
	// Only then to is told of its outcome, once, unless the ticket is
	// cancelled before. That may happen before Enqueue returns.
	Enqueue(r Request, to Grantee) (*Permit, Ticket, error)
}

// A Grantee is told how a request that waited has ended.
type Grantee interface {
	// Granted receives a permit, which is its own to release, or an error:
	// [ErrClosed]. It is called on the goroutine that made the grant possible
	// (one that releases a permit, a timer's), with no lock held, and must not
	// block: others wait for that goroutine. A panic in it is logged, and the
	// permit released; the same after runtime.Goexit, which takes the goroutine
	// along, but none of those who are to be told next.
	Granted(p *Permit, err error)
}

// A Ticket is a place in the queue of a [Queuer].
type Ticket interface {
	// Cancel leaves the queue. It reports true if the request was still
	// waiting, and its Grantee will not hear of it; false if the Grantee was
	// or is about to be told, or the ticket was cancelled before.
	Cancel() bool
}

var errNilContext = errors.New("limits: nil context")

// ended returns the reason for which nothing is granted under ctx.
func ended(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
