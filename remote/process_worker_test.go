package remote_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// Shelf is the state of a member in a child; it tells its life on stdout.
type Shelf struct{ n int }

var shelves = task.MustNewWorker(func(context.Context) (*Shelf, error) {
	fmt.Println("opened")
	return &Shelf{}, nil
}, task.Name("shelves"))

// Put adds n and returns the sum.
func (s *Shelf) Put(_ context.Context, n int) (int, error) { s.n += n; return s.n, nil }

// Where returns the number of the process.
func (s *Shelf) Where(context.Context) (int, error) { return os.Getpid(), nil }

// Obey does what deed does.
func (s *Shelf) Obey(ctx context.Context, o order) (string, error) { return obey(ctx, o) }

// Meet waits until n calls of this member wait here.
func (s *Shelf) Meet(_ context.Context, n int) (int, error) {
	meeting <- struct{}{}
	for len(meeting) < n { //nolint:revive // the others are about to come
		runtime.Gosched()
	}
	return len(meeting), nil
}

var meeting = make(chan struct{}, 8)

// Close tells that it was called.
func (s *Shelf) Close() error { fmt.Println("closed"); return nil }

func shelved(t *testing.T, n int, p []remote.ProcessOption, opts ...task.Option) (*task.Worker[*Shelf], journal) {
	t.Helper()
	j := newJournal()
	far := shelves.On(remote.Processes(n, p...), append([]task.Option{task.System(actor.NewSystem(actor.Logger(slog.New(j))))}, opts...)...)
	t.Cleanup(func() { far.Stop() })
	return far, j
}

func TestAWorkerHasOneMemberInEachChild(t *testing.T) {
	t.Parallel()
	far, j := shelved(t, 2, nil)
	if err := far.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	homes := make(map[int]bool)
	for i := range 20 {
		key := fmt.Sprint("key", i)
		home, err := task.AskKey(t.Context(), far, key, whereKeyed, 0).Await(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		homes[home] = true
		again, err := task.AskKey(t.Context(), far, key, whereKeyed, 0).Await(t.Context())
		if again != home || err != nil {
			t.Errorf("%s moved from %d to %d, %v", key, home, again, err)
		}
	}
	if len(homes) != 2 {
		t.Errorf("homes: %v", homes)
	}
	if s := far.Stats(); len(s.PerWorker) != 2 || s.Restarts != 0 {
		t.Errorf("stats: %+v", s)
	}
	far.Stop()
	if opened, closed := j.count("opened"), j.count("closed"); opened != 2 || closed != 2 {
		t.Errorf("opened %d times, closed %d times", opened, closed)
	}
}

var whereKeyed = (*Shelf).WhereKeyed

// WhereKeyed is Where for a call with an argument.
func (s *Shelf) WhereKeyed(ctx context.Context, _ int) (int, error) { return s.Where(ctx) }

func TestAMemberWhoseChildCrashesBeginsAnew(t *testing.T) {
	t.Parallel()
	far, j := shelved(t, 1, nil)
	put := func() int {
		t.Helper()
		n, err := task.Ask(t.Context(), far, (*Shelf).Put, 1).Await(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if put(); put() != 2 {
		t.Error("the state does not live on between calls")
	}
	crash := task.Ask(t.Context(), far, (*Shelf).Obey, order{Do: "exit", N: 5})
	behind := task.Ask(t.Context(), far, (*Shelf).Put, 1)
	_, err := crash.Await(t.Context())
	wantCrash(t, err, func(e *task.CrashError) bool { return e.ExitCode == 5 })
	if n, err := behind.Await(t.Context()); n != 1 || err != nil {
		t.Errorf("the call behind it: %d, %v", n, err)
	}
	if s := far.Stats(); s.Restarts != 1 {
		t.Errorf("restarts: %d", s.Restarts)
	}
	far.Stop()
	if opened, closed := j.count("opened"), j.count("closed"); opened != 2 || closed != 1 {
		t.Errorf("opened %d times, closed %d times", opened, closed)
	}
}

func TestAnIdleMemberIsMadeAnewWithItsChild(t *testing.T) {
	t.Parallel()
	far, j := shelved(t, 1, nil)
	pid, err := task.Do(t.Context(), far, (*Shelf).Where).Await(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	proc, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.Kill(); err != nil {
		t.Fatal(err)
	}
	j.awaitNth("opened", 2) // without a call
	if n, err := task.Ask(t.Context(), far, (*Shelf).Put, 1).Await(t.Context()); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestRecycleAfterMovesTheMember(t *testing.T) {
	t.Parallel()
	far, j := shelved(t, 1, []remote.ProcessOption{remote.RecycleAfter(3)})
	for i := range 9 {
		if n, err := task.Ask(t.Context(), far, (*Shelf).Put, 1).Await(t.Context()); n != i%3+1 || err != nil {
			t.Errorf("call %d: %d, %v", i, n, err)
		}
	}
	far.Stop()
	if opened, closed := j.count("opened"), j.count("closed"); opened < 3 || closed != opened {
		t.Errorf("opened %d times, closed %d times", opened, closed)
	}
}

func TestConcurrentCallsOfAMemberMeetInItsChild(t *testing.T) {
	t.Parallel()
	far, _ := shelved(t, 1, nil, task.Concurrent(3))
	var futures []*task.Future[int]
	for range 3 {
		futures = append(futures, task.Ask(t.Context(), far, (*Shelf).Meet, 3))
	}
	for _, f := range futures {
		if n, err := f.Await(t.Context()); n != 3 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	}
}

func TestAMethodThatIgnoresItsTimeoutIsKilled(t *testing.T) {
	t.Parallel()
	far, _ := shelved(t, 1, quick(50*time.Millisecond))
	if n, err := task.Ask(t.Context(), far, (*Shelf).Put, 1).Await(t.Context()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	spins := task.Ask(t.Context(), far.With(task.Timeout(50*time.Millisecond)), (*Shelf).Obey, order{Do: "spin"})
	if _, err := spins.Await(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if n, err := task.Ask(t.Context(), far, (*Shelf).Put, 1).Await(t.Context()); n != 1 || err != nil {
		t.Errorf("in the next process: %d, %v", n, err)
	}
}

func TestAWorkerThatItsPolicyStopsFails(t *testing.T) {
	t.Parallel()
	stop := supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Stop }}
	far, _ := shelved(t, 2, nil, task.Supervise(stop))
	for range 2 {
		_, err := task.Ask(t.Context(), far, (*Shelf).Obey, order{Do: "exit", N: 5}).Await(t.Context())
		wantCrash(t, err, func(e *task.CrashError) bool { return e.ExitCode == 5 })
	}
	_, err := task.Ask(t.Context(), far, (*Shelf).Put, 1).Await(t.Context())
	if !errors.Is(err, task.ErrFailed) || !strings.Contains(err.Error(), "exit code 5") {
		t.Errorf("got %v", err)
	}
}

func TestAWorkerCannotHaveMoreMembersThanChildren(t *testing.T) {
	t.Parallel()
	far, _ := shelved(t, 2, nil)
	if err := far.Resize(3); err == nil || !strings.Contains(err.Error(), "at most 2 members") {
		t.Errorf("Resize(3) = %v", err)
	}
	if err := far.Resize(1); err != nil {
		t.Error(err)
	}
	if err := far.Resize(2); err != nil {
		t.Error(err)
	}
	if err := far.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}
