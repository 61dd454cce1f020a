package remote

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote/wire"
)

// limitsOrder is an Acquire of the other side. Whoever takes it out of the
// desk's waiting decides its outcome; a permit that comes later goes back. It
// is a limits.Grantee.
type limitsOrder struct {
	desk *limitsDesk
	id   uint64

	// Guarded by the desk.
	ticket limits.Ticket
	cancel context.CancelFunc // of one that waits on a goroutine
}

func (d *limitsDesk) acquire(a *wire.Acquire) {
	o, l, r, err := d.admit(a)
	if err != nil {
		d.answer(a.GetId(), 0, nil, err)
		return
	}
	if o == nil {
		return
	}
	guard(func(err error) { o.Granted(nil, err) }, func() { o.place(l, r, a.GetTry()) })
}

// admit notes an order, or says why there is none. Without either it is
// nobody's: an id that is in use, or a connection that has ended.
func (d *limitsDesk) admit(a *wire.Acquire) (*limitsOrder, limits.Limiter, limits.Request, error) {
	r, err := fromWire(a.GetRequest())
	if err != nil {
		return nil, nil, nil, err
	}
	l := d.find(a.GetSet())
	if l == nil {
		return nil, nil, nil, d.unknown(a.GetSet())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.waiting[a.GetId()] != nil {
		return nil, nil, nil, nil
	}
	if len(d.waiting)+len(d.held) >= mostAsks {
		return nil, nil, nil, errTooMany(d.conn.Peer().Name)
	}
	o := &limitsOrder{desk: d, id: a.GetId()}
	d.waiting[o.id] = o
	return o, l, r, nil
}

// place asks l.
func (o *limitsOrder) place(l limits.Limiter, r limits.Request, try bool) {
	if try {
		o.Granted(l.TryAcquire(r))
		return
	}
	q, ok := l.(limits.Queuer)
	if !ok {
		o.wait(l, r)
		return
	}
	p, ticket, err := q.Enqueue(r, o)
	if ticket == nil {
		o.Granted(p, err)
		return
	}
	o.desk.mu.Lock()
	over := o.desk.waiting[o.id] != o
	o.ticket = ticket
	o.desk.mu.Unlock()
	if over {
		ticket.Cancel()
	}
}

// wait asks a Limiter that can only be waited for by a goroutine.
func (o *limitsOrder) wait(l limits.Limiter, r limits.Request) {
	ctx, cancel := context.WithCancel(o.desk.ctx)
	o.desk.mu.Lock()
	o.cancel = cancel
	o.desk.mu.Unlock()
	go func() {
		defer cancel()
		guard(func(err error) { o.Granted(nil, err) }, func() { o.Granted(l.Acquire(ctx, r)) })
	}()
}

// Granted implements limits.Grantee, and ends all other orders, too.
func (o *limitsOrder) Granted(p *limits.Permit, err error) {
	d := o.desk
	if p == nil && err == nil {
		err = errNoAnswer
	}
	var config map[string]string
	if p != nil {
		guard(nobody, func() { config = p.Config() })
	}
	d.mu.Lock()
	over, id := d.waiting[o.id] != o, uint64(0)
	if !over {
		delete(d.waiting, o.id)
		if p != nil {
			d.lastID++
			id = d.lastID
			d.held[id] = p
		}
	}
	d.mu.Unlock()
	if over {
		guard(nobody, p.Release)
		return
	}
	d.answer(o.id, id, config, err)
}

// answer sends the outcome of an Acquire.
func (d *limitsDesk) answer(acquire, permit uint64, config map[string]string, err error) {
	d.out.add(&wire.Limits{Grants: []*wire.Grant{{Id: acquire, Permit: permit, Config: config, Failure: wire.EncodeError(err)}}})
}

// withdraw ends an order that nobody waits for any more; false if there is none.
func (d *limitsDesk) withdraw(id uint64) bool {
	d.mu.Lock()
	o := d.waiting[id]
	delete(d.waiting, id)
	d.mu.Unlock()
	if o == nil {
		return false
	}
	o.drop()
	d.answer(id, 0, nil, context.Canceled)
	return true
}

// drop makes an order leave its queue. It is not among those that wait.
func (o *limitsOrder) drop() {
	o.desk.mu.Lock()
	ticket, cancel := o.ticket, o.cancel
	o.desk.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	if ticket != nil {
		guard(nobody, func() { ticket.Cancel() })
	}
}

// guard calls f, which may call a Limiter of the program, and fail if that
// panics or ends the goroutine.
func guard(fail func(error), f func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		err := errEndedInside
		if reason := recover(); reason != nil {
			slog.Error("troupe: a Limiter panicked", "panic", reason)
			err = fmt.Errorf("remote: the Limiter panicked: %v", reason)
		}
		fail(err)
	}()
	f()
	returned = true
}

func nobody(error) {}
