package limits

import "time"

// gcra is the meter of [GCRA].
//
// Rule: the generic cell rate algorithm in its leaky bucket form. Each unit
// granted moves the theoretical arrival time, at which the limit would be at
// rest again, by per/capacity; a request is granted if it moves that time no
// further than burst*per/capacity ahead of now. Kept here is the distance
// between the two, as an exact integer.
// Source: ITU-T recommendation I.371, and the ATM Forum's traffic management
// specification 4.0, section 4.4.3.
// Refund: what a permit reports as unused comes back at once, as if it had
// never been asked for: the limit is where it would be without, to the last
// part; what would have overflowed since then does not come back. What was used
// beyond the request moves the arrival time further.
type gcra struct {
	burst int64
	limit wide // the burst, in parts of the drain
	drain drain
	lows  lows
}

func newGCRA(l *Limit) *gcra {
	g := &gcra{burst: int64(l.most()), drain: newDrain(l)}
	g.limit = g.drain.parts(g.burst)
	return g
}

func (g *gcra) can(now time.Duration, n int64) bool {
	g.drain.run(now)
	return !g.drain.content.add(g.drain.parts(n)).exceeds(g.limit)
}

func (g *gcra) when(now time.Duration, n int64) time.Duration {
	g.drain.run(now)
	return g.drain.empties(g.limit.sub(g.drain.parts(n)))
}

func (g *gcra) take(now time.Duration, n int64) {
	g.lows.note(now, g.drain.content)
	g.drain.pour(n)
}

func (g *gcra) owe(now time.Duration, n int64) {
	g.drain.run(now)
	g.take(now, n)
}

func (g *gcra) giveBack(now, at time.Duration, n int64) int64 {
	g.drain.run(now)
	g.lows.note(now, g.drain.content)
	back := g.lows.giveBack(at, g.drain.parts(n))
	g.drain.scoop(back)
	return back.over(g.drain.per)
}

func (g *gcra) release(int64) {}

func (g *gcra) level(now time.Duration) (available, used int64) {
	g.drain.run(now)
	used = g.drain.units()
	return g.burst - used, used
}
