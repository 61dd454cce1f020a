package limits

import (
	"slices"
	"time"
)

// A raise is what a report has added to the amount that counts of one limit of
// a permit. What a later report takes back again must be judged by the instant
// at which it was charged, not by that of the grant: in between a bucket may
// have been full, and none of what was granted then could come back.
type raise struct {
	limit int
	at    time.Duration
	n     int64
}

// maxRaises bounds the raises of one limit that a permit remembers. Beyond it
// the two oldest become one, charged when the first of them was, so that less
// is given back, never more.
const maxRaises = 64

// settle makes used count of limit i, whose meter is m: more is charged now,
// less is taken back, the last raise first and the grant itself last. The Set
// is locked.
func (p *Permit) settle(m meter, i int, now time.Duration, used int64) {
	counts := &p.amounts()[i]
	if more := used - *counts; more > 0 {
		m.owe(now, more)
		p.raise(raise{limit: i, at: now, n: more})
		*counts = used
	}
	for *counts > used {
		last := p.lastRaise(i)
		if last < 0 {
			*counts -= m.giveBack(now, p.at, *counts-used)
			return
		}
		r := &p.more.raises[last]
		back := m.giveBack(now, r.at, min(r.n, *counts-used))
		*counts -= back
		if r.n -= back; r.n > 0 {
			return // settled; or the rest has flowed back by itself, and all before it too
		}
		p.more.raises = slices.Delete(p.more.raises, last, last+1)
	}
}

// lastRaise returns the index of the last raise of limit i, or -1.
func (p *Permit) lastRaise(i int) int {
	if p.more == nil {
		return -1
	}
	for k := len(p.more.raises) - 1; k >= 0; k-- {
		if p.more.raises[k].limit == i {
			return k
		}
	}
	return -1
}

// raise remembers r, which comes after all others.
func (p *Permit) raise(r raise) {
	if p.more == nil {
		p.more = &beyond{}
	}
	if last := p.lastRaise(r.limit); last >= 0 && p.more.raises[last].at == r.at {
		p.more.raises[last].n += r.n
		return
	}
	p.more.raises = append(p.more.raises, r)
	count, oldest, next := 0, -1, -1
	for k := range p.more.raises {
		if p.more.raises[k].limit != r.limit {
			continue
		}
		switch count++; count {
		case 1:
			oldest = k
		case 2:
			next = k
		}
	}
	if count > maxRaises {
		p.more.raises[oldest].n += p.more.raises[next].n
		p.more.raises = slices.Delete(p.more.raises, next, next+1)
	}
}
