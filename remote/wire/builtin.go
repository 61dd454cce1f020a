package wire

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// registerBuiltin registers what every node knows. Codes are part of the
// protocol: they are never changed.
func registerBuiltin() {
	for code, target := range map[string]error{
		"context.Canceled":         context.Canceled,
		"context.DeadlineExceeded": context.DeadlineExceeded,
		"errors.ErrUnsupported":    errors.ErrUnsupported,

		"fs.ErrClosed":     fs.ErrClosed,
		"fs.ErrExist":      fs.ErrExist,
		"fs.ErrInvalid":    fs.ErrInvalid,
		"fs.ErrNotExist":   fs.ErrNotExist,
		"fs.ErrPermission": fs.ErrPermission,

		"io.EOF":              io.EOF,
		"io.ErrClosedPipe":    io.ErrClosedPipe,
		"io.ErrNoProgress":    io.ErrNoProgress,
		"io.ErrShortBuffer":   io.ErrShortBuffer,
		"io.ErrShortWrite":    io.ErrShortWrite,
		"io.ErrUnexpectedEOF": io.ErrUnexpectedEOF,

		"net.ErrClosed":          net.ErrClosed,
		"os.ErrDeadlineExceeded": os.ErrDeadlineExceeded,
		"os.ErrNoDeadline":       os.ErrNoDeadline,
		"os.ErrProcessDone":      os.ErrProcessDone,
		"strconv.ErrRange":       strconv.ErrRange,
		"strconv.ErrSyntax":      strconv.ErrSyntax,

		"limits.ErrClosed":      limits.ErrClosed,
		"limits.ErrReleased":    limits.ErrReleased,
		"limits.ErrUnavailable": limits.ErrUnavailable,

		"supervisor.ErrFailed":  supervisor.ErrFailed, // and task.ErrFailed
		"supervisor.ErrNoChild": supervisor.ErrNoChild,
		"supervisor.ErrStopped": supervisor.ErrStopped,

		"task.ErrGoexit":        task.ErrGoexit,
		"task.ErrLost":          task.ErrLost,
		"task.ErrPanicked":      task.ErrPanicked,
		"task.ErrQueueFull":     task.ErrQueueFull,
		"task.ErrStopped":       task.ErrStopped,
		"task.ErrWouldDeadlock": task.ErrWouldDeadlock,
	} {
		RegisterError(code, target)
	}
	RegisterErrorType("limits.RequestError",
		func(e *limits.RequestError) limits.RequestError { return *e },
		func(d limits.RequestError, _ []error) *limits.RequestError { return &d })
	RegisterErrorType("task.TimeoutError",
		func(e *task.TimeoutError) task.TimeoutError { return *e },
		func(d task.TimeoutError, _ []error) *task.TimeoutError { return &d })
	RegisterErrorType("task.RetryError", attemptsOf, retryError)
	RegisterErrorType("task.LostError",
		func(e *task.LostError) lost { return lost{Worker: e.Worker, Node: e.Node, Started: e.Started} },
		func(d lost, causes []error) *task.LostError {
			return &task.LostError{Worker: d.Worker, Node: d.Node, Started: d.Started, Cause: optional(causes)}
		})
	RegisterErrorType("task.CrashError", crashOf, crashError)
	RegisterErrorType("wire.PayloadError",
		func(e *PayloadError) PayloadError { return *e },
		func(d PayloadError, _ []error) *PayloadError { return &d })
	RegisterErrorType("wire.VersionError",
		func(e *VersionError) VersionError { return *e },
		func(d VersionError, _ []error) *VersionError { return &d })
	RegisterErrorType("wire.CodecError",
		func(e *CodecError) [3]string { return [3]string{e.Codec, e.Op, e.Type} },
		func(d [3]string, causes []error) *CodecError {
			return &CodecError{Codec: d[0], Op: d[1], Type: d[2], Err: first(causes)}
		})
	RegisterErrorType("wire.EnvelopeError",
		func(e *EnvelopeError) [2]string { return [2]string{e.Field, e.Reason} },
		func(d [2]string, causes []error) *EnvelopeError {
			return &EnvelopeError{Field: d[0], Reason: d[1], cause: optional(causes)}
		})
	RegisterErrorType("fs.PathError",
		func(e *fs.PathError) [2]string { return [2]string{e.Op, e.Path} },
		func(d [2]string, causes []error) *fs.PathError {
			return &fs.PathError{Op: d[0], Path: d[1], Err: first(causes)}
		})
	RegisterErrorType("os.LinkError",
		func(e *os.LinkError) [3]string { return [3]string{e.Op, e.Old, e.New} },
		func(d [3]string, causes []error) *os.LinkError {
			return &os.LinkError{Op: d[0], Old: d[1], New: d[2], Err: first(causes)}
		})
	RegisterErrorType("os.SyscallError",
		func(e *os.SyscallError) string { return e.Syscall },
		func(d string, causes []error) *os.SyscallError {
			return &os.SyscallError{Syscall: d, Err: first(causes)}
		})
	RegisterErrorType("strconv.NumError",
		func(e *strconv.NumError) [2]string { return [2]string{e.Func, e.Num} },
		func(d [2]string, causes []error) *strconv.NumError {
			return &strconv.NumError{Func: d[0], Num: d[1], Err: first(causes)}
		})
}

func first(causes []error) error {
	if len(causes) != 1 {
		panic("want one cause")
	}
	return causes[0]
}

func optional(causes []error) error {
	if len(causes) == 0 {
		return nil
	}
	return first(causes)
}

// lost is a task.LostError without its cause.
type lost struct {
	Worker, Node string
	Started      bool
}

// crash is a task.CrashError without its cause. Signal is its number on the
// system that it happened on; 0 is none.
type crash struct {
	Signal, ExitCode int
	Stderr           string
}

func crashOf(e *task.CrashError) crash {
	signal, _ := e.Signal.(syscall.Signal)
	return crash{Signal: int(signal), ExitCode: e.ExitCode, Stderr: e.Stderr}
}

func crashError(d crash, causes []error) *task.CrashError {
	e := &task.CrashError{ExitCode: d.ExitCode, Stderr: d.Stderr, Cause: optional(causes)}
	if d.Signal != 0 {
		e.Signal = syscall.Signal(d.Signal)
	}
	return e
}

// attempt is a task.Attempt without argument and result, which stay where they
// are, and without its error, which unless it is the last is but a text.
type attempt struct {
	Number  int
	Elapsed time.Duration
	Task    string
	Text    string
}

// mostAttempts of a RetryError travel, the last ones.
const mostAttempts = 100

func attemptsOf(e *task.RetryError) []attempt {
	last := e.Attempts[max(0, len(e.Attempts)-mostAttempts):]
	list := make([]attempt, 0, len(last))
	for i, a := range last {
		one := attempt{Number: a.Number, Elapsed: a.Elapsed, Task: a.Task}
		if i < len(last)-1 && a.Err != nil {
			one.Text = cut(textOf(a.Err), 1<<10)
		}
		list = append(list, one)
	}
	return list
}

func retryError(list []attempt, causes []error) *task.RetryError {
	if len(list) > mostAttempts {
		panic("too many attempts")
	}
	e := &task.RetryError{}
	for _, a := range list {
		e.Attempts = append(e.Attempts, task.Attempt{Number: a.Number, Elapsed: a.Elapsed, Task: a.Task, Err: errors.New(a.Text)})
	}
	e.Attempts[len(list)-1].Err = first(causes)
	return e
}
