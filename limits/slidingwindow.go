package limits

import (
	"sort"
	"time"
)

// exactGrants is the number of grants that a sliding window remembers one by
// one; beyond it, neighbours closer than 1/exactGrants of the window share a
// record, which bounds the memory to twice as many records.
const exactGrants = 4096

// slidingWindow is the meter of [SlidingWindow].
//
// Rule: in no window of length per, wherever it begins, is more than the
// capacity granted; an amount granted at t can be granted again at t + per.
// Source: the sliding window log, kept as one record per grant whatever its
// amount, with running totals that make the search for the next instant binary.
// While more than 4096 grants are remembered, an amount may come back later by
// at most 1/4096 of the window, never earlier.
// Refund: none. What was used beyond the request counts from the report on for
// one window.
type slidingWindow struct {
	capacity int64
	per      time.Duration

	log     []grant // a ring, oldest at first; its length is a power of two
	first   int
	records int
	expired uint64 // total of all grants that have left the window
	total   uint64 // total of all grants; these two wrap around, their difference never does
	opened  time.Duration
}

// A grant is a record of the log: its instant, and the total up to and with it.
type grant struct {
	at    time.Duration
	total uint64
}

func newSlidingWindow(l *Limit) *slidingWindow {
	return &slidingWindow{capacity: int64(l.capacity), per: l.per}
}

// record returns the i-th oldest grant.
func (s *slidingWindow) record(i int) *grant { return &s.log[(s.first+i)&(len(s.log)-1)] }

// used returns the amount in the window.
func (s *slidingWindow) used() int64 { return int64(s.total - s.expired) }

// slide forgets what was granted a window ago or earlier.
func (s *slidingWindow) slide(now time.Duration) {
	for s.records > 0 {
		oldest := s.record(0)
		if now-oldest.at < s.per {
			return
		}
		s.expired = oldest.total
		s.first = (s.first + 1) & (len(s.log) - 1)
		s.records--
	}
}

func (s *slidingWindow) can(now time.Duration, n int64) bool {
	s.slide(now)
	return n <= s.capacity-s.used()
}

func (s *slidingWindow) when(now time.Duration, n int64) time.Duration {
	if s.can(now, n) {
		return now
	}
	excess := uint64(s.used() - (s.capacity - n)) // has to leave; above 0, as can said no
	i := sort.Search(s.records, func(i int) bool { return s.record(i).total-s.expired >= excess })
	return later(s.record(i).at, s.per)
}

func (s *slidingWindow) take(now time.Duration, n int64) {
	s.total += uint64(n)
	if s.records > 0 && s.shares(now) {
		last := s.record(s.records - 1)
		last.at, last.total = now, s.total
		return
	}
	if s.records == len(s.log) {
		s.grow()
	}
	s.opened = now
	s.records++
	*s.record(s.records - 1) = grant{at: now, total: s.total}
}

// shares tells whether a grant at now goes into the newest record. A record
// takes the instant of its last grant, so that none of it leaves too early.
func (s *slidingWindow) shares(now time.Duration) bool {
	if s.records < exactGrants {
		return s.record(s.records-1).at == now
	}
	return now-s.opened < s.per/exactGrants || s.record(s.records-1).at == now
}

// grow doubles the ring.
func (s *slidingWindow) grow() {
	log := make([]grant, max(8, 2*len(s.log)))
	n := copy(log, s.log[s.first:])
	copy(log[n:], s.log[:s.first])
	s.log, s.first = log, 0
}

func (s *slidingWindow) owe(now time.Duration, n int64) {
	s.slide(now)
	if n = addSat(s.used(), n) - s.used(); n > 0 {
		s.take(now, n)
	}
}

func (s *slidingWindow) giveBack(_, _ time.Duration, _ int64) int64 { return 0 }

func (s *slidingWindow) release(int64) {}

func (s *slidingWindow) level(now time.Duration) (available, used int64) {
	s.slide(now)
	return s.capacity - s.used(), s.used()
}
