package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

var (
	errOwn     = errors.New("app: out of stock")
	errUnknown = errors.New("app: nobody registered this")
	errWraps   = fmt.Errorf("app: short: %w", io.ErrUnexpectedEOF)
)

func init() {
	wire.RegisterError("app.OutOfStock", errOwn)
	wire.RegisterError("app.Short", errWraps)
	wire.RegisterErrorType("app.CodeError",
		func(e *codeError) int { return e.Code },
		func(code int, causes []error) *codeError { return &codeError{Code: code, cause: causes[0]} })
}

// codeError has fields, and wraps.
type codeError struct {
	Code  int
	cause error
}

func (e *codeError) Error() string { return fmt.Sprintf("code %d: %v", e.Code, e.cause) }
func (e *codeError) Unwrap() error { return e.cause }

// across sends err over the wire, bytes and all.
func across(t testing.TB, err error) error {
	t.Helper()
	data, fault := wire.Write(&wire.Envelope{
		Version: 1, From: 1, To: 2,
		Answers: []*wire.Answer{{Id: 1, Failure: wire.EncodeError(err)}},
	})
	if fault != nil {
		t.Fatal(fault)
	}
	e, fault := wire.Read(data, wire.Bounds{})
	if fault != nil {
		t.Fatal(fault)
	}
	return wire.DecodeError(e.Answers[0].Failure)
}

var sentinels = []error{
	context.Canceled, context.DeadlineExceeded, errors.ErrUnsupported,
	fs.ErrClosed, fs.ErrExist, fs.ErrInvalid, fs.ErrNotExist, fs.ErrPermission,
	io.EOF, io.ErrClosedPipe, io.ErrNoProgress, io.ErrShortBuffer, io.ErrShortWrite, io.ErrUnexpectedEOF,
	net.ErrClosed, os.ErrDeadlineExceeded, os.ErrNoDeadline, os.ErrProcessDone, strconv.ErrRange, strconv.ErrSyntax,
	limits.ErrClosed, limits.ErrReleased, limits.ErrUnavailable,
	supervisor.ErrFailed, supervisor.ErrNoChild, supervisor.ErrStopped,
	task.ErrFailed, task.ErrGoexit, task.ErrLost, task.ErrPanicked, task.ErrQueueFull, task.ErrStopped, task.ErrWouldDeadlock,
	errOwn, errWraps,
}

func TestSentinelsArriveAsThemselves(t *testing.T) {
	for _, want := range sentinels {
		if got := across(t, want); got != want {
			t.Errorf("%v arrived as %T %v", want, got, got)
		}
	}
}

// Codes are part of the protocol: this list may grow, and never change.
func TestCodesStayWhatTheyAre(t *testing.T) {
	for code, err := range map[string]error{
		"context.Canceled": context.Canceled, "context.DeadlineExceeded": context.DeadlineExceeded,
		"errors.ErrUnsupported": errors.ErrUnsupported,
		"fs.ErrClosed":          fs.ErrClosed, "fs.ErrExist": fs.ErrExist, "fs.ErrInvalid": fs.ErrInvalid,
		"fs.ErrNotExist": fs.ErrNotExist, "fs.ErrPermission": fs.ErrPermission,
		"io.EOF": io.EOF, "io.ErrClosedPipe": io.ErrClosedPipe, "io.ErrNoProgress": io.ErrNoProgress,
		"io.ErrShortBuffer": io.ErrShortBuffer, "io.ErrShortWrite": io.ErrShortWrite, "io.ErrUnexpectedEOF": io.ErrUnexpectedEOF,
		"net.ErrClosed": net.ErrClosed, "os.ErrDeadlineExceeded": os.ErrDeadlineExceeded,
		"os.ErrNoDeadline": os.ErrNoDeadline, "os.ErrProcessDone": os.ErrProcessDone,
		"strconv.ErrRange": strconv.ErrRange, "strconv.ErrSyntax": strconv.ErrSyntax,
		"limits.ErrClosed": limits.ErrClosed, "limits.ErrReleased": limits.ErrReleased, "limits.ErrUnavailable": limits.ErrUnavailable,
		"supervisor.ErrFailed": task.ErrFailed, "supervisor.ErrNoChild": supervisor.ErrNoChild, "supervisor.ErrStopped": supervisor.ErrStopped,
		"task.ErrGoexit": task.ErrGoexit, "task.ErrLost": task.ErrLost, "task.ErrPanicked": task.ErrPanicked, "task.ErrQueueFull": task.ErrQueueFull,
		"task.ErrStopped": task.ErrStopped, "task.ErrWouldDeadlock": task.ErrWouldDeadlock,
		"limits.RequestError": &limits.RequestError{}, "task.TimeoutError": &task.TimeoutError{},
		"task.RetryError": &task.RetryError{Attempts: []task.Attempt{{Err: io.EOF}}},
		"task.LostError":  &task.LostError{}, "task.CrashError": &task.CrashError{},
		"wire.EnvelopeError": &wire.EnvelopeError{},
		"wire.PayloadError":  &wire.PayloadError{}, "wire.VersionError": &wire.VersionError{}, "wire.CodecError": &wire.CodecError{Err: io.EOF},
		"fs.PathError": &fs.PathError{Err: io.EOF}, "os.LinkError": &os.LinkError{Err: io.EOF},
		"os.SyscallError": &os.SyscallError{Err: io.EOF}, "strconv.NumError": &strconv.NumError{Err: io.EOF},
		"errors.Join": errors.Join(io.EOF),
	} {
		if got := wire.EncodeError(err).Codes; len(got) == 0 || got[0] != code {
			t.Errorf("%v has the codes %q, want %q first", err, got, code)
		}
	}
}

func TestWrappedSentinelsAreFoundAndNoOthers(t *testing.T) {
	for _, want := range sentinels {
		got := across(t, fmt.Errorf("a: %w", errors.Join(errUnknown, fmt.Errorf("b: %w", want))))
		for _, s := range sentinels {
			if errors.Is(got, s) != errors.Is(want, s) {
				t.Errorf("%v: errors.Is(%v) = %t", want, s, errors.Is(got, s))
			}
		}
	}
}

func TestNilStaysNil(t *testing.T) {
	if f := wire.EncodeError(nil); f != nil {
		t.Errorf("got %v", f)
	}
	if err := wire.DecodeError(nil); err != nil {
		t.Errorf("got %v", err)
	}
}

// stopped is what task makes of a call that its Stop cancelled.
func stopped(t *testing.T) error {
	t.Helper()
	started := make(chan struct{})
	x := task.MustNew(func(ctx context.Context, _ int) (int, error) {
		close(started)
		<-ctx.Done()
		return 0, ctx.Err()
	}, task.Name("slow"))
	f := x.Submit(t.Context(), 1)
	<-started
	x.Stop()
	_, err := f.Result()
	return err
}

func panicked(t *testing.T, value any) error {
	t.Helper()
	x := task.MustNew(func(context.Context, int) (int, error) { panic(value) }, task.Name("bad"))
	defer x.Stop()
	_, err := x.Call(t.Context(), 1)
	return err
}

func TestTheFrameworksErrorsKeepTheirMeaning(t *testing.T) {
	_, notThere := os.Open("/no/such/file")
	_, number := strconv.Atoi("x")
	_, dial := net.DialTimeout("tcp", "127.0.0.1:1", time.Nanosecond)
	_, request := limits.MustNew(limits.Calls(1, time.Second)).TryAcquire(limits.Request{"x": 1})
	_, payload := wire.Encode(standard(t), "abc", 1)
	_, codec := wire.Encode(standard(t), func() {}, limit)
	_, version := wire.Negotiate(versions(1, 1), versions(2, 2))
	retry := &task.RetryError{Attempts: []task.Attempt{
		{Number: 1, Elapsed: 0, Err: errUnknown, Task: "flaky", In: 1},
		{Number: 2, Elapsed: time.Second, Err: fmt.Errorf("b: %w", errOwn), Task: "flaky", Out: 2},
	}}
	for name, err := range map[string]error{
		"stopped":   stopped(t),
		"queue":     &task.TimeoutError{Kind: task.QueueWait, After: time.Second},
		"attempt":   &task.TimeoutError{Kind: task.AttemptRun, After: time.Minute},
		"panic":     panicked(t, "boom"),
		"panic err": panicked(t, fmt.Errorf("a: %w", errOwn)),
		"panic nil": panicked(t, nil),
		"permanent": task.Permanent(errOwn),
		"again":     task.RetryAfter(fmt.Errorf("a: %w", io.EOF), time.Second),
		"both":      fmt.Errorf("a: %w", task.Permanent(fmt.Errorf("b: %w", task.RetryAfter(errOwn, 0)))),
		"retry":     retry,
		"lost":      &task.LostError{Worker: "w", Node: "n:1", Started: true},
		"lost of":   &task.LostError{Worker: "w", Node: "n:1", Cause: io.ErrUnexpectedEOF},
		"killed":    &task.CrashError{Signal: syscall.SIGKILL, ExitCode: -1, Stderr: "x"},
		"exited":    &task.CrashError{ExitCode: 2, Stderr: "panic: x", Cause: errUnknown},
		"request":   request,
		"open":      notThere,
		"number":    number,
		"dial":      dial,
		"link":      &os.LinkError{Op: "rename", Old: "a", New: "b", Err: fs.ErrExist},
		"syscall":   os.NewSyscallError("write", fs.ErrPermission),
		"payload":   payload,
		"codec":     codec,
		"version":   version,
		"own type":  &codeError{Code: 5, cause: fs.ErrClosed},
		"deep":      fmt.Errorf("a: %w, b: %w", &codeError{Code: 5, cause: io.EOF}, errors.Join(errOwn, request)),
	} {
		t.Run(name, func(t *testing.T) {
			if err == nil {
				t.Fatal("nothing to send")
			}
			same(t, across(t, err), err)
			same(t, across(t, fmt.Errorf("w: %w", err)), fmt.Errorf("w: %w", err))
			same(t, across(t, across(t, err)), err)
		})
	}
}

// same compares all that callers can ask.
func same(t rapid.TB, got, want error) {
	t.Helper()
	if got.Error() != want.Error() {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, s := range sentinels {
		if errors.Is(got, s) != errors.Is(want, s) {
			t.Errorf("%v: errors.Is(%v) = %t", want, s, errors.Is(got, s))
		}
	}
	for _, as := range []func(a, b error) (bool, bool){
		equalAs[*task.TimeoutError], equalAs[*limits.RequestError], equalAs[*wire.PayloadError], equalAs[*wire.VersionError],
		foundAs[*task.LostError], equalButCause, foundAs[*wire.EnvelopeError],
		foundAs[*task.PanicError], foundAs[*task.RetryError], foundAs[*fs.PathError], foundAs[*os.LinkError], foundAs[*os.SyscallError],
		foundAs[*strconv.NumError], foundAs[*wire.CodecError], foundAs[*codeError],
	} {
		if a, b := as(got, want); a != b {
			t.Errorf("%v: errors.As differs: %t", want, a)
		}
	}
	var a, b net.Error
	wantSlow := errors.As(want, &b) && b.Timeout()
	if gotSlow := errors.As(got, &a) && a.Timeout(); wantSlow && !gotSlow {
		t.Errorf("%v is no timeout any more", want)
	}
	sameTree(t, got, want, 0)
}

func equalAs[E error](a, b error) (bool, bool) {
	var x, y E
	okA, okB := errors.As(a, &x), errors.As(b, &y)
	return okA == okB && reflect.DeepEqual(x, y), true
}

// equalButCause compares what is known of a crash.
func equalButCause(a, b error) (bool, bool) {
	var x, y *task.CrashError
	if !errors.As(a, &x) || !errors.As(b, &y) {
		return foundAs[*task.CrashError](a, b)
	}
	return x.Signal == y.Signal && x.ExitCode == y.ExitCode && x.Stderr == y.Stderr, true
}

func foundAs[E error](a, b error) (bool, bool) {
	var x, y E
	return errors.As(a, &x), errors.As(b, &y)
}

// sameTree compares texts along Unwrap. What lies below a sentinel, or in a
// type that this module knows nothing of, is its own affair.
func sameTree(t rapid.TB, got, want error, depth int) {
	t.Helper()
	if got.Error() != want.Error() {
		t.Errorf("depth %d: got %q, want %q", depth, got, want)
		return
	}
	a, b := children(got), children(want)
	if len(a) != len(b) {
		t.Errorf("depth %d: %q unwraps to %d errors, want %d", depth, want, len(a), len(b))
		return
	}
	for i := range a {
		sameTree(t, a[i], b[i], depth+1)
	}
}

func children(err error) []error {
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		if cause := x.Unwrap(); cause != nil {
			return []error{cause}
		}
	case interface{ Unwrap() []error }:
		return x.Unwrap()
	}
	return nil
}

func TestPanicsArriveWithTextAndRemoteStack(t *testing.T) {
	sent := panicked(t, struct{ A int }{5})
	var want, got *task.PanicError
	if !errors.As(sent, &want) || !errors.As(across(t, sent), &got) {
		t.Fatal("no PanicError")
	}
	if got.Task != "bad" || got.Value != "{5}" || string(got.Stack) != string(want.Stack) || !strings.Contains(string(got.Stack), "failure_test.go") {
		t.Errorf("got %q %v\n%s", got.Task, got.Value, got.Stack)
	}
	if err := across(t, panicked(t, errOwn)); !errors.Is(err, errOwn) || !errors.Is(err, task.ErrPanicked) {
		t.Errorf("a panicked sentinel arrived as %v", err)
	} else if errors.As(err, &got); got.Value != errOwn {
		t.Errorf("its Value is %#v", got.Value)
	}
	var runtimeFault *task.PanicError
	if err := across(t, panicked(t, fmt.Stringer(nil))); !errors.As(err, &runtimeFault) {
		t.Errorf("got %v", err)
	}
}

func TestRetryErrorsKeepTheirAttempts(t *testing.T) {
	var got *task.RetryError
	if !errors.As(across(t, &task.RetryError{Attempts: []task.Attempt{
		{Number: 1, Elapsed: time.Millisecond, Err: io.EOF, Task: "f", In: "x"},
		{Number: 2, Elapsed: time.Second, Err: errOwn, Task: "f"},
	}}), &got) {
		t.Fatal("no RetryError")
	}
	a, b := got.Attempts[0], got.Attempts[1]
	if a.Number != 1 || a.Elapsed != time.Millisecond || a.Task != "f" || a.Err.Error() != "EOF" || a.In != nil || b.Err != errOwn {
		t.Errorf("got %+v", got.Attempts)
	}
	many := &task.RetryError{Attempts: make([]task.Attempt, 150)}
	for i := range many.Attempts {
		many.Attempts[i] = task.Attempt{Number: i + 1, Task: "f", Err: errOwn}
	}
	err := across(t, many)
	if err.Error() != many.Error() || !errors.Is(err, errOwn) || !errors.As(err, &got) || len(got.Attempts) != 100 || got.Attempts[99].Number != 150 {
		t.Errorf("150 attempts arrived as %v with %d", err, len(got.Attempts))
	}
}

// trees of errors of all sorts.
func trees(depth int) *rapid.Generator[error] {
	leaf := rapid.OneOf(
		rapid.SampledFrom(sentinels),
		rapid.Map(text, errors.New),
		rapid.Map(rapid.Int64(), func(d int64) error { return &task.TimeoutError{Kind: task.AttemptRun, After: time.Duration(d)} }),
		rapid.Custom(func(t *rapid.T) error {
			return &limits.RequestError{Key: text.Draw(t, "key"), Amount: rapid.Int().Draw(t, "n"), Reason: text.Draw(t, "reason")}
		}),
	)
	if depth == 0 {
		return leaf
	}
	below := trees(depth - 1)
	return rapid.OneOf(
		leaf,
		rapid.Map(below, task.Permanent),
		rapid.Map(below, func(err error) error { return task.RetryAfter(err, time.Second) }),
		rapid.Map(below, func(err error) error { return fmt.Errorf("w: %w", err) }),
		rapid.Map(below, func(err error) error { return &fs.PathError{Op: "open", Path: "x", Err: err} }),
		rapid.Map(below, func(err error) error { return &task.PanicError{Task: "t", Value: err} }),
		rapid.Map(below, func(err error) error { return &codeError{Code: 3, cause: err} }),
		rapid.Map(rapid.SliceOfN(below, 1, 3), func(errs []error) error { return errors.Join(errs...) }),
		rapid.Custom(func(t *rapid.T) error {
			return fmt.Errorf("%w, then %w", below.Draw(t, "a"), below.Draw(t, "b"))
		}),
	)
}

func TestErrorTreesKeepTextStructureAndMeaning(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := trees(4).Draw(rt, "error")
		f := wire.EncodeError(want)
		got := wire.DecodeError(f)
		same(rt, got, want)
		if again := wire.EncodeError(got); !proto.Equal(again, f) {
			rt.Errorf("sent on, it is\n%v\nand not\n%v", again, f)
		}
	})
}
