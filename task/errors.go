package task

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

// What callers branch on with errors.Is.
var (
	// ErrPanicked is matched by every [*PanicError].
	ErrPanicked = errors.New("task: function panicked")
	// ErrStopped is the outcome of a call that its task's Stop or Drain refused,
	// did not start, or cancelled while it ran; the last is also
	// context.Canceled.
	ErrStopped = errors.New("task: stopped")
	// ErrQueueFull is the outcome of a call that a bounded queue had no room
	// for, under [Reject] or by message.
	ErrQueueFull = errors.New("task: queue full")
	// ErrWouldDeadlock is the error of a Drain from inside the task, which would
	// wait for itself. A call that would is run in place of the function that
	// waits for it.
	ErrWouldDeadlock = errors.New("task: call would wait for itself")
	// ErrGoexit is the outcome of a call whose function called runtime.Goexit,
	// as a test's FailNow does. It is never retried.
	ErrGoexit = errors.New("task: function called runtime.Goexit")
	// ErrLost is matched by every [*LostError] and [*CrashError]: what ran the
	// call is gone.
	ErrLost = errors.New("task: executor lost")
	// ErrFailed is the outcome of calls whose pool gave up restarting workers.
	ErrFailed = supervisor.ErrFailed

	errNilFunc    = errors.New("task: nil function")
	errNilContext = errors.New("task: nil context")
	errNilFuture  = errors.New("task: nil future")
	errNilSeq     = errors.New("task: nil iterator")
)

// PanicError is the outcome of a call whose function panicked. It matches
// [ErrPanicked] and unwraps to the panic value if that was an error.
type PanicError struct {
	Task  string // the task's name
	Value any    // the argument of panic
	Stack []byte // of the goroutine, at the panic
}

func (e *PanicError) Error() string { return fmt.Sprintf("task %q: panic: %v", e.Task, e.Value) }

// Is reports whether target is [ErrPanicked].
func (e *PanicError) Is(target error) bool { return target == ErrPanicked }

// Unwrap returns the panic value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// LostError is the outcome of a call whose node was lost. It matches [ErrLost].
type LostError struct {
	Worker  string // the task or worker
	Node    string // its address
	Started bool   // the call was sent there, and may have been run
	Cause   error  // what was noticed; nil if nothing is known
}

func (e *LostError) Error() string {
	text := fmt.Sprintf("task %q: lost node %s", e.Worker, e.Node)
	if e.Started {
		text += " after the call was sent"
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Is reports whether target is [ErrLost].
func (e *LostError) Is(target error) bool { return target == ErrLost }

// Unwrap returns what was noticed.
func (e *LostError) Unwrap() error { return e.Cause }

// CrashError is the outcome of a call that ran in a child process when that
// ended. It matches [ErrLost].
type CrashError struct {
	Signal   os.Signal // that ended the process; nil if none did
	ExitCode int       // -1 if a signal ended it
	Stderr   string    // the last 4 KiB of what it wrote there
	Cause    error     // says it all in a sentence
}

func (e *CrashError) Error() string {
	switch {
	case e.Cause != nil:
		return "task: " + e.Cause.Error()
	case e.Signal != nil:
		return fmt.Sprintf("task: child process ended by signal: %v", e.Signal)
	}
	return fmt.Sprintf("task: child process ended with exit code %d", e.ExitCode)
}

// Is reports whether target is [ErrLost].
func (e *CrashError) Is(target error) bool { return target == ErrLost }

// Unwrap returns what says it all.
func (e *CrashError) Unwrap() error { return e.Cause }

// TimeoutKind tells the timeouts of a call apart.
type TimeoutKind int

// The kinds of timeout.
const (
	QueueWait  TimeoutKind = iota // [QueueTimeout]: the call was never started
	AttemptRun                    // [Timeout]: an attempt took too long
)

// String returns the name of the kind.
func (k TimeoutKind) String() string {
	switch k {
	case QueueWait:
		return "QueueWait"
	case AttemptRun:
		return "AttemptRun"
	}
	return fmt.Sprintf("TimeoutKind(%d)", int(k))
}

// TimeoutError is the outcome of a call that waited or ran too long. It is
// context.DeadlineExceeded.
type TimeoutError struct {
	Kind  TimeoutKind
	After time.Duration
}

func (e *TimeoutError) Error() string {
	if e.Kind == QueueWait {
		return fmt.Sprintf("task: not started within %v (QueueTimeout)", e.After)
	}
	return fmt.Sprintf("task: attempt not finished within %v (Timeout)", e.After)
}

// Is reports whether target is context.DeadlineExceeded.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout is true, as for network errors.
func (e *TimeoutError) Timeout() bool { return true }

// stoppedError is the outcome of a call that ran when its task was stopped.
type stoppedError struct{ task string }

func (e *stoppedError) Error() string {
	return fmt.Sprintf("task %q: stopped while the call ran", e.task)
}
func (e *stoppedError) Is(target error) bool {
	return target == ErrStopped || target == context.Canceled
}

// failedError is the outcome of calls to a pool that gave up.
type failedError struct {
	task  string
	cause error
}

func (e *failedError) Error() string        { return fmt.Sprintf("task %q: %v", e.task, e.cause) }
func (e *failedError) Is(target error) bool { return target == ErrFailed }
func (e *failedError) Unwrap() error        { return e.cause }

func namedStop(name string) error {
	return fmt.Errorf("task %q: %w", name, sentinel{ErrStopped, "stopped"})
}
func namedFull(name string) error {
	return fmt.Errorf("task %q: %w", name, sentinel{ErrQueueFull, "queue full"})
}
func namedExit(name string) error {
	return fmt.Errorf("task %q: %w", name, sentinel{ErrGoexit, "function called runtime.Goexit"})
}

// sentinel prints a sentinel without its package prefix, which is there already.
type sentinel struct {
	error
	text string
}

func (s sentinel) Error() string { return s.text }
func (s sentinel) Unwrap() error { return s.error }
