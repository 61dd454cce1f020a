package actor_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/actor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errOwn   = errors.New("the outcome's own error")
	errCause = errors.New("the cause")
)

func sq(_ context.Context, x int) (int, error) { return x * x, nil }

// newSystem returns a System that logs nothing.
func newSystem(opts ...actor.SystemOption) *actor.System {
	return actor.NewSystem(append(opts, actor.Logger(slog.New(slog.DiscardHandler)))...)
}

// newEngine returns an ActorSystem as a user would make it.
func newEngine() *proto.ActorSystem {
	return proto.NewActorSystem(
		proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		proto.WithDeadLetterThrottleInterval(time.Nanosecond))
}

// stop ends what the test has started in sys.
func stop(t *testing.T, sys *actor.System) {
	t.Helper()
	if err := sys.Stop(context.Background()); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// inbox spawns an actor that passes on what it receives.
func inbox(t *testing.T, as *proto.ActorSystem) (*actor.PID, <-chan any) {
	t.Helper()
	ch := make(chan any, 1000)
	pid := as.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		switch m := ctx.Message().(type) {
		case *proto.Started, *proto.Stopping, *proto.Stopped:
		default:
			ch <- m
		}
	}))
	t.Cleanup(func() { halt(t, as, pid) })
	return pid, ch
}

// halt stops an actor of the test's and waits for its end.
func halt(t *testing.T, as *proto.ActorSystem, pid *actor.PID) {
	t.Helper()
	if err := as.Root.StopFuture(pid).Wait(); err != nil {
		t.Errorf("stopping %v: %v", pid, err)
	}
}

// registered counts the processes in as whose id begins with prefix.
func registered(as *proto.ActorSystem, prefix string) (n int) {
	for _, bucket := range as.ProcessRegistry.LocalPIDs.LocalPIDs {
		if bucket.IsEmpty() { // Items is slow
			continue
		}
		for id := range bucket.Items() {
			if strings.HasPrefix(id, prefix) {
				n++
			}
		}
	}
	return n
}

// journal is a place for logs.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (j *journal) has(t *testing.T, want string) {
	t.Helper()
	if got := j.String(); !strings.Contains(got, want) {
		t.Errorf("log: got %q, want %q in it", got, want)
	}
}

// asDefault makes j the process-wide log until the test ends.
func (j *journal) asDefault(t *testing.T) {
	was := slog.Default()
	slog.SetDefault(j.logger())
	t.Cleanup(func() { slog.SetDefault(was) })
}

// race runs all of fs at about the same time and waits for them.
func race(fs ...func()) {
	var ready, over sync.WaitGroup
	ready.Add(len(fs))
	for _, f := range fs {
		over.Go(func() {
			ready.Done()
			ready.Wait()
			f()
		})
	}
	over.Wait()
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
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

// outcome fails the test unless f is complete with v and err.
func outcome[T comparable](t *testing.T, f *actor.Future[T], v T, err error) {
	t.Helper()
	got, gotErr, done := f.Poll()
	if !done || got != v || !errors.Is(gotErr, err) {
		t.Errorf("outcome: got %v, %v, done %v, want %v, %v", got, gotErr, done, v, err)
	}
}
