package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

// retried runs a task whose attempts fail with err as it arrives, and returns
// how often it ran.
func retried(t *testing.T, err error) (runs int) {
	t.Helper()
	err = across(t, err)
	x := task.MustNew(func(context.Context, int) (int, error) {
		runs++
		if runs > 3 {
			return 0, nil
		}
		return 0, err
	}, task.Retries(task.RetryPolicy{Max: 1, Backoff: task.Constant(0)}))
	defer x.Stop()
	_, _ = x.Submit(t.Context(), 1).Result()
	return runs
}

func TestMarksSteerRetriesAtTheOtherSide(t *testing.T) {
	if got := retried(t, errOwn); got != 2 {
		t.Errorf("no mark: %d runs, want 2", got)
	}
	if got := retried(t, task.Permanent(errOwn)); got != 1 {
		t.Errorf("Permanent: %d runs, want 1", got)
	}
	if got := retried(t, fmt.Errorf("a: %w", task.RetryAfter(errOwn, time.Nanosecond))); got != 4 {
		t.Errorf("RetryAfter: %d runs, want 4", got)
	}
	f := wire.EncodeError(task.RetryAfter(errOwn, 5*time.Second))
	if !f.Again || f.RetryAfter != int64(5*time.Second) {
		t.Errorf("got %v", f)
	}
}

func TestTimeoutsStayNetErrors(t *testing.T) {
	_, err := net.DialTimeout("tcp", "10.255.255.1:9", time.Nanosecond)
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() {
		t.Fatalf("got %v, want a timeout", err)
	}
	got := across(t, err)
	if !errors.As(got, &ne) || !ne.Timeout() || !os.IsTimeout(got) {
		t.Errorf("%v arrived as %T, no timeout", err, got)
	}
	if got := across(t, errUnknown); errors.As(got, &ne) {
		t.Errorf("%v became a net.Error", got)
	}
	if got := across(t, slowJoin{errors.Join(io.EOF, errOwn)}); !os.IsTimeout(got) || !errors.Is(got, errOwn) || len(children(got)) != 2 {
		t.Errorf("a timeout of several errors arrived as %#v", got)
	}
}

type slowJoin struct{ error }

func (slowJoin) Timeout() bool     { return true }
func (e slowJoin) Unwrap() []error { return children(e.error) }

// hostileError panics wherever it can.
type hostileError struct{}

func (*hostileError) Error() string { panic("Error") }
func (*hostileError) Is(error) bool { panic("Is") }
func (*hostileError) Unwrap() error { panic("Unwrap") }
func (*hostileError) Timeout() bool { panic("Timeout") }

// ringError wraps itself.
type ringError struct{}

func (*ringError) Error() string     { return "ring" }
func (e *ringError) Unwrap() []error { return []error{e, io.EOF, e} }

// sliceError cannot be compared.
type sliceError []error

func (e sliceError) Error() string   { return "slice" }
func (e sliceError) Unwrap() []error { return e }

func TestStrangeErrorsArriveAsWhatTheyAreGoodFor(t *testing.T) {
	if got, want := across(t, &hostileError{}).Error(), "*wire_test.hostileError"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := across(t, (*codeError)(nil)).Error(), "*wire_test.codeError(nil)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := across(t, &ringError{}); got.Error() != "ring" || !errors.Is(got, io.EOF) {
		t.Errorf("got %v", got)
	}
	if got := across(t, sliceError{nil, errOwn}); got.Error() != "slice" || !errors.Is(got, errOwn) || len(children(got)) != 1 {
		t.Errorf("got %#v", got)
	}
	if got := across(t, errors.New("\xff\x00")); got.Error() != "\xff\x00" {
		t.Errorf("got %q", got)
	}
	if got := across(t, fmt.Errorf("%w%w", errors.New(""), errors.New(""))); got.Error() != "" || len(children(got)) != 2 {
		t.Errorf("got %#v", got)
	}
	if got := across(t, &task.PanicError{Value: &hostileError{}}); !errors.Is(got, task.ErrPanicked) {
		t.Errorf("got %v", got)
	}
}
