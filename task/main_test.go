package task_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sq(_ context.Context, x int) (int, error) { return x * x, nil }

var (
	errBoom  = errors.New("boom")
	errCause = errors.New("the caller's cause")
)

// newSystem returns a System that logs nothing.
func newSystem() *actor.System {
	return actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
}

// bubble runs body in a synctest bubble with a System of its own. A goroutine
// that is left at the end fails the test.
func bubble(t *testing.T, body func(t *testing.T, sys *actor.System)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		body(t, newSystem())
		time.Sleep(time.Millisecond) // the engine counts dead letters for a moment
	})
}

// gate is a function that says when it runs and blocks until it is opened.
type gate struct {
	started chan int
	open    chan struct{}
}

func newGate() *gate { return &gate{started: make(chan int, 1000), open: make(chan struct{})} }

// pass obeys its ctx.
func (g *gate) pass(ctx context.Context, x int) (int, error) {
	g.started <- x
	select {
	case <-g.open:
		return x, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// ignore does not look at its ctx.
func (g *gate) ignore(_ context.Context, x int) (int, error) {
	g.started <- x
	<-g.open
	return x, nil
}

// ran returns the arguments that the function was called with so far.
func (g *gate) ran() (xs []int) {
	for {
		select {
		case x := <-g.started:
			xs = append(xs, x)
		default:
			return xs
		}
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func equalSlices[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// is fails the test unless err matches want.
func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// as fails the test unless err is, or wraps, an E.
func as[E error](t *testing.T, what string, err error) (e E) {
	t.Helper()
	if !errors.As(err, &e) {
		t.Fatalf("%s: got error %v, want a %T", what, err, e)
	}
	return e
}

// result is the value of f without error.
func result[T any](t *testing.T, f *task.Future[T]) T {
	t.Helper()
	v, err := f.Result()
	if err != nil {
		t.Fatalf("got error %v, want a result", err)
	}
	return v
}

func failure[T any](f *task.Future[T]) error {
	_, err := f.Result()
	return err
}

// done reports whether f is complete now.
func done[T any](f *task.Future[T]) bool {
	_, _, ok := f.Poll()
	return ok
}
