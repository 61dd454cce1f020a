package child

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// ErrMainMissing says that this program was started as a child process and
// did not do the child's work. [Start] returns it in such a child, and an
// [ExitError] with Reason [MainMissing] matches it in the parent.
var ErrMainMissing = errors.New("child: this program runs as a child process but did not call remote.Main:" +
	" remote.Main() must be the first line of main(), or of TestMain in tests")

// A Reason says why a child ended.
type Reason int

const (
	Crashed     Reason = iota // by itself, without being asked to: exit (also 0), panic, fatal error, signal, the kernel's OOM killer
	Stopped                   // asked to by Stop
	Grace                     // killed: something was asked to end and did not within KillGrace
	Memory                    // killed: above its MemoryLimit
	Recycle                   // killed to be replaced by a fresh one
	NotReady                  // killed: not ready within ReadyTimeout
	MainMissing               // the program never called Role
)

func (r Reason) String() string {
	switch r {
	case Crashed:
		return "crashed"
	case Stopped:
		return "was stopped"
	case Grace:
		return "did not end within its grace period and was killed"
	case Memory:
		return "was killed above its memory limit"
	case Recycle:
		return "was killed to be replaced"
	case NotReady:
		return "was not ready in time and was killed"
	case MainMissing:
		return "did not call remote.Main"
	}
	return fmt.Sprintf("Reason(%d)", int(r))
}

// ExitError says how a child ended. With Reason [MainMissing] it matches
// [ErrMainMissing].
type ExitError struct {
	PID      int
	Reason   Reason
	Signal   os.Signal // that ended it; nil if none did, and always nil on windows
	ExitCode int       // -1 if a signal ended it
	Claimed  bool      // it had called Role
	Ready    bool      // it had called Ready
	// Stderr is the last 4 KiB that it wrote to stderr. If a longer crash
	// report pushed its own headline out ("panic: ...", "fatal error: ..."),
	// the headline stands in front, and a line of three dots between them.
	Stderr string
}

func (e *ExitError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "child: process %d %v", e.PID, e.Reason)
	switch {
	case e.Reason == MainMissing:
		b.WriteString(": remote.Main() must be the first line of main(), or of TestMain in tests, and be reached in time")
	case e.Reason == Crashed && !e.Claimed:
		b.WriteString(" before it called remote.Main, which must be the first line of main(), or of TestMain in tests")
	case e.Reason == Crashed && !e.Ready:
		b.WriteString(" before it was ready")
	}
	switch {
	case e.Signal != nil && e.Reason == Crashed:
		fmt.Fprintf(&b, ": signal: %v", e.Signal)
	case e.Signal == nil && (e.ExitCode != 0 || e.Reason == Crashed):
		fmt.Fprintf(&b, ": exit code %d", e.ExitCode)
	}
	if line := headline(e.Stderr); line != "" {
		fmt.Fprintf(&b, ": %s", line)
	}
	return b.String()
}

// Is reports whether target is [ErrMainMissing] and e says so.
func (e *ExitError) Is(target error) bool {
	return target == ErrMainMissing && e.Reason == MainMissing
}

// ending is all that is known of a child at its end.
type ending struct {
	claimed, ready bool
	refused        bool // it tried to start children without having called Role
	stopping       bool // Stop was called
	killed         bool // a kill was sent,
	why            Reason
	byKill         bool // and it ended the way a kill ends a process
	code           int
	signaled       bool
}

// reason decides what the end is called. A kill that came too late, when the
// child had ended by itself, does not count.
func (e ending) reason() Reason {
	switch {
	case e.killed && e.byKill:
		return e.why
	case e.refused:
		return MainMissing
	case e.stopping:
		return Stopped
	case !e.claimed && !e.signaled && e.code == 0:
		return MainMissing
	}
	return Crashed
}

// headline returns the last line of text that begins a crash report of the Go
// runtime, if there is one.
func headline(text string) string {
	found := ""
	for line := range strings.Lines(text) {
		if isHeadline(line) {
			found = strings.TrimRight(line, "\r\n")
		}
	}
	return found
}

func isHeadline(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")
}
