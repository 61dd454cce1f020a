package limits

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// A Set is a group of limits from which a request takes all it needs, or
// nothing. Give one Set to all who share a budget. It is safe for concurrent
// use and starts no goroutine; while a request waits for time to pass it has
// one timer, set to the instant of the next grant.
//
// Its time is monotonic: setting the wall clock changes no decision. A Set
// without limits grants anything at once.
type Set struct {
	limits []limit        // the definitions in them are set once, the rest is guarded by mu
	byKey  map[string]int // index into limits
	holds  bool           // has a Resource, so that a release gives something back
	free   Permit         // the one permit of a Set without limits
	actors actors

	mu      sync.Mutex
	closed  bool
	config  map[string]string
	waiting int // entries in the queues
	timed   bool
	base    time.Time // the Set's time counts from here
	last    time.Duration
	timer   *time.Timer   // nil while nothing waits for an instant
	wakeAt  time.Duration // of timer
}

// A limit is a definition with its state and the queue of those who wait for
// some of it.
type limit struct {
	def   Limit
	key   string
	joins bool
	most  int

	meter   meter
	paused  time.Duration // until then, nothing is granted
	queue   queue
	granted uint64
	refused uint64
}

func (l *limit) can(now time.Duration, n int64) bool {
	return now >= l.paused && l.meter.can(now, n)
}

// New returns a Set of the limits ls. All that is wrong with them, or with
// their combination, is joined in one error.
func New(ls ...Limit) (*Set, error) {
	s := &Set{base: time.Now(), wakeAt: never, byKey: make(map[string]int, len(ls))}
	s.free.set = s
	var errs []error
	for i := range ls {
		def := &ls[i]
		if err := def.faults(i); err != nil {
			errs = append(errs, err)
			continue
		}
		if _, twice := s.byKey[def.key]; twice {
			errs = append(errs, fmt.Errorf("limits: %s: duplicate key %q", def.name(), def.key))
			continue
		}
		s.byKey[def.key] = len(s.limits)
		s.limits = append(s.limits, limit{
			def: *def, key: def.key, joins: def.joins(), most: def.most(), meter: newMeter(def),
		})
		s.holds = s.holds || def.kind == kindResource
		s.timed = s.timed || def.kind != kindResource
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// MustNew is [New] for limits that are known to be right; it panics if not.
func MustNew(ls ...Limit) *Set {
	s, err := New(ls...)
	if err != nil {
		panic(err)
	}
	return s
}

// Config attaches a copy of m to the Set, in place of what was attached
// before, and returns the Set. Who gets a permit reads it with
// [Permit.Config]: which region, account or key the budget belongs to.
func (s *Set) Config(m map[string]string) *Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = maps.Clone(m)
	return s
}

// attached returns a copy of what Config has attached.
func (s *Set) attached() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.config)
}

// Acquire implements [Limiter].
func (s *Set) Acquire(ctx context.Context, r Request) (*Permit, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	p, t, err := s.ask(r, nil)
	if t == nil {
		return p, err
	}
	return t.wait(ctx)
}

// TryAcquire implements [Limiter].
func (s *Set) TryAcquire(r Request) (*Permit, error) {
	return s.try(r, true)
}

// Enqueue implements [Queuer].
func (s *Set) Enqueue(r Request, to Grantee) (*Permit, Ticket, error) {
	if to == nil {
		return nil, nil, errNilGrantee
	}
	p, t, err := s.ask(r, to)
	if t == nil {
		return p, nil, err
	}
	return nil, t, nil
}

// Check returns what Acquire would say of r at once, without taking anything: a
// *[RequestError] if r could never be granted, [ErrClosed] if the Set is closed,
// else nil.
func (s *Set) Check(r Request) error {
	var buf [inline]int64
	if _, err := s.resolve(r, buf[:0]); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return nil
}

// Pause grants nothing of key for d from now on; of several pauses the longest
// counts. Requests that take some of it wait until then, TryAcquire returns
// [ErrUnavailable]. An unknown key, and a d of zero or less, change nothing.
func (s *Set) Pause(key string, d time.Duration) {
	i, ok := s.byKey[key]
	if !ok {
		return
	}
	s.mu.Lock()
	s.pause(i, d)
	told := s.pump()
	s.mu.Unlock()
	told.tell()
}

// pause sets the pause of one limit. The Set is locked.
func (s *Set) pause(i int, d time.Duration) {
	if d <= 0 {
		return
	}
	s.timed = true
	l := &s.limits[i]
	l.paused = max(l.paused, later(s.now(), d))
}

// Close ends the Set: who waits and who asks from now on gets [ErrClosed].
// Permits that were granted stay valid. The Set's actors stop. Close may be
// called again, and returns nil always.
func (s *Set) Close() error {
	s.mu.Lock()
	s.closed = true
	told := s.dismiss()
	s.mu.Unlock()
	told.tell()
	s.stopActors()
	return nil
}

// try grants r now, or returns a *RequestError, ErrClosed or ErrUnavailable,
// which last is counted as a refusal if count says so.
func (s *Set) try(r Request, count bool) (*Permit, error) {
	var buf [inline]int64
	need, err := s.resolve(r, buf[:0])
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	now, err := s.take(need)
	if count && err == ErrUnavailable {
		s.countRefused(need)
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.permit(need, now), nil
}

// ask grants r now, or lets it wait for the one to be told; nil for a caller
// that blocks.
func (s *Set) ask(r Request, to Grantee) (*Permit, *ticket, error) {
	var buf [inline]int64
	need, err := s.resolve(r, buf[:0])
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	now, err := s.take(need)
	s.mu.Unlock()
	if err == ErrUnavailable {
		return s.wait(need, to)
	}
	if err != nil {
		return nil, nil, err
	}
	return s.permit(need, now), nil, nil
}

// wait lets need wait, unless it has become available meanwhile. The ticket is
// made while the Set is not locked.
func (s *Set) wait(need []int64, to Grantee) (*Permit, *ticket, error) {
	t := newTicket(to)
	e := t.place(s, need)
	s.mu.Lock()
	now, err := s.take(need)
	if err == ErrUnavailable {
		s.enqueue(e, now)
		s.mu.Unlock()
		return nil, t, nil
	}
	s.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	return s.permit(need, now), nil, nil
}
