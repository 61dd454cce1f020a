package limits

import (
	"math"
	"slices"
	"time"
)

// maxLows bounds the records of a lows.
const maxLows = 128

// lows remembers how far the backlog of a bucket (what was taken and has not
// flowed back yet) has been down since any earlier instant, to tell how much of
// an old grant may still be given back.
//
// Why it is needed: let 10 be granted from a full bucket of 10 and a window
// pass. The bucket is full again, but would have been full all along without
// that grant. Giving back 10 now, right after another grant of 10, would let 10
// through that no bucket of 10 would ever have had. As if the grant had never
// been, only that may come back which the backlog never fell below since.
//
// Only those records matter that no later one undercuts; they are kept with
// rising backlog. Beyond maxLows, neighbours are merged into the lower backlog
// at the later instant, so that less is given back, never more.
type lows struct{ records []low }

// A low is the backlog just before something was added to it.
type low struct {
	at      time.Duration
	backlog float64
}

// note records the backlog at now, before it grows.
func (l *lows) note(now time.Duration, backlog float64) {
	n := len(l.records)
	for n > 0 && l.records[n-1].backlog >= backlog {
		n--
	}
	if n == len(l.records) {
		l.records = append(l.records, low{at: now, backlog: backlog})
		if len(l.records) > maxLows {
			l.mergeTo(maxLows / 2)
		}
		return
	}
	l.records = l.records[:n+1] // no new slice: this is the hot path
	l.records[n] = low{at: now, backlog: backlog}
}

// mergeTo leaves at most that many records, and of the differences between
// them the large ones.
func (l *lows) mergeTo(most int) {
	step := l.records[len(l.records)-1].backlog / maxLows
	for len(l.records) > most {
		kept := l.records[:1]
		for _, r := range l.records[1:] {
			if last := &kept[len(kept)-1]; r.backlog-last.backlog < step {
				last.at = r.at
			} else {
				kept = append(kept, r)
			}
		}
		l.records = kept
		step *= 2
	}
}

// giveBack returns how much of n, which was granted at the instant at, may be
// taken out of the backlog now, and lowers the records since then by as much.
// The backlog of now must have been noted.
func (l *lows) giveBack(at time.Duration, n int64) int64 {
	first, _ := slices.BinarySearchFunc(l.records, at, func(r low, at time.Duration) int {
		if r.at <= at {
			return -1
		}
		return 1
	})
	if first == len(l.records) { // granted at this very instant: all of it is still there
		return n
	}
	if lowest := math.Floor(l.records[first].backlog); lowest < float64(n) {
		n = int64(lowest)
	}
	for i := first; i < len(l.records); i++ {
		l.records[i].backlog -= float64(n)
	}
	under := first
	for under > 0 && l.records[under-1].backlog >= l.records[first].backlog {
		under--
	}
	l.records = slices.Delete(l.records, under, first)
	return n
}
