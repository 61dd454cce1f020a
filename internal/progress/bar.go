package progress

import (
	"sync/atomic"
	"time"
)

// Unknown is the total of a Bar whose end is not known yet.
const Unknown = -1

// Bar counts the progress of one run and shows it. Its methods are safe for
// concurrent use and do nothing on a nil Bar.
type Bar struct {
	out   *Output
	title string
	begun time.Time
	stop  chan struct{} // closed by Finish
	last  *handover     // plain: of the closing line

	screen *screen // terminal: where the bar stands; nil if it is not shown

	ended time.Time // this and the next two are set before stop is closed
	err   error
	lost  bool // plain: no closing line, since the writer is stuck

	done, failed atomic.Int64
	total        atomic.Int64 // negative: unknown
	finished     atomic.Bool
}

// Start shows a bar on standard error. A negative total means that it is not
// known. The title may be empty. The Bar must be finished.
func Start(title string, total int) *Bar { return stderr().Start(title, total) }

// Start shows a bar on o.
func (o *Output) Start(title string, total int) *Bar {
	b := &Bar{
		out:   o,
		title: oneLine(title, maxTitle),
		begun: time.Now(),
		stop:  make(chan struct{}),
	}
	b.total.Store(int64(total))
	if o.terminal {
		b.screen = o.join(b)
	} else {
		b.last = newHandover(o)
		go b.printLines()
	}
	return b
}

// Add counts finished items, and how many of those failed: a failed item is
// Add(1, 1). It never blocks.
func (b *Bar) Add(done, failed int) {
	if b == nil {
		return
	}
	b.done.Add(int64(done))
	if failed != 0 {
		b.failed.Add(int64(failed))
	}
}

// SetTotal says how many items there are, once that is known.
func (b *Bar) SetTotal(total int) {
	if b != nil {
		b.total.Store(int64(total))
	}
}

// Finish shows the closing line, with err if the run failed as a whole. It
// returns once the line was handed to the writer, or after a bounded time if
// that blocks. On a terminal that still shows other bars it returns at once;
// the line appears with their next refresh. Later calls change nothing.
func (b *Bar) Finish(err error) {
	if b == nil || !b.finished.CompareAndSwap(false, true) {
		return
	}
	b.ended, b.err, b.lost = time.Now(), err, b.out.stuck()
	close(b.stop)
	switch {
	case b.last != nil:
		b.last.wait()
	case b.screen != nil:
		b.screen.leave(b)
	}
}

// closed tells whether the bar was finished; if so, ended and err can be read.
func (b *Bar) closed() bool {
	select {
	case <-b.stop:
		return true
	default:
		return false
	}
}

// look reads the counters at now. failed is read first, so that a look between
// the two halves of an Add never shows more failures than items.
func (b *Bar) look(now time.Time, m *meter) view {
	v := view{title: b.title, failed: b.failed.Load(), total: b.total.Load()}
	v.done = b.done.Load()
	if b.closed() {
		v.closed, v.err, now = true, b.err, b.ended
	}
	v.elapsed = now.Sub(b.begun)
	if v.closed {
		v.rate = perSecond(v.done, v.elapsed)
	} else {
		v.rate = m.rate(v.elapsed, v.done)
	}
	return v
}

// printLines is the goroutine of a bar that is not on a terminal.
func (b *Bar) printLines() {
	defer b.last.finish()
	var m meter
	tick := time.NewTicker(plainInterval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			b.out.write(b.look(now, &m).line())
		case <-b.stop:
			// One goroutine for each bar that ever finished would wait for a
			// stuck writer if it wrote the line nevertheless.
			if !b.lost {
				b.out.write(b.look(b.ended, &m).line())
			}
			return
		}
	}
}
