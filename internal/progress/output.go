package progress

import (
	"flag"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

const (
	// patience bounds how long Finish waits for a writer that blocks.
	patience = time.Second
	// plainInterval lies between two plain lines of one bar.
	plainInterval = 5 * time.Second
)

// Output is where bars are shown. Bars that are alive at the same time on the
// same Output share the terminal: they stand below each other.
type Output struct {
	writer   io.Writer
	terminal bool

	mu     sync.Mutex
	screen *screen         // takes new bars; nil while the terminal shows none
	off    <-chan struct{} // closed when the newest screen has let go of the terminal

	late atomic.Int64 // closing lines that Finish gave up waiting for
}

// NewOutput returns an Output that draws bars if terminal is true and writes
// plain lines if not. w must be safe for concurrent use. Errors of w are
// dropped.
func NewOutput(w io.Writer, terminal bool) *Output {
	return &Output{writer: w, terminal: terminal}
}

var standard struct {
	mu     sync.Mutex
	file   *os.File
	output *Output
}

// stderr returns the Output of the process's standard error, the same one as
// long as os.Stderr is the same file.
func stderr() *Output {
	standard.mu.Lock()
	defer standard.mu.Unlock()
	if standard.output == nil || standard.file != os.Stderr {
		standard.file = os.Stderr
		standard.output = NewOutput(os.Stderr, isTerminal(os.Stderr))
	}
	return standard.output
}

// isTerminal tells whether bars can be drawn on f. In a test binary they are
// not: control sequences would end up between the lines of the test log, and
// the goroutines of a shared terminal cannot serve several synctest bubbles.
// The flag is looked up because a package of the library does not import
// testing.
func isTerminal(f *os.File) bool {
	return f != nil &&
		term.IsTerminal(int(f.Fd())) &&
		os.Getenv("TERM") != "dumb" &&
		flag.Lookup("test.v") == nil
}

// write hands text to the writer in one piece and drops its error.
func (o *Output) write(text string) { _, _ = io.WriteString(o.writer, text) }

// stuck tells whether the writer is blocked, as far as is known: some Finish
// ran out of patience and what it waited for is still not done.
func (o *Output) stuck() bool { return o.late.Load() > 0 }

// handover is the wait for one closing line.
//
//	pending ──finished──▶ finished
//	pending ──given up──▶ late ──finished──▶ finished
type handover struct {
	out   *Output
	done  chan struct{}
	state atomic.Int32
}

const (
	handoverPending = iota
	handoverLate
	handoverFinished
)

func newHandover(o *Output) *handover {
	return &handover{out: o, done: make(chan struct{})}
}

// finish reports that the writer has the line. It is called once.
func (h *handover) finish() {
	if h.state.Swap(handoverFinished) == handoverLate {
		h.out.late.Add(-1)
	}
	close(h.done)
}

// wait returns when the writer has the line, or after patience. While the
// writer is known to be stuck it does not wait at all, lest every map of a
// program pay for a terminal that somebody paused.
func (h *handover) wait() {
	if h.out.stuck() {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-h.done:
	case <-timer.C:
		h.giveUp()
	}
}

// giveUp counts the line as late. The count goes up before the state changes:
// the other way round, a finish in between would take the count below zero,
// and the later addition would leave it above for good.
func (h *handover) giveUp() {
	h.out.late.Add(1)
	if !h.state.CompareAndSwap(handoverPending, handoverLate) {
		h.out.late.Add(-1) // late already, or finished meanwhile
	}
}
