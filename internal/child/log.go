package child

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// A Stream is one of the two that a child prints to.
type Stream int

const (
	Stdout Stream = 1
	Stderr Stream = 2
)

func (s Stream) String() string {
	switch s {
	case Stdout:
		return "stdout"
	case Stderr:
		return "stderr"
	}
	return fmt.Sprintf("Stream(%d)", int(s))
}

// A Line is what a child printed up to a line break, or up to 16 KiB, or up
// to its end.
type Line struct {
	PID     int
	Stream  Stream
	Text    string // without the line break; whatever bytes the child wrote
	Partial bool   // the line goes on in the next Line of this Stream
	Lost    int    // instead of a text: so many lines of both streams were lost here
}

// LogTo returns a [Config.Log] that writes to l at level Info, with the
// attributes pid and stream; what is lost, at level Warn. A nil l means
// slog.Default() at the time of each line.
func LogTo(l *slog.Logger) func(Line) {
	return func(line Line) {
		l := l
		if l == nil {
			l = slog.Default()
		}
		if line.Lost > 0 {
			l.LogAttrs(context.Background(), slog.LevelWarn, "output of the child was lost: the log took nothing for a second",
				slog.Int("pid", line.PID), slog.Int("lines", line.Lost))
			return
		}
		l.LogAttrs(context.Background(), slog.LevelInfo, line.Text,
			slog.Int("pid", line.PID), slog.String("stream", line.Stream.String()))
	}
}

const (
	maxWaiting   = 1 << 20 // bytes of lines that wait for Log
	lineOverhead = 64      // what a line costs beside its text
	stuckAfter   = time.Second
)

// lines is the queue between the readers of a child's output and its Log.
type lines struct {
	pid int
	log func(Line)

	mu      sync.Mutex
	waiting []Line
	bytes   int
	lost    int           // lines refused since the last take
	stuck   bool          // a reader has waited for stuckAfter, and nothing was taken since
	open    bool          // the child has ended: what is left is bounded, nobody waits
	closed  bool          // nothing more will come
	gone    bool          // Log ended its goroutine: nothing will be taken any more
	room    chan struct{} // closed when something was taken; nil if nobody waits
	arrived chan struct{} // capacity 1: there is something to take
}

func newLines(pid int, log func(Line)) *lines {
	return &lines{pid: pid, log: log, arrived: make(chan struct{}, 1)}
}

// put takes a line in. It blocks while there is no room, for as long as Log
// takes a line every second.
func (q *lines) put(line Line) {
	size := len(line.Text) + lineOverhead
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes+size > maxWaiting && !q.open {
		if q.stuck || q.gone || !q.waitForRoom() {
			q.lost++
			return
		}
	}
	if q.gone {
		return
	}
	q.waiting = append(q.waiting, line)
	q.bytes += size
	q.wake()
}

// waitForRoom reports whether something was taken. It is called with mu held,
// and gives it up while it waits.
func (q *lines) waitForRoom() bool {
	if q.room == nil {
		q.room = make(chan struct{})
	}
	room := q.room
	timer := time.NewTimer(stuckAfter)
	defer timer.Stop()
	q.mu.Unlock()
	select {
	case <-room:
	case <-timer.C:
	}
	q.mu.Lock()
	select {
	case <-room: // perhaps only in the last moment
		return true
	default:
		q.stuck = true
		return false
	}
}

func (q *lines) wake() {
	select {
	case q.arrived <- struct{}{}:
	default:
	}
}

// took makes room known. It is called with mu held.
func (q *lines) took() {
	q.stuck = false
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// flood lets everything in from now on.
func (q *lines) flood() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open = true
	q.took()
}

// close lets deliver end once it has delivered the rest.
func (q *lines) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

// deliver hands all lines to Log and returns after close.
func (q *lines) deliver() {
	defer q.abandon() // also if Log ends the goroutine
	for {
		batch, closed := q.take()
		for _, line := range batch {
			q.hand(line)
			q.mu.Lock()
			if line.Lost == 0 {
				q.bytes -= len(line.Text) + lineOverhead
			}
			q.took()
			q.mu.Unlock()
		}
		switch {
		case len(batch) > 0:
		case closed:
			return
		default:
			<-q.arrived
		}
	}
}

// take returns what waits and, behind it, how much was lost since.
func (q *lines) take() (batch []Line, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch, q.waiting = q.waiting, nil
	if q.lost > 0 {
		batch = append(batch, Line{PID: q.pid, Lost: q.lost})
		q.lost = 0
	}
	return batch, q.closed
}

func (q *lines) hand(line Line) {
	defer func() {
		if v := recover(); v != nil {
			report(v, line)
		}
	}()
	q.log(line)
}

// report says that a Log has panicked; it may be slog's default handler that
// did.
func report(v any, line Line) {
	defer func() { _ = recover() }()
	slog.Error("child: a panic in Log", "panic", v, "pid", line.PID)
}

func (q *lines) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gone, q.waiting = true, nil
	q.took()
}
