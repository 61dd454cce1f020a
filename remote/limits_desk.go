package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote/wire"
)

// limitsDesk answers the requests for permits of the other side, and takes back
// what that holds when the connection ends. The other side is not trusted: ids
// that it does not have, or has used before, do nothing.
//
// The reader of the connection waits while Sets and Pools are asked, so that what
// a function has released is back before its answer is taken. Somebody's own
// Limiter may block: it does not wait for that one, which has a goroutine while
// there is something to ask. That goroutine may outlive the connection, if the
// Limiter does not return.
type limitsDesk struct {
	conn *link.Conn
	find func(set string) limits.Limiter
	out  *limitsPost
	slow bool // find gives somebody's own Limiter

	ctx context.Context // of requests that wait on a goroutine
	end context.CancelFunc

	mu      sync.Mutex
	closed  bool
	lastID  uint64
	waiting map[uint64]*limitsOrder   // by the id of the Acquire
	held    map[uint64]*limits.Permit // granted here, and not released
	lent    map[uint64]*limits.Permit // of calls, which somebody else releases
	past    map[uint64]*limits.Permit // the last that were released: they can still pause
	pastIDs []uint64                  // of past, oldest first
	late    []*wire.Limits            // for a slow Limiter
	working bool                      // somebody is at it
}

func newLimitsDesk(conn *link.Conn, find func(set string) limits.Limiter) *limitsDesk {
	d := &limitsDesk{
		conn: conn, find: find, out: newLimitsPost(conn), waiting: make(map[uint64]*limitsOrder),
		held: make(map[uint64]*limits.Permit), lent: make(map[uint64]*limits.Permit), past: make(map[uint64]*limits.Permit),
	}
	d.ctx, d.end = context.WithCancel(context.Background())
	switch find(limitsOfPool).(type) {
	case nil, *limits.Set, *limits.Pool:
	default:
		d.slow = true
	}
	return d
}

// receive takes what the proxy of the other side has sent.
func (d *limitsDesk) receive(l *wire.Limits) {
	if !asksDesk(l) {
		return
	}
	if d.slow {
		d.postpone(l)
		return
	}
	// A permit that comes back may go to a Grantee of the program, which may
	// end the goroutine: this one is needed.
	done, finished := make(chan struct{}), false
	go func() {
		defer close(done)
		d.handle(l)
		finished = true
	}()
	<-done
	if !finished {
		d.conn.Close(errEndedInside)
	}
}

var (
	errEndedInside = errors.New("remote: a Limiter or a Grantee called runtime.Goexit")
	errLateLimiter = errors.New("remote: a Limiter takes so long that the requests of the other side pile up")
)

// asksDesk tells requests from answers.
func asksDesk(l *wire.Limits) bool {
	return len(l.GetAcquires())+len(l.GetWithdrawals())+len(l.GetUpdates())+len(l.GetReleases())+len(l.GetPauses())+len(l.GetQueries()) > 0
}

// postpone leaves a message to the goroutine for a slow Limiter.
func (d *limitsDesk) postpone(l *wire.Limits) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	if len(d.late) >= mostLate {
		d.conn.Close(errLateLimiter)
		return
	}
	d.late = append(d.late, l)
	if !d.working {
		d.working = true
		go d.work()
	}
}

// work handles messages until none is left. Goexit in a Limiter ends it half-way,
// and with that the connection.
func (d *limitsDesk) work() {
	finished := false
	defer func() {
		if !finished {
			d.conn.Close(errEndedInside)
		}
	}()
	for {
		d.mu.Lock()
		if len(d.late) == 0 {
			d.working = false
			d.mu.Unlock()
			finished = true
			return
		}
		l := d.late[0]
		d.late = d.late[1:]
		d.mu.Unlock()
		d.handle(l)
	}
}

// handle does what a message asks for. What was sent by one goroutine one after
// the other may have come in one message: first comes what makes room.
func (d *limitsDesk) handle(l *wire.Limits) {
	for _, u := range l.GetUpdates() {
		d.update(u)
	}
	for _, p := range l.GetPauses() {
		d.pause(p)
	}
	for _, id := range l.GetReleases() {
		d.release(id)
	}
	var unknown []uint64
	for _, id := range l.GetWithdrawals() {
		if !d.withdraw(id) {
			unknown = append(unknown, id) // it may have come with its Acquire
		}
	}
	for _, a := range l.GetAcquires() {
		d.acquire(a)
	}
	for _, id := range unknown {
		d.withdraw(id)
	}
	for _, q := range l.GetQueries() {
		d.query(q)
	}
}

func (d *limitsDesk) unknown(set string) error {
	if set == limitsOfPool {
		return fmt.Errorf("remote: %s asks for the limits of a call, and has none of ours with limits", d.conn.Peer().Name)
	}
	return fmt.Errorf("remote: limits %.100q are not shared by the node that was asked: want ShareLimits there", set)
}

// permit returns the permit of an id that the other side may use.
func (d *limitsDesk) permit(id uint64) *limits.Permit {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.held[id]; p != nil {
		return p
	}
	return d.lent[id]
}

func (d *limitsDesk) update(u *wire.Update) {
	err := checkAmount(u.GetKey(), u.GetUsed())
	answer := func(err error) {
		if u.GetId() != 0 {
			d.out.add(&wire.Limits{Updated: []*wire.Updated{{Id: u.GetId(), Failure: wire.EncodeError(err)}}})
		}
	}
	p := d.permit(u.GetPermit())
	switch {
	case err != nil:
		answer(err)
	case p == nil:
		answer(limits.ErrReleased)
	default:
		guard(answer, func() { answer(p.Update(u.GetKey(), int(u.GetUsed()))) })
	}
}

// mostPause is how long others may hold back what somebody shares with them.
const mostPause = 24 * time.Hour

func (d *limitsDesk) pause(m *wire.Pause) {
	length := min(time.Duration(m.GetDuration()), mostPause)
	if id := m.GetPermit(); id != 0 {
		p := d.permit(id)
		if p == nil {
			d.mu.Lock()
			p = d.past[id]
			d.mu.Unlock()
		}
		if p != nil {
			guard(nobody, func() { p.Pause(length) })
		}
	}
}

func (d *limitsDesk) release(id uint64) {
	d.mu.Lock()
	p := d.held[id]
	if p != nil {
		delete(d.held, id)
		d.past[id] = p
		d.pastIDs = append(d.pastIDs, id)
		if len(d.pastIDs) > mostPast {
			delete(d.past, d.pastIDs[0])
			d.pastIDs = d.pastIDs[1:]
		}
	}
	d.mu.Unlock()
	if p != nil {
		guard(nobody, p.Release)
	}
}

func (d *limitsDesk) query(q *wire.Query) {
	answer := func(stats []limits.Stat, err error) {
		d.out.add(&wire.Limits{Stats: []*wire.Stats{{Id: q.GetId(), Stats: statsToWire(stats), Failure: wire.EncodeError(err)}}})
	}
	l := d.find(q.GetSet())
	if l == nil {
		answer(nil, d.unknown(q.GetSet()))
		return
	}
	guard(func(err error) { answer(nil, err) }, func() { answer(l.Stats(), nil) })
}

// lend lets the other side use the permit of a call until takeBack. It calls
// nothing of the permit.
func (d *limitsDesk) lend(l *wire.Lease, p *limits.Permit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastID++
	l.Permit = d.lastID
	d.lent[l.Permit] = p
}

// takeBack ends lend; the permit is released by whoever took it.
func (d *limitsDesk) takeBack(l *wire.Lease) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.lent, l.GetPermit())
}

// close withdraws what waits and releases what is held, when the connection has
// ended. What is granted later is released at once.
func (d *limitsDesk) close() {
	d.end()
	d.mu.Lock()
	d.closed = true
	waiting, held := d.waiting, d.held
	d.waiting, d.held, d.late, d.past, d.pastIDs = nil, nil, nil, nil, nil
	d.mu.Unlock()
	d.out.close()
	for _, o := range waiting {
		o.drop()
	}
	for _, p := range held {
		guard(nobody, p.Release)
	}
}
