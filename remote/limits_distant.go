package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote/wire"
)

// limitsSource is where permits of elsewhere come from: one connection, or one
// after the other.
type limitsSource interface {
	// ask lets a request wait. Either it returns an error, or to is told.
	ask(set string, r map[string]int64, to asker) (limits.Ticket, error)
	// try blocks for the answer, not for the grant.
	try(set string, r map[string]int64) (*limits.Permit, error)
	stats(set string) ([]limits.Stat, error)
}

// distantLimits is the Limiter of a Set elsewhere. It is a limits.Queuer.
type distantLimits struct {
	from limitsSource
	set  string
}

var _ limits.Queuer = (*distantLimits)(nil)

// Acquire implements limits.Limiter.
func (l *distantLimits) Acquire(ctx context.Context, r limits.Request) (*limits.Permit, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	request, err := toWire(r)
	if err != nil {
		return nil, err
	}
	w := newLimitsWaiter()
	ticket, err := l.from.ask(l.set, request, w)
	if err != nil {
		return nil, err
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		if ticket.Cancel() {
			return nil, context.Cause(ctx)
		}
		<-w.done // the answer is here, and about to be told
	}
	return w.permit, w.err
}

// TryAcquire implements limits.Limiter.
func (l *distantLimits) TryAcquire(r limits.Request) (*limits.Permit, error) {
	request, err := toWire(r)
	if err != nil {
		return nil, err
	}
	return l.from.try(l.set, request)
}

// Stats implements limits.Limiter. Without an answer there are none.
func (l *distantLimits) Stats() []limits.Stat {
	stats, err := l.from.stats(l.set)
	if err != nil {
		return nil
	}
	return stats
}

var errNilGrantee = errors.New("remote: nil grantee")

// Enqueue implements limits.Queuer.
func (l *distantLimits) Enqueue(r limits.Request, to limits.Grantee) (*limits.Permit, limits.Ticket, error) {
	if to == nil {
		return nil, nil, errNilGrantee
	}
	request, err := toWire(r)
	if err != nil {
		return nil, nil, err
	}
	ticket, err := l.from.ask(l.set, request, granteeAsker{to})
	if err != nil {
		return nil, nil, err
	}
	return nil, ticket, nil
}

// limitsWaiter is the asker of a caller that blocks.
type limitsWaiter struct {
	done   chan struct{}
	permit *limits.Permit
	err    error
}

func newLimitsWaiter() *limitsWaiter { return &limitsWaiter{done: make(chan struct{})} }

func (w *limitsWaiter) answered(p *limits.Permit, err error) {
	w.permit, w.err = p, err
	close(w.done)
}

// granteeAsker tells a Grantee, on a goroutine of its own: the one that reads
// the connection is needed for whatever the Grantee may ask.
type granteeAsker struct{ to limits.Grantee }

func (a granteeAsker) answered(p *limits.Permit, err error) {
	go func() {
		returned := false
		defer func() {
			if returned {
				return
			}
			var reason any = "runtime.Goexit"
			if r := recover(); r != nil {
				reason = r
			}
			p.Release()
			slog.Error("troupe: panic in Granted", "grantee", fmt.Sprintf("%T", a.to), "panic", reason)
		}()
		a.to.Granted(p, err)
		returned = true
	}()
}

// limitsKeeper keeps a permit of elsewhere, for as long as the connection lives
// over which it came. It is a limits.Keeper.
type limitsKeeper struct {
	proxy  *limitsProxy
	id     uint64
	config map[string]string
	leased bool // its owner releases it
}

// Update implements limits.Keeper.
func (k *limitsKeeper) Update(key string, used int) error {
	if err := checkAmount(key, int64(used)); err != nil {
		return err
	}
	return k.proxy.update(k.id, key, used)
}

// Release implements limits.Keeper.
func (k *limitsKeeper) Release() {
	if !k.leased {
		k.proxy.send(&wire.Limits{Releases: []uint64{k.id}})
	}
}

// Pause implements limits.Keeper.
func (k *limitsKeeper) Pause(d time.Duration) {
	if d <= 0 {
		return
	}
	k.proxy.send(&wire.Limits{Pauses: []*wire.Pause{{Permit: k.id, Duration: int64(d)}}})
}

// Config implements limits.Keeper.
func (k *limitsKeeper) Config() map[string]string { return maps.Clone(k.config) }
