package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"net"
	"slices"
	"time"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

// seatState is what a seat is good for.
//
//	vacant ──connected──▶ waiting ──it serves──▶ seated
//	   ▲ │                   │ ▲                   │ │
//	   │ └──────refused◀─────┘ └─────it drains─────┘ │
//	   └──────────────────lost◀──────────────────────┘
type seatState int

const (
	vacant  seatState = iota // nobody is there, or nobody that could be reached
	waiting                  // it is connected and takes no calls, yet or any more
	seated                   // it takes calls
	refused                  // the two sides do not fit
)

// seat is where a crew sends calls: a node or a child process. The crew's lock
// guards it.
type seat struct {
	crew *crew
	name string

	// Of a child process; nil and zero for a node.
	grace   time.Duration
	overdue func(*flight) // its call has been cancelled for as long as grace
	alone   bool          // nothing is sent ahead
	recycle int           // calls after which the process is replaced; 0: never
	sent    int           // calls to this process
	leaving error         // why it is to go when nothing is left there
	doomed  *flight       // that it is to be killed for, by doom, when nothing else is under way
	doom    func()
	fuses   []*time.Timer // of dooms

	state    seatState
	err      error // why it is vacant or refused
	conn     *link.Conn
	desk     *limitsDesk
	capacity int
	drains   bool
	flights  map[uint64]*flight
	bytes    int // of their arguments
	members  map[*member]struct{}
	total    uint64
	late     uint64 // answers to calls that nobody waits for
	pace     int64  // a call's usual time there, in ns; 0: not known
	serving  bool   // as it has said itself
	stalled  bool   // nothing has come for a while: it is given no more than it runs
	ceiling  int    // it gave calls back and runs no more than so many of ours; 0: not known
	stall    *time.Timer
	looks    int    // that were due so far, see stall.go
	answered uint64 // calls that ended since stall was set
}

func newSeat(c *crew, name string) *seat {
	return &seat{crew: c, name: name, err: errNotTried, flights: make(map[uint64]*flight), members: make(map[*member]struct{})}
}

var errNotTried = errors.New("not connected yet")

func (s *seat) describe() string {
	switch {
	case s.state == waiting && s.drains:
		return s.name + " (it drains)"
	case s.state == waiting:
		return s.name + " (it does not serve yet)"
	}
	return fmt.Sprintf("%s (%v)", s.name, s.err)
}

const (
	aheadTime    = int64(time.Millisecond)      // of work that may wait at a seat
	mostAhead    = 1024                         // calls that may wait there
	mostCapacity = 1 << 14                      // that a node is believed to have
	mostBytes    = 64 << 20                     // of arguments under way, from which on nothing is sent ahead
	stallTime    = int64(20 * time.Millisecond) // without an answer, and what waits there is called back
)

// window is how many calls may be under way: what the seat runs at once, and so
// many of the quick ones that it is busy until the next come.
func (s *seat) window() int {
	w := s.share()
	switch {
	case s.doomed != nil:
		w = len(s.flights)
	case s.recycle > 0:
		w = min(w, len(s.flights)+max(0, s.recycle-s.sent))
	}
	return w
}

// share is window without regard to recycle.
func (s *seat) share() int {
	switch {
	case s.state != seated:
		return 0
	case s.ceiling > 0:
		return min(s.capacity, s.ceiling)
	case s.stalled, s.alone, s.crew.hurried, s.bytes >= mostBytes:
		return s.capacity
	case s.pace == 0:
		return s.capacity + 1
	}
	ahead := min(mostAhead, int64(s.capacity)*aheadTime/s.pace)
	if ahead < 1 {
		return s.capacity
	}
	return s.capacity + 1<<(bits.Len64(uint64(ahead))-1) // by steps, as others are told
}

// attend takes the seat with a connection and returns when that has ended, why,
// and whether it ever took calls. The flights are left to [seat.vacate].
func (s *seat) attend(nc net.Conn, cfg link.Config) (used bool, err error) {
	c := s.crew
	hello := &wire.Hello{Tasks: []*wire.Announcement{c.schema.Announce()}}
	conn, welcome, err := link.Dial(c.now().ctx, nc, cfg, hello)
	if err != nil {
		return false, err
	}
	stop := context.AfterFunc(c.now().ctx, func() { conn.Close(context.Cause(c.now().ctx)) })
	defer stop()
	desk := newLimitsDesk(conn, poolLimits(c.job.Limiter))
	defer desk.close()
	c.mu.Lock()
	s.conn, s.desk, s.drains, s.stalled = conn, desk, false, false
	err = s.welcome(welcome)
	c.mu.Unlock()
	if err != nil {
		conn.Close(err)
	}
	end := conn.Serve(func(e *wire.Envelope) {
		if fault := s.receive(e); fault != nil {
			err = fault
			conn.Close(fault)
		}
		used = used || len(e.GetAnswers()) > 0
	})
	return used, cmp.Or(err, end)
}

// welcome takes note of what the other side serves; with mu held. An error means
// that the two do not fit.
func (s *seat) welcome(w *wire.Welcome) error {
	c := s.crew
	before := s.state
	s.serving = w.GetServing()
	switch {
	case !s.serving:
		s.state = waiting
	default:
		if err := s.fits(w); err != nil {
			return err
		}
		if s.capacity == 0 {
			s.state = waiting // until its Status comes
		} else {
			s.state = seated
		}
	}
	if s.state != before {
		c.announce()
	}
	return nil
}

// fits compares the task with what the other side has under its name.
func (s *seat) fits(w *wire.Welcome) error {
	ours := s.crew.schema
	for _, a := range w.GetTasks() {
		if theirs := wire.Announced(a); theirs.Name == ours.Name {
			if theirs.Same(ours) {
				return nil
			}
			return &SchemaError{Task: ours.Name, Node: s.name, Ours: ours.String(), Theirs: theirs.String()}
		}
	}
	return &UnknownTaskError{Task: ours.Name, Node: s.name}
}

// receive takes what the other side sends. An error ends the connection.
func (s *seat) receive(e *wire.Envelope) (err error) {
	c := s.crew
	if l := e.GetLimits(); l != nil {
		s.desk.receive(l) // first: what a function released is back before its answer is
	}
	c.mu.Lock()
	if st := e.GetStatus(); st != nil {
		s.report(st)
	}
	if w := e.GetWelcome(); w != nil {
		err = s.welcome(w)
	}
	home := s.comeHome(e)
	if e.GetStatus() != nil || len(home) > 0 {
		s.part()
	}
	c.mu.Unlock()
	for _, f := range home {
		f.arrive()
	}
	return err
}

// report takes note of what the other side says of itself; with mu held.
func (s *seat) report(st *wire.Status) {
	first := s.capacity == 0 && s.state == waiting
	s.capacity = int(min(max(1, st.GetCapacity()), mostCapacity))
	drains := st.GetDraining()
	if drains && !s.drains {
		s.moveOut(&place.Loss{Err: fmt.Errorf("node %s drains", s.name), Free: true})
	}
	s.drains = drains
	if first && !drains && s.serving {
		s.state = seated
	}
	s.crew.announce()
}

// part tells a node that drains, once all has come back, that nothing else will
// be sent, so that it may end; with mu held.
func (s *seat) part() {
	if s.drains && s.state == waiting && len(s.flights) == 0 {
		s.conn.SetStatus(&wire.Status{Draining: true})
		s.conn.Kick()
	}
}

// comeHome takes the answers; with mu held.
func (s *seat) comeHome(e *wire.Envelope) []*flight {
	answers := e.GetAnswers()
	if len(answers) == 0 {
		return nil
	}
	before, full := s.window(), len(s.flights) > s.window()
	home := make([]*flight, 0, len(answers))
	for _, a := range answers {
		f := s.flights[a.GetId()]
		if f == nil {
			s.late++
			continue
		}
		s.forget(f)
		if !a.GetUndone() {
			s.answered++
			s.stalled, s.ceiling = false, 0 // what was called back does not say that it goes on
		} else {
			s.returned(f)
		}
		f.answer, f.codec = a, e.Name(a.GetCodec())
		s.clock(a.GetRan())
		if len(s.crew.losses) > 0 && !a.GetUndone() {
			delete(s.crew.losses, f.call.GetNumber())
		}
		home = append(home, f)
	}
	s.retire()
	s.execute()
	if full || s.window() != before {
		s.crew.update()
	}
	return home
}

// clock keeps the pace: quick to see that calls take long, slow to forget it.
func (s *seat) clock(ran int64) {
	switch {
	case ran <= 0:
	case s.pace == 0:
		s.pace = ran
	case ran > s.pace:
		s.pace += (ran - s.pace) / 4
	default:
		s.pace -= (s.pace - ran) / 32
	}
}

// vacate ends what is under way at a seat that is lost: outcome tells what
// becomes of a flight, in the order in which they were sent.
func (s *seat) vacate(state seatState, why error, outcome func(i int, f *flight) error) {
	c := s.crew
	c.mu.Lock()
	left := make([]*flight, 0, len(s.flights))
	for _, f := range s.flights {
		left = append(left, f)
	}
	slices.SortFunc(left, func(a, b *flight) int { return cmp.Compare(a.call.GetId(), b.call.GetId()) })
	for _, f := range left {
		s.forget(f)
	}
	loss, told := why.(*place.Loss) //nolint:errorlint // as it was given
	if !told {
		loss = &place.Loss{Err: why}
	}
	attempted := uint64(0)
	if s.conn != nil {
		attempted = s.conn.Attempted()
	}
	for i, f := range left {
		if f.mark == 0 || f.mark > attempted { // it never left
			f.err = &place.Undone{Err: loss}
			continue
		}
		f.err = outcome(i, f)
		if l, ok := f.err.(*place.Lost); ok { //nolint:errorlint // just made
			l.Loss = loss
		}
	}
	s.state, s.err, s.conn, s.capacity, s.pace, s.sent = state, why, nil, 0, 0, 0
	s.bytes, s.ceiling, s.serving = 0, 0, false
	s.leaving, s.doomed, s.doom = nil, nil, nil
	for _, t := range s.fuses {
		t.Stop()
	}
	s.fuses = nil
	if s.stall != nil {
		s.stall.Stop()
		s.stall = nil
	}
	s.moveOut(loss)
	clear(s.members)
	c.announce()
	c.mu.Unlock()
	for _, f := range left {
		f.arrive()
	}
}
