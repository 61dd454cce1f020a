package remote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/internal/child"
	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/task"
)

// lastWords is for how long a child whose connection has ended may take to end
// by itself, so that it can say why.
const lastWords = 200 * time.Millisecond

// bury ends the process behind a connection that has ended for the reason err,
// and returns why all ended. What it has printed may still be on its way to the
// log, which the crew waits for.
func (n *nursery) bury(ctx context.Context, p *child.Process, err error) error {
	n.crew.now().tasks.Go(func() { _ = p.Wait(context.Background()) })
	switch {
	case ctx.Err() != nil:
		n.stop(p)
		return context.Cause(ctx)
	case errors.Is(err, errRecycled), errors.Is(err, errResting), isUnfit(err):
		n.stop(p)
		return err
	case errors.Is(err, link.ErrSilent): // it has no words
		p.Kill(child.Crashed)
		<-p.Done()
		return fmt.Errorf("process %d was killed: %w", p.PID(), err)
	}
	t := time.NewTimer(lastWords)
	defer t.Stop()
	select {
	case <-p.Done():
	case <-t.C:
		p.Kill(child.Crashed)
		<-p.Done()
		return fmt.Errorf("process %d was killed: %w", p.PID(), err)
	}
	if exit := p.Err(); exit != nil {
		return exit
	}
	return err
}

// stop ends a child that has nothing left to do, within KillGrace.
func (n *nursery) stop(p *child.Process) {
	ended, end := context.WithCancel(context.Background())
	end()
	_ = p.Stop(ended) // does not wait
	<-p.Done()
}

// lastCall is for how long a child that is to be killed may take to give back
// the calls that it has not begun.
const lastCall = 500 * time.Millisecond

// killFor ends the child that is still at a call which has been over for long.
func (s *seat) killFor(f *flight, kill func(child.Reason)) {
	s.crew.mu.Lock()
	defer s.crew.mu.Unlock()
	s.condemn(f, kill)
}

// condemn is killFor with mu held. What was sent ahead is called back first: if
// the call ends just now, the next one would run, and die in its place.
func (s *seat) condemn(f *flight, kill func(child.Reason)) {
	switch {
	case s.flights[f.call.GetId()] != f:
		return
	case s.doomed != nil: // and if that one ends, f may have begun meanwhile
		s.later(func() { s.killFor(f, kill) })
		return
	}
	s.doomed, s.doom = f, func() {
		kill(child.Grace)
		s.state = waiting // nothing is sent to it any more, also if the call has just ended
		s.crew.announce()
	}
	if s.execute() {
		return
	}
	s.callBack(s.looks + 1)
	s.crew.update()
	s.later(func() { s.last(f) })
}

// later runs fn after lastCall, unless the child is gone by then; with mu held.
func (s *seat) later(fn func()) { s.fuses = append(s.fuses, time.AfterFunc(lastCall, fn)) }

// last kills the child of a doomed call that has not given back the others.
func (s *seat) last(f *flight) {
	s.crew.mu.Lock()
	defer s.crew.mu.Unlock()
	if s.doomed == f && s.state == seated && s.flights[f.call.GetId()] == f {
		s.doom()
	}
}

// execute kills the child once nothing but the doomed call, or other calls of
// the same member, are under way there, and lets it live if the call has ended;
// with mu held.
func (s *seat) execute() bool {
	f := s.doomed
	switch {
	case f == nil:
		return false
	case s.flights[f.call.GetId()] != f:
		s.doomed, s.doom = nil, nil
		return false
	case len(s.flights) > 1 && f.call.GetMember() == 0:
		return false
	}
	s.doom()
	return true
}

// vacate ends what is under way at a seat whose child has ended with err: the
// call that it ran, and those sent ahead, which it has not begun. free says that
// the members that lived there are to live on elsewhere; lived, that there were
// any.
func (n *nursery) vacate(s *seat, state seatState, err error, free bool) (lived bool) {
	n.crew.mu.Lock()
	lived = len(s.members) > 0
	n.crew.mu.Unlock()
	s.vacate(state, &place.Loss{Err: err, Free: free}, func(i int, f *flight) error {
		if i > 0 && f.call.GetMember() == 0 {
			return &place.Undone{Err: err} // the child ran the calls in this order
		}
		crash := crashOf(n.crew.job.Name, s.name, err)
		if f.call.GetNumber() == 0 || overdue(err) {
			return &place.Lost{Err: crash}
		}
		return n.graves.lost(f.call.GetNumber(), crash, n.crew.job.Idempotent)
	})
	return lived
}

// crashOf is what a call ends with whose child has ended with err.
func crashOf(name, seat string, err error) *task.CrashError {
	crash := &task.CrashError{ExitCode: -1, Cause: fmt.Errorf("%q in %s: %w", name, seat, err)}
	var exit *child.ExitError
	if errors.As(err, &exit) {
		crash.Signal, crash.ExitCode, crash.Stderr = exit.Signal, exit.ExitCode, exit.Stderr
	}
	return crash
}

// overdue reports whether a child was killed for a call that went on after its
// end: that is not its fault.
func overdue(err error) bool {
	var exit *child.ExitError
	return errors.As(err, &exit) && exit.Reason == child.Grace
}

// isUnfit reports whether the child does not have the task.
func isUnfit(err error) bool {
	var schema *SchemaError
	var unknown *UnknownTaskError
	return errors.As(err, &schema) || errors.As(err, &unknown)
}

// hopeless reports whether another child would end in the same way: this program
// is not made to be one.
func hopeless(err error) bool {
	var exit *child.ExitError
	return errors.Is(err, child.ErrMainMissing) || errors.As(err, &exit) && !exit.Claimed && exit.Signal == nil
}

// graveyard remembers the calls that have cost a child: each may cost two. Nobody
// says which of them were not tried again, so that only the latest are kept.
type graveyard struct {
	calls  map[uint64]struct{}
	latest [256]uint64
	next   int
}

// lost is the outcome of a call that has killed its child.
func (g *graveyard) lost(call uint64, crash *task.CrashError, again bool) *place.Lost {
	if _, before := g.calls[call]; before {
		delete(g.calls, call)
		crash.Cause = fmt.Errorf("%w; it is the second process that this call has ended", crash.Cause)
		return &place.Lost{Err: task.Permanent(crash)}
	}
	if g.calls == nil {
		g.calls = make(map[uint64]struct{})
	}
	delete(g.calls, g.latest[g.next])
	g.latest[g.next] = call
	g.next = (g.next + 1) % len(g.latest)
	g.calls[call] = struct{}{}
	return &place.Lost{Err: crash, Again: again}
}
