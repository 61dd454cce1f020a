package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

var (
	errSoldOut = errors.New("sold out")
	errPrivate = errors.New("known to nobody else")
)

func init() { remote.RegisterError("remote_test.errSoldOut", errSoldOut) }

// fail fails in the way that its argument names.
func fail(_ context.Context, how string) (int, error) {
	switch how {
	case "sentinel":
		return 0, errSoldOut
	case "wrapped":
		return 0, fmt.Errorf("the last apple: %w", errSoldOut)
	case "joined":
		return 0, errors.Join(errors.New("one"), fmt.Errorf("two: %w", errSoldOut))
	case "private":
		return 0, fmt.Errorf("it is %w", errPrivate)
	case "fs":
		_, err := os.Open("/there/is/no/such/file")
		return 0, err
	case "eof":
		return 0, io.ErrUnexpectedEOF
	case "canceled":
		return 0, fmt.Errorf("on its own: %w", context.Canceled)
	case "late":
		return 0, context.DeadlineExceeded
	case "permanent":
		return 0, task.Permanent(errSoldOut)
	case "panic":
		panic("no more apples")
	case "panic with an error":
		panic(fmt.Errorf("deep down: %w", errSoldOut))
	case "panic of another":
		return 0, &task.PanicError{Task: "another", Value: "told", Stack: []byte("there")}
	case "goexit":
		runtime.Goexit()
	}
	return len(how), nil
}

func TestErrorsKeepWhatTheyAreAcrossNodes(t *testing.T) {
	b := serving(t, remote.Config{Capacity: 2}, "fail", fail)
	far := placed[string, int](newSite(t, remote.Config{}), "fail", nil, b)
	for how, want := range map[string]error{
		"sentinel": errSoldOut, "wrapped": errSoldOut, "joined": errSoldOut, "fs": fs.ErrNotExist, "eof": io.ErrUnexpectedEOF,
		"canceled": context.Canceled, "late": context.DeadlineExceeded, "permanent": errSoldOut,
		"panic": task.ErrPanicked, "panic with an error": errSoldOut, "panic of another": task.ErrPanicked, "goexit": task.ErrGoexit,
	} {
		if err := fault(t, far.Submit(t.Context(), how)); !errors.Is(err, want) {
			t.Errorf("%s: got %v (%T), want %v", how, err, err, want)
		}
		if v := value(t, far.Submit(t.Context(), "fine")); v != 4 { // the node goes on
			t.Errorf("after %s: got %d", how, v)
		}
	}
}

func TestErrorsThatNobodyRegisteredKeepTheirText(t *testing.T) {
	b := serving(t, remote.Config{}, "fail", fail)
	far := placed[string, int](newSite(t, remote.Config{}), "fail", nil, b)
	err := fault(t, far.Submit(t.Context(), "private"))
	if errors.Is(err, errPrivate) || err.Error() != "it is known to nobody else" {
		t.Errorf("got %v", err)
	}
	if err := fault(t, far.Submit(t.Context(), "sentinel")); err != errSoldOut { //nolint:errorlint // the very one
		t.Errorf("got %T, want the sentinel itself", err)
	}
	path := as[*fs.PathError](t, fault(t, far.Submit(t.Context(), "fs")))
	if path.Path != "/there/is/no/such/file" || path.Op != "open" {
		t.Errorf("got %+v", path)
	}
}

func TestAPanicThereBringsItsStack(t *testing.T) {
	b := serving(t, remote.Config{}, "fail", fail)
	far := placed[string, int](newSite(t, remote.Config{}), "fail", nil, b)
	p := as[*task.PanicError](t, fault(t, far.Submit(t.Context(), "panic")))
	if p.Value != "no more apples" || p.Task != "fail" || !strings.Contains(string(p.Stack), "remote_test.fail") {
		t.Errorf("got %v of %q with\n%s", p.Value, p.Task, p.Stack)
	}
	s := far.Stats()
	if s.Panicked != 1 || s.Failed != 0 {
		t.Errorf("Stats = %+v", s)
	}
	fault(t, far.Submit(t.Context(), "panic of another")) // which this one only reports
	if s := far.Stats(); s.Panicked != 1 || s.Failed != 1 {
		t.Errorf("Panicked = %d, Failed = %d: want 1 each", s.Panicked, s.Failed)
	}
}

func TestARefusedResultAndAFailedAttemptAreTriedAgain(t *testing.T) {
	b := serving(t, remote.Config{}, "fail", fail)
	a := newSite(t, remote.Config{})
	again := task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(0)})
	far := placed[string, int](a, "fail", []task.Option{again}, b)
	tried := as[*task.RetryError](t, fault(t, far.Submit(t.Context(), "wrapped")))
	if len(tried.Attempts) != 3 || !errors.Is(tried, errSoldOut) {
		t.Errorf("got %v", tried)
	}
	if err := fault(t, far.Submit(t.Context(), "permanent")); err != errSoldOut { //nolint:errorlint // without its mark
		t.Errorf("got %v", err)
	}
	if s := far.Stats(); s.Retries != 2 {
		t.Errorf("Retries = %d", s.Retries)
	}
	choosy := far.With(task.Until(func(n int) error {
		if n < 5 {
			return errPrivate
		}
		return nil
	}))
	if v := value(t, choosy.Submit(t.Context(), "enough")); v != 6 {
		t.Errorf("got %d", v)
	}
	if err := fault(t, choosy.Submit(t.Context(), "few")); !errors.Is(err, errPrivate) || len(as[*task.RetryError](t, err).Attempts) != 3 {
		t.Errorf("got %v", err)
	}
}

func TestRetryAfterThereIsObeyedHere(t *testing.T) {
	tries := make(chan int, 10)
	b := serving(t, remote.Config{}, "busy", func(ctx context.Context, x int) (int, error) {
		if n := task.Info(ctx).Attempt; n < 3 {
			tries <- n
			return 0, fmt.Errorf("come again: %w", task.RetryAfter(errSoldOut, 1))
		}
		return x, nil
	})
	far := placed[int, int](newSite(t, remote.Config{}), "busy", []task.Option{task.Retries(task.RetryPolicy{Max: 0})}, b)
	if v := value(t, far.Submit(t.Context(), 5)); v != 5 || len(tries) != 2 {
		t.Errorf("got %d after %d tries", v, len(tries))
	}
}
