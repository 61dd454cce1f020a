package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

// crew is the Site of one placed pool: it has a seat for each node or child
// process, and sends calls to those that have room. One lock guards the crew
// and its seats. The pool's lock may be taken under it, never the other way
// round.
type crew struct {
	job        place.Job
	schema     wire.Schema
	codecs     *wire.Codecs
	maxPayload int
	link       link.Config
	man        func(*seat) // lives on a seat until the crew's ctx ends
	perSeat    int         // most members on a seat; 0: no bound
	log        func() *slog.Logger
	methods    methodBook

	life atomic.Pointer[crewLife] // nil: not started

	mu       sync.Mutex
	seats    []*seat
	allowed  int
	closed   error         // why no seat will ever do, if so
	changed  chan struct{} // closed when a seat has changed its state
	hurried  bool          // calls have short Timeouts: nothing is sent ahead
	losses   map[uint64]int
	watched  map[uint64]*flight // those that Cancel may be asked for, by the call's number
	arrivals sync.Pool          // of channels for flights
	nextID   uint64
	turn     int
}

// crewLife is what lasts from a Start to the next one.
type crewLife struct {
	pool place.Pool
	ctx  context.Context // ends at Stop
	end  context.CancelCauseFunc

	tasks sync.WaitGroup
}

// now returns the life that the crew has now.
func (c *crew) now() *crewLife { return c.life.Load() }

// newCrew makes a crew with a seat for each name. Nothing runs until Start.
func newCrew(job place.Job, names []string) (*crew, error) {
	c := &crew{job: job, changed: make(chan struct{}), log: job.System.Log}
	var err error
	if job.Kind == place.KindWorker {
		c.schema = wire.WorkerSchema(job.Name, job.State)
	} else {
		c.schema = wire.TaskSchema(job.Name, job.In, job.Out)
		err = errors.Join(unsendable(job, "argument", job.In), unsendable(job, "result", job.Out))
	}
	for _, name := range names {
		c.seats = append(c.seats, newSeat(c, name))
	}
	return c, err
}

// unsendable says that values of t cannot leave the process, if so.
func unsendable(job place.Job, what string, t reflect.Type) error {
	if err := wire.Portable(t); err != nil {
		return fmt.Errorf("remote: task %q cannot run elsewhere: its %s: %w", job.Name, what, err)
	}
	return nil
}

// Start implements place.Site.
func (c *crew) Start(pool place.Pool) {
	ctx, end := context.WithCancelCause(context.Background())
	life := &crewLife{pool: pool, ctx: ctx, end: end}
	c.life.Store(life) // without the lock: the pool's is held
	for _, s := range c.seats {
		life.tasks.Go(func() { c.man(s) })
	}
}

// Stop implements place.Site.
func (c *crew) Stop() { c.shut(errPoolStopped) }

func (c *crew) shut(why error) {
	if c.now() == nil {
		return
	}
	c.now().end(why)
	c.now().tasks.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.allowed, c.closed, c.losses = 0, nil, nil
}

var errPoolStopped = errors.New("the pool has stopped")

// errNoRoom is why a call was not sent.
var errNoRoom = errors.New("no place has room")

// Run implements place.Site.
func (c *crew) Run(ctx context.Context, call *place.Call) error {
	f, err := c.pack(ctx, call)
	if err != nil {
		return err
	}
	return c.exchange(ctx, f, nil, call.Watched)
}

// exchange sends a flight, to the seat of m if it is for a member, and waits for
// what comes back.
func (c *crew) exchange(ctx context.Context, f *flight, m *member, watched bool) error {
	f.watched = watched
	err := c.board(f, m)
	var large *PayloadError
	switch {
	case errors.As(err, &large):
		return task.Permanent(err)
	case err != nil:
		return &place.Undone{Err: err}
	}
	f.wait(ctx, watched)
	return c.land(f)
}

// board gives f a seat and adds it to what goes there.
func (c *crew) board(f *flight, m *member) error {
	c.mu.Lock()
	s := (*seat)(nil)
	switch {
	case m == nil:
		s = c.pick()
	case m.loss == nil && m.conn == m.seat.conn:
		s = m.seat
	}
	if s == nil {
		c.update() // else the pool might try again for ever
		c.mu.Unlock()
		if m != nil && m.loss != nil {
			return m.loss
		}
		return errNoRoom
	}
	if err := s.takes(f); err != nil {
		c.mu.Unlock()
		return err
	}
	c.nextID++
	f.call.Id, f.seat, f.conn = c.nextID, s, s.conn
	if f.permit != nil {
		f.desk = s.desk
		f.desk.lend(f.call.Lease, f.permit)
	}
	conn, busy := s.conn, len(s.flights) >= kickFrom
	f.mark = conn.AddCall(&f.call, f.names) // under the lock: what is sent first has the lower id
	s.admit(f)
	c.mu.Unlock()
	if busy {
		conn.Kick()
	} else {
		conn.Flush()
	}
	return nil
}

// kickFrom is how many calls under way make it likely that others want to write
// as well: then one goroutine writes for all.
const kickFrom = 8

// land turns what came back into the outcome of the attempt.
func (c *crew) land(f *flight) error {
	if f.call.GetLease() != nil {
		f.desk.takeBack(f.call.GetLease())
	}
	if f.err != nil {
		return f.err
	}
	a := f.answer
	switch {
	case a.GetUndone() && f.call.GetMember() != 0: // the member has to leave, which is no failure
		return &place.Undone{Err: &place.Loss{Err: errGivenBack, Free: true}}
	case a.GetUndone():
		return &place.Undone{Err: errGivenBack}
	case a.GetFailure() != nil:
		return wire.DecodeError(a.GetFailure())
	case f.out == nil:
		return nil
	}
	p := wire.Payload{Codec: f.codec, Data: a.GetPayload()}
	return nameFault(c.job.Name, "result", wire.DecodeInto(c.codecs, p, f.outType, f.out))
}

var errGivenBack = errors.New("the node has given it back")

// mostLossy is how many calls are remembered to have lost a seat.
const mostLossy = 4096

// lost is the outcome of a call whose seat was lost after it was sent.
func (c *crew) lost(f *flight, err error, most int) error {
	l := &place.Lost{Err: err}
	if !c.job.Idempotent || f.call.GetNumber() == 0 {
		return l
	}
	if c.losses == nil {
		c.losses = make(map[uint64]int)
	}
	n := c.losses[f.call.GetNumber()] + 1
	if l.Again = n < most; l.Again {
		if len(c.losses) == mostLossy { // of calls that were cancelled since, for the most part
			for any := range c.losses {
				delete(c.losses, any)
				break
			}
		}
		c.losses[f.call.GetNumber()] = n
	} else {
		delete(c.losses, f.call.GetNumber())
	}
	return l
}

// Rest implements place.Site: what is idle stays.
func (c *crew) Rest() {}

// Wake implements place.Site.
func (c *crew) Wake(bool) {}

// Ready implements place.Site.
func (c *crew) Ready(ctx context.Context) error {
	for {
		c.mu.Lock()
		missing, refused, changed := c.missing(), c.refused(), c.changed
		stopped := c.now().ctx
		c.mu.Unlock()
		switch {
		case refused != nil:
			return refused
		case missing == "":
			return nil
		}
		select {
		case <-changed:
		case <-stopped.Done():
			return context.Cause(stopped)
		case <-ctx.Done():
			return fmt.Errorf("task %q: %s: %w", c.job.Name, missing, context.Cause(ctx))
		}
	}
}

// Missing implements place.Site.
func (c *crew) Missing() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.missing()
}

func (c *crew) missing() string {
	var parts []string
	for _, s := range c.seats {
		if s.state != seated {
			parts = append(parts, s.describe())
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "waiting for " + strings.Join(parts, ", ")
}

// Refused implements place.Site.
func (c *crew) Refused() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused()
}

// refused returns the refusals there are; nil if there is none.
func (c *crew) refused() error {
	var faults []error
	for _, s := range c.seats {
		if s.state == refused {
			faults = append(faults, s.err)
		}
	}
	return errors.Join(faults...)
}

// update follows a change of the seats; with mu held.
func (c *crew) update() {
	allowed, out := 0, 0
	for _, s := range c.seats {
		allowed += max(s.window(), len(s.flights))
		if s.state == refused {
			out++
		}
	}
	if allowed != c.allowed {
		c.allowed = allowed
		c.now().pool.Allow(allowed)
	}
	if all := out == len(c.seats); all != (c.closed != nil) && c.now().ctx.Err() == nil {
		c.closed = nil
		if all {
			c.closed = c.refused()
		}
		c.now().pool.Decline(c.closed)
	}
}

// announce is update for a change of state, which others wait for.
func (c *crew) announce() {
	c.update()
	close(c.changed)
	c.changed = make(chan struct{})
}

// Stats implements place.Site.
func (c *crew) Stats() []place.Stat {
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := make([]place.Stat, 0, len(c.seats))
	for _, s := range c.seats {
		at := place.Stat{Name: s.name, Active: len(s.flights), Total: s.total}
		if s.state == seated {
			at.Capacity = s.capacity
		}
		stats = append(stats, at)
	}
	return stats
}

// desert ends a crew whose node has stopped: its pool takes no more calls.
func (c *crew) desert(why error) {
	life := c.now()
	life.end(why)
	life.tasks.Wait()
	c.decline(why)
}

func (c *crew) decline(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = why
	c.announce()
	c.now().pool.Decline(why)
}
