package limits

import (
	"slices"
	"time"
)

// maxLows bounds the records of a lows.
const maxLows = 128

// lows remembers how far the backlog of a bucket (what was taken and has not
// flowed back yet) has been down since any earlier instant, to tell how much of
// an old grant may still be given back. Amounts are in the parts of a [drain].
//
// The rule: after a refund the bucket is as it would be now had the lesser
// amount been taken in the first place. The two histories begin x apart, and
// only once the smaller backlog is down to nothing, while the larger one still
// runs out, do they come nearer. So min(x, least backlog since the grant) comes
// back: to the part, as of a whole unit taken a moment ago a bit has flowed
// back by itself, and only the rest is there to be returned.
//
// Why not simply x: let 10 be granted from a full bucket of 10 and a window
// pass. The bucket is full again, but would have been full all along without
// that grant. Giving back 10 now, right after another grant of 10, would let 10
// through that no bucket of 10 would ever have had.
//
// Only those records matter that no later one undercuts; they are kept with
// rising backlog. Beyond maxLows, neighbours are merged into the lower backlog
// at the later instant, so that less is given back, never more.
type lows struct{ records []low }

// A low is the backlog just before something was added to it.
type low struct {
	at      time.Duration
	backlog wide
}

// note records the backlog at now, before it grows.
func (l *lows) note(now time.Duration, backlog wide) {
	n := len(l.records)
	for n > 0 && !backlog.exceeds(l.records[n-1].backlog) {
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
	step := l.records[len(l.records)-1].backlog.float() / maxLows
	for len(l.records) > most {
		kept := l.records[:1]
		for _, r := range l.records[1:] {
			if last := &kept[len(kept)-1]; r.backlog.sub(last.backlog).float() < step {
				last.at = r.at
			} else {
				kept = append(kept, r)
			}
		}
		l.records = kept
		step *= 2
	}
}

// giveBack returns how much of the amount, which was taken at the instant at,
// comes out of the backlog now, and lowers the records since then by as much.
// The backlog of now must have been noted.
func (l *lows) giveBack(at time.Duration, amount wide) wide {
	first, _ := slices.BinarySearchFunc(l.records, at, func(r low, at time.Duration) int {
		if r.at <= at {
			return -1
		}
		return 1
	})
	if first == len(l.records) { // taken at this very instant: all of it is still there
		return amount
	}
	if lowest := l.records[first].backlog; amount.exceeds(lowest) {
		amount = lowest
	}
	for i := first; i < len(l.records); i++ {
		l.records[i].backlog = l.records[i].backlog.sub(amount)
	}
	under := first
	for under > 0 && !l.records[first].backlog.exceeds(l.records[under-1].backlog) {
		under--
	}
	l.records = slices.Delete(l.records, under, first)
	return amount
}
