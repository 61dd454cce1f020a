package link

import (
	"fmt"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

// A watch judges, at every tick, whether the other side lives and whether this
// side should show that it does. It is plain data, and knows no clock.
type watch struct {
	interval time.Duration // of ticks
	most     int           // ticks without a byte
	limit    time.Duration // what that is in time

	missed   int
	stuck    int  // ticks without a byte written of what waits
	late     bool // the last tick was
	received uint64
	sent     uint64
}

// A sight is what a tick finds.
type sight struct {
	since          time.Duration // the tick before
	received, sent uint64        // bytes
	reading        bool          // somebody waits for bytes
	writing        bool          // somebody waits for the other side to read more than a pulse
}

// newWatch ticks as often as the one of the sides that wants it more often.
func newWatch(ours, theirs time.Duration) watch {
	interval := ours
	if theirs > 0 {
		interval = min(ours, max(theirs, leastHeartbeat))
	}
	limit := missedBeats * ours
	return watch{interval: interval, most: int((limit + interval - 1) / interval), limit: limit}
}

// tick returns whether to send a pulse, and why the other side is lost, if it is.
//
// Ticks are counted, not time: a process that was suspended finds that much
// time has passed, while what the other side sent meanwhile lies unread. The
// one late tick that it sees then counts for nothing. Neither does one while
// nobody reads, as then nothing can be heard.
//
// A side that says that it lives and reads nothing of what waits for it is lost
// as well. That only pulses wait is no reason: it may be in a long receive.
func (w *watch) tick(s sight) (pulse bool, lost error) {
	late := s.since > 2*w.interval && !w.late
	switch {
	case s.received != w.received || !s.reading:
		w.missed = 0
	case !late:
		w.missed++
	}
	switch {
	case s.sent != w.sent || !s.writing:
		w.stuck = 0
	case !late:
		w.stuck++
	}
	pulse = s.sent == w.sent
	w.late, w.received, w.sent = late, s.received, s.sent
	switch {
	case w.missed >= w.most:
		lost = fmt.Errorf("%w for %v", ErrSilent, w.limit)
	case w.stuck >= w.most:
		lost = fmt.Errorf("%w: nothing of what waits for it for %v", ErrUnread, w.limit)
	}
	return pulse, lost
}

// pulse is the Conn's own goroutine that ticks.
func (c *Conn) pulse() {
	ticker := time.NewTicker(c.beat.interval)
	defer ticker.Stop()
	last := time.Now()
	c.beat.received, c.beat.sent = c.in.bytes.Load(), c.bytesOut.Load()
	for seq := uint64(1); ; {
		select {
		case <-ticker.C:
		case <-c.done:
			return
		}
		now := time.Now()
		pulse, lost := c.beat.tick(sight{
			since:    now.Sub(last),
			received: c.in.bytes.Load(),
			sent:     c.bytesOut.Load(),
			reading:  c.in.reading.Load(),
			writing:  c.stuffed(),
		})
		last = now
		if lost != nil {
			c.end(c.fault(lost))
			return
		}
		if pulse {
			p := &wire.Pulse{Seq: seq, Echo: c.pulses.Load()}
			c.add(0, func(b *wire.Batcher) *wire.Envelope { return b.SetPulse(p) })
			c.wake() // also while receive runs
			seq++
		}
	}
}
