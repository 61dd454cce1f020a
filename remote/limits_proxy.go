package remote

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote/wire"
)

// limitsProxy asks for permits at the other side of a connection. Its lock is
// never held while an asker is told.
type limitsProxy struct {
	conn *link.Conn

	mu      sync.Mutex
	err     error // the connection has ended; a *lostLimits
	lastID  uint64
	asks    map[uint64]*limitsAsk
	replies map[uint64]chan limitsReply
}

// asker is told how a request ended: once, on the goroutine that reads the
// connection, so that it must not block.
type asker interface {
	answered(p *limits.Permit, err error)
}

// limitsAsk is an Acquire that is under way. It is a limits.Ticket.
type limitsAsk struct {
	proxy     *limitsProxy
	id        uint64
	to        asker
	withdrawn bool // nobody waits for it any more
}

// limitsReply answers an Update or a Query.
type limitsReply struct {
	stats []limits.Stat
	err   error
}

func newLimitsProxy(conn *link.Conn) *limitsProxy {
	return &limitsProxy{conn: conn, asks: make(map[uint64]*limitsAsk), replies: make(map[uint64]chan limitsReply)}
}

// context gives a function the limits of its owner and the permit of its call.
func (p *limitsProxy) context(ctx context.Context, set string, lease *wire.Lease) context.Context {
	var l limits.Limiter
	if set != "" {
		l = &distantLimits{from: p, set: set}
	}
	var permit *limits.Permit
	if lease != nil {
		permit = limits.NewPermit(&limitsKeeper{proxy: p, id: lease.GetPermit(), config: lease.GetConfig(), leased: true})
	}
	return limits.NewContext(ctx, l, permit)
}

// ask implements limitsSource. The order of asks is that of their arrival there.
func (p *limitsProxy) ask(set string, r map[string]int64, to asker) (limits.Ticket, error) {
	return p.acquire(&wire.Acquire{Set: set, Request: r}, to)
}

// try implements limitsSource.
func (p *limitsProxy) try(set string, r map[string]int64) (*limits.Permit, error) {
	w := newLimitsWaiter()
	if _, err := p.acquire(&wire.Acquire{Set: set, Request: r, Try: true}, w); err != nil {
		return nil, err
	}
	<-w.done
	return w.permit, w.err
}

func (p *limitsProxy) acquire(a *wire.Acquire, to asker) (limits.Ticket, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.err != nil:
		return nil, p.err
	case len(p.asks) >= mostAsks:
		return nil, errTooMany(p.conn.Peer().Name)
	}
	p.lastID++
	ask := &limitsAsk{proxy: p, id: p.lastID, to: to}
	p.asks[ask.id] = ask
	a.Id = ask.id
	p.send(&wire.Limits{Acquires: []*wire.Acquire{a}})
	return ask, nil
}

// Cancel implements limits.Ticket. A permit that is on its way is released when
// it comes.
func (a *limitsAsk) Cancel() bool {
	p := a.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asks[a.id] != a || a.withdrawn {
		return false
	}
	a.withdrawn = true
	p.send(&wire.Limits{Withdrawals: []uint64{a.id}})
	return true
}

// stats implements limitsSource.
func (p *limitsProxy) stats(set string) ([]limits.Stat, error) {
	r := p.query(func(id uint64) *wire.Limits { return &wire.Limits{Queries: []*wire.Query{{Id: id, Set: set}}} })
	return r.stats, r.err
}

func (p *limitsProxy) update(permit uint64, key string, used int) error {
	return p.query(func(id uint64) *wire.Limits {
		return &wire.Limits{Updates: []*wire.Update{{Id: id, Permit: permit, Key: key, Used: int64(used)}}}
	}).err
}

// query sends what is answered, and waits for the answer.
func (p *limitsProxy) query(message func(id uint64) *wire.Limits) limitsReply {
	reply := make(chan limitsReply, 1)
	p.mu.Lock()
	if p.err != nil {
		p.mu.Unlock()
		return limitsReply{err: p.err}
	}
	p.lastID++
	p.replies[p.lastID] = reply
	p.send(message(p.lastID))
	p.mu.Unlock()
	return <-reply
}

// send does nothing once the connection has ended.
func (p *limitsProxy) send(l *wire.Limits) {
	p.conn.AddLimits(l)
	p.conn.Kick()
}

// receive takes what the desk answers. Answers to nothing are ignored.
func (p *limitsProxy) receive(l *wire.Limits) {
	for _, g := range l.GetGrants() {
		p.granted(g)
	}
	for _, u := range l.GetUpdated() {
		p.replied(u.GetId(), limitsReply{err: wire.DecodeError(u.GetFailure())})
	}
	for _, s := range l.GetStats() {
		if f := s.GetFailure(); f != nil {
			p.replied(s.GetId(), limitsReply{err: wire.DecodeError(f)})
		} else {
			p.replied(s.GetId(), limitsReply{stats: statsFromWire(s.GetStats())})
		}
	}
}

var errNoAnswer = errors.New("remote: a grant without a permit and without a reason")

func (p *limitsProxy) granted(g *wire.Grant) {
	p.mu.Lock()
	a := p.asks[g.GetId()]
	delete(p.asks, g.GetId())
	forget := a != nil && a.withdrawn
	p.mu.Unlock()
	switch {
	case a == nil:
	case forget:
		if g.GetPermit() != 0 {
			p.send(&wire.Limits{Releases: []uint64{g.GetPermit()}})
		}
	case g.GetFailure() != nil:
		a.to.answered(nil, wire.DecodeError(g.GetFailure()))
	case g.GetPermit() == 0:
		a.to.answered(nil, errNoAnswer)
	default:
		a.to.answered(limits.NewPermit(&limitsKeeper{proxy: p, id: g.GetPermit(), config: g.GetConfig()}), nil)
	}
}

func (p *limitsProxy) replied(id uint64, r limitsReply) {
	p.mu.Lock()
	reply := p.replies[id]
	delete(p.replies, id)
	p.mu.Unlock()
	if reply != nil {
		reply <- r
	}
}

// close ends all waits, in the order in which they began: the connection has
// ended for the reason err. What was granted over it is void; the other side
// takes it back.
func (p *limitsProxy) close(err error) {
	lost := &lostLimits{node: p.conn.Peer().Name, cause: err}
	p.mu.Lock()
	if p.err != nil {
		p.mu.Unlock()
		return
	}
	p.err = lost
	asks, replies := p.asks, p.replies
	p.asks, p.replies = nil, nil
	p.mu.Unlock()
	for _, reply := range replies {
		reply <- limitsReply{err: lost}
	}
	for _, id := range slices.Sorted(maps.Keys(asks)) {
		if a := asks[id]; !a.withdrawn {
			a.to.answered(nil, lost)
		}
	}
}
