package remote

import (
	"context"
	"reflect"
	"time"

	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

// flight is a call under way to another place and back.
type flight struct {
	call    wire.Call
	names   wire.Names
	out     any // pointer to where the result goes; nil: none is wanted
	outType reflect.Type
	permit  *limits.Permit
	timed   bool // it has a Timeout

	seat *seat
	conn *link.Conn
	desk *limitsDesk

	mark     uint64      // its number on the connection; 0: that had ended
	watched  bool        // the pool tells of its cancel
	look     int         // of its seat, the last that was due before it was sent
	recalled bool        // it was called back; the crew's lock guards this and what follows
	kill     *time.Timer // of its process, when it is late in ending

	// Written before arrived is told.
	answer  *wire.Answer
	codec   string
	err     error // in place of an answer
	arrived chan struct{}
}

// pack makes the flight of an attempt. The error is the attempt's.
func (c *crew) pack(ctx context.Context, call *place.Call) (*flight, error) {
	f := &flight{
		call: wire.Call{
			Number: call.ID, Attempt: uint32(call.Attempt), Idempotent: c.job.Idempotent, Headers: headers(ctx),
		},
		names: wire.Names{Task: c.job.Name},
		out:   call.Out, outType: c.job.Out, permit: call.Permit,
		arrived: c.arrival(), timed: call.Timed,
	}
	in := c.job.In
	if m := call.Method; m != nil {
		f.names.Method, f.outType, in = m.Symbol, m.Out, m.In
		f.call.Types = c.methods.types(m)
	}
	if c.job.Limiter != nil {
		f.call.Limits = limitsOfPool
	}
	if f.permit != nil {
		f.call.Lease = &wire.Lease{Config: f.permit.Config()}
	}
	if deadline, ok := ctx.Deadline(); ok {
		f.call.Remaining = max(1, int64(time.Until(deadline)))
	}
	if in == nil {
		return f, nil
	}
	p, err := wire.EncodeValue(c.codecs, in, call.In, c.maxPayload)
	if err != nil {
		return nil, task.Permanent(nameFault(c.job.Name, "argument", err))
	}
	f.call.Payload, f.names.Codec = p.Data, p.Codec
	return f, nil
}

// limitsOfPool is the name under which a function asks for the limits of the
// pool that has sent its call.
const limitsOfPool = "@pool"

// wait returns when f has arrived. If ctx ends before, the function is told, by
// whoever notices: with watched, that is the pool.
func (f *flight) wait(ctx context.Context, watched bool) {
	done := ctx.Done
	switch {
	case watched && ctx.Err() != nil: // the pool may have told before there was a flight
		f.cancel(cell.CauseOf(ctx))
	case !watched && done() != nil:
		select {
		case <-f.arrived:
			f.arrived <- struct{}{}
		case <-done():
			f.cancel(cell.CauseOf(ctx))
		}
	}
	<-f.arrived
	f.seat.crew.arrivals.Put(f.arrived)
}

// cancel tells the function that its ctx has ended. In a child process it may
// not ignore that for longer than grace.
func (f *flight) cancel(cause error) {
	c := f.seat.crew
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recall(f, cause)
}

// recall is cancel with the crew's lock held.
func (c *crew) recall(f *flight, cause error) {
	if f.seat.flights[f.call.GetId()] != f {
		return // it has arrived
	}
	f.conn.AddCancel(&wire.Cancel{Id: f.call.GetId(), Cause: wire.EncodeError(cause)})
	f.conn.Kick()
	if overdue := f.seat.overdue; overdue != nil && f.kill == nil {
		f.kill = time.AfterFunc(f.seat.grace, func() { overdue(f) })
	}
}

// Cancel implements place.Site.
func (c *crew) Cancel(call uint64, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.watched[call]; f != nil {
		c.recall(f, cause)
	}
}

// Halt implements place.Site.
func (c *crew) Halt(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.seats {
		for _, f := range s.flights {
			c.recall(f, cause)
		}
	}
}

// arrival returns a channel for arrived.
func (c *crew) arrival() chan struct{} {
	if ch, ok := c.arrivals.Get().(chan struct{}); ok {
		return ch
	}
	return make(chan struct{}, 1)
}

// arrive ends the flight. The crew has forgotten it.
func (f *flight) arrive() {
	if f.kill != nil {
		f.kill.Stop()
	}
	f.arrived <- struct{}{}
}
