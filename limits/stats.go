package limits

import (
	"math"
	"time"
)

// A Stat is the state of one limit at one moment.
type Stat struct {
	Key       string
	Kind      string // "rate", "calls" or "resource"
	Algorithm string // as [Algorithm.String]; empty for a resource
	Capacity  int
	// Available could be granted now, were it not for who waits and for a
	// pause; below zero it is a debt. With a [Burst] it may exceed Capacity.
	Available int
	// Used counts against the limit now: the amount held of a resource, the
	// amount in the window, the amount that has not flowed back to the bucket.
	Used    int
	Waiting int // requests in the queue; those at a [Pool] count at each of its Sets
	// Granted counts the requests that got some of the key; Refused those that
	// ended without: unavailable, given up or closed.
	Granted, Refused uint64
	// PausedUntil is when the pause ends; zero if there is none.
	PausedUntil time.Time
}

// Stats implements [Limiter]; a closed Set still has them.
func (s *Set) Stats() []Stat {
	stats := make([]Stat, 0, len(s.limits))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for i := range s.limits {
		stats = append(stats, s.limits[i].stat(now))
	}
	return stats
}

func (l *limit) stat(now time.Duration) Stat {
	available, used := l.meter.level(now)
	st := Stat{
		Key: l.key, Kind: l.def.kind.String(), Capacity: l.def.capacity,
		Available: toInt(available), Used: toInt(used), Waiting: l.queue.length,
		Granted: l.granted, Refused: l.refused,
	}
	if l.def.kind != kindResource {
		st.Algorithm = l.def.algorithm.String()
	}
	if l.paused > now {
		st.PausedUntil = time.Now().Add(l.paused - now)
	}
	return st
}

// toInt returns n, or the nearest int to it.
func toInt(n int64) int { return int(max(math.MinInt, min(math.MaxInt, n))) }
