package limits

import (
	"errors"
	"maps"
	"sync/atomic"
	"time"
)

// ErrReleased is returned by [Permit.Update] after the permit's release.
var ErrReleased = errors.New("limits: permit released")

// inline is the number of limits for which a permit needs no second allocation.
const inline = 4

// A Permit is what a [Limiter] granted. Release it on every path; what it
// holds of a [Resource] comes back only then. It is safe for concurrent use.
type Permit struct {
	set  *Set          // that granted it; nil if none did
	more *beyond       // where the fields here do not suffice
	at   time.Duration // of the grant, in the Set's time
	few  [inline]int64 // what counts so far, by limit, raises included; guarded by the Set
	took uint32        // bit i: takes some of limit i
	done atomic.Bool
}

// beyond holds what a permit rarely needs: the amounts for more than inline
// limits, what reports have added, or who keeps it in place of a Set.
type beyond struct {
	amounts []int64 // nil if the fields of the permit suffice
	took    []bool
	raises  []raise // guarded by the Set
	keeper  Keeper
}

// A Keeper stands behind the permits of a [Limiter] that is no Set: one that
// asks a Set elsewhere, say. Its methods are those of [Permit] and as safe.
type Keeper interface {
	// Update is not called after Release.
	Update(key string, used int) error
	// Release is called once.
	Release()
	Pause(d time.Duration)
	// Config returns a map that the caller may keep.
	Config() map[string]string
}

// NewPermit returns a permit that k keeps. It is for those who implement a
// [Limiter] of their own; with a nil Keeper the permit stands for nothing.
func NewPermit(k Keeper) *Permit {
	if k == nil {
		return &Permit{}
	}
	return &Permit{more: &beyond{keeper: k}}
}

// permit returns the permit for need, which was granted at the instant at.
func (s *Set) permit(need []int64, at time.Duration) *Permit {
	if len(s.limits) == 0 {
		return &s.free
	}
	p := &Permit{at: at}
	p.init(s, need)
	return p
}

// init makes p a permit of s for need.
func (p *Permit) init(s *Set, need []int64) {
	p.set = s
	if len(need) > inline {
		p.more = newBeyond(need)
		return
	}
	for i, n := range need {
		p.few[i] = n
		if n > 0 {
			p.took |= 1 << i
		}
	}
}

func newBeyond(need []int64) *beyond {
	b := &beyond{amounts: make([]int64, len(need)), took: make([]bool, len(need))}
	for i, n := range need {
		b.amounts[i], b.took[i] = n, n > 0
	}
	return b
}

// amounts returns what counts so far, by limit.
func (p *Permit) amounts() []int64 {
	if p.more != nil && p.more.amounts != nil {
		return p.more.amounts
	}
	return p.few[:len(p.set.limits)]
}

// takes tells whether p was granted some of limit i.
func (p *Permit) takes(i int) bool {
	if p.more != nil && p.more.took != nil {
		return p.more.took[i]
	}
	return p.took&(1<<i) != 0
}

// kept returns who keeps p in place of a Set, nil if nobody does.
func (p *Permit) kept() Keeper {
	if p.set != nil || p.more == nil { // more of a Set's permit may change at any time
		return nil
	}
	return p.more.keeper
}

// bound tells whether p is a permit for something: neither from a Set without
// limits nor from a Limiter that always grants. Those share one permit.
func (p *Permit) bound() bool {
	return p.set != nil && len(p.set.limits) > 0 || p.kept() != nil
}

// Update reports that used of key were really used. It takes effect at once,
// and of several reports the last one counts. More than what counts so far, the
// request or an earlier report, is charged as a debt, also beyond the capacity,
// and delays later grants; it counts from this report on. Less is given back
// where the [Algorithm] does so, otherwise it changes nothing; what was charged
// last goes first, as if neither it nor so much of the request had ever been
// taken. Without a report, the request stands.
//
// A key that the Set does not have, a negative amount and the key of a
// [Resource], which is held and not used up, are a *[RequestError]; after
// Release it returns [ErrReleased]. A permit of a Set without limits, and of a
// task without, takes any report.
func (p *Permit) Update(key string, used int) error {
	if used < 0 {
		return &RequestError{Key: key, Amount: used, Reason: "negative amount"}
	}
	if !p.bound() {
		return nil
	}
	if k := p.kept(); k != nil {
		if p.done.Load() {
			return ErrReleased
		}
		return k.Update(key, used)
	}
	return p.set.update(p, key, used)
}

// Release ends the permit: what it holds comes back and goes to those who wait
// for it. What was granted of a [Rate] is settled with that, as last reported
// by [Permit.Update], else as requested. Further calls do nothing, and so does
// Release of a nil Permit.
func (p *Permit) Release() {
	if p == nil || !p.bound() || p.done.Swap(true) {
		return
	}
	if k := p.kept(); k != nil {
		k.Release()
		return
	}
	if p.set.holds {
		p.set.takeBack(p)
	}
}

// Pause grants nothing of the keys that p took some of for d from now on, as
// [Set.Pause] does for each: what to do when the other side says that it is
// overrun. It works after Release, too.
func (p *Permit) Pause(d time.Duration) {
	if !p.bound() {
		return
	}
	if k := p.kept(); k != nil {
		k.Pause(d)
		return
	}
	s := p.set
	s.mu.Lock()
	for i := range s.limits {
		if p.takes(i) {
			s.pause(i, d)
		}
	}
	told := s.pump()
	s.mu.Unlock()
	told.tell()
}

// Config returns a copy of what [Set.Config] attached to the Set that granted
// p; nil if nothing is attached.
func (p *Permit) Config() map[string]string {
	if k := p.kept(); k != nil {
		return k.Config()
	}
	if p.set == nil {
		return nil
	}
	p.set.mu.Lock()
	defer p.set.mu.Unlock()
	return maps.Clone(p.set.config)
}

// update settles one amount of p.
func (s *Set) update(p *Permit, key string, used int) error {
	i, ok := s.byKey[key]
	if !ok {
		return s.unknown(key, used)
	}
	l := &s.limits[i]
	if l.def.kind == kindResource {
		return &RequestError{Key: key, Amount: used, Reason: "a resource is held until the release, it has no use to report"}
	}
	s.mu.Lock()
	if p.done.Load() {
		s.mu.Unlock()
		return ErrReleased
	}
	p.settle(l.meter, i, s.now(), int64(used))
	told := s.pump()
	s.mu.Unlock()
	told.tell()
	return nil
}

// takeBack returns to s what p holds of its resources.
func (s *Set) takeBack(p *Permit) {
	s.mu.Lock()
	for i, n := range p.amounts() {
		if l := &s.limits[i]; n > 0 && l.def.kind == kindResource {
			l.meter.release(n)
		}
	}
	told := s.pump()
	s.mu.Unlock()
	told.tell()
}
