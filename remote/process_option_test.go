package remote_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

func TestWrongOptionsOfProcessesAreErrors(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]task.Placement{
		"Processes(0)":     remote.Processes(0),
		"nil option":       remote.Processes(1, nil),
		"MemoryLimit(0)":   remote.Processes(1, remote.MemoryLimit(0)),
		"RecycleAfter(0)":  remote.Processes(1, remote.RecycleAfter(0)),
		"KillGrace(0s)":    remote.Processes(1, remote.KillGrace(0)),
		`Env("=x")`:        remote.Processes(1, remote.Env("A=b", "=x")),
		`Env("x")`:         remote.Processes(1, remote.Env("x")),
		"reserved":         remote.Processes(1, remote.Env("TROUPE_CHILD=1")),
		"Env(\"A=\\x00\")": remote.Processes(1, remote.Env("A=\x00")),
	} {
		far, _ := inSystem(t, p)
		if _, err := far.Call(t.Context(), order{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want one about %s", err, want)
		}
		if err := far.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Ready = %v, want one about %s", err, want)
		}
	}
	far, _ := inSystem(t, remote.Processes(0, remote.KillGrace(-1)), task.OnDemand())
	_, err := far.Call(t.Context(), order{})
	for _, want := range []string{"Processes(0)", "KillGrace(-1ns)", "RecycleAfter(1)"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want one about %s, too", err, want)
		}
	}
	wide, _ := shelved(t, 2, nil, task.Workers(3))
	if _, err := task.Ask(t.Context(), wide, (*Shelf).Put, 1).Await(t.Context()); err == nil || !strings.Contains(err.Error(), "Workers(3)") {
		t.Errorf("got %v", err)
	}
}

func TestEnvReachesTheChildren(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 1, []remote.ProcessOption{remote.Env("REMOTE_TEST_A=1", "REMOTE_TEST_B=2"), remote.Env("REMOTE_TEST_A=3")})
	for key, want := range map[string]string{"REMOTE_TEST_A": "3", "REMOTE_TEST_B": "2", "TROUPE_CHILD": ""} {
		if v, err := far.Call(t.Context(), order{Do: "env", Arg: key}); v != want || err != nil {
			t.Errorf("%s = %q, %v", key, v, err)
		}
	}
}

func TestWhatChildrenPrintGoesToTheLog(t *testing.T) {
	t.Parallel()
	far, j := inChildren(t, 1, nil)
	pid := pidText(t, far)
	if _, err := far.Call(t.Context(), order{Do: "print", Arg: "a"}); err != nil {
		t.Fatal(err)
	}
	for text, stream := range map[string]string{"a": "stdout", "a again": "stderr", "and on": "stderr"} {
		want := map[string]string{"stream": stream, "pid": pid, "task": "deed", "process": "child-1"}
		if got := j.await(text); fmt.Sprint(got.attrs) != fmt.Sprint(want) {
			t.Errorf("%q: %v, want %v", text, got.attrs, want)
		}
	}
}

// A log that takes nothing must not keep calls and children from ending.
func TestAStuckLogHoldsUpNothing(t *testing.T) {
	t.Parallel()
	stuck := stuckLog{Handler: slog.DiscardHandler, on: make(chan struct{}), reached: make(chan struct{}), once: new(sync.Once)}
	far := deed.On(remote.Processes(1), task.System(actor.NewSystem(actor.Logger(slog.New(stuck)))))
	defer far.Stop()
	defer close(stuck.on)
	if _, err := far.Call(t.Context(), order{Do: "print", Arg: "stuck"}); err != nil {
		t.Fatal(err)
	}
	<-stuck.reached
	_, err := far.Call(t.Context(), order{Do: "exit", N: 4})
	wantCrash(t, err, func(e *task.CrashError) bool { return e.ExitCode == 4 })
	wantEcho(t, far)
}

func TestAChildAboveItsMemoryLimitIsKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only linux kills a process above its limit")
	}
	far, _ := inChildren(t, 1, []remote.ProcessOption{remote.MemoryLimit(256 << 20)})
	_, err := far.Call(t.Context(), order{Do: "hog"})
	wantCrash(t, err, func(e *task.CrashError) bool { return strings.Contains(e.Error(), "memory limit") })
	wantEcho(t, far)
	if v, err := far.Call(t.Context(), order{Do: "limit"}); v != fmt.Sprint((256<<20)-(256<<20)/10) || err != nil {
		t.Errorf("limit of the collector: %s, %v", v, err)
	}
}

func TestRecycleAfterReplacesTheChild(t *testing.T) {
	t.Parallel()
	const calls, after = 60, 3
	far, _ := inChildren(t, 2, []remote.ProcessOption{remote.RecycleAfter(after)})
	ran := make(map[string]int)
	var futures []*task.Future[string]
	for range calls {
		futures = append(futures, far.Submit(t.Context(), order{Do: "pid"}))
	}
	for _, f := range futures {
		pid, err := f.Await(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ran[pid]++
	}
	full := 0
	for pid, n := range ran {
		if n > after {
			t.Errorf("process %s ran %d calls", pid, n)
		}
		if n == after {
			full++
		}
	}
	// The last process in each seat may not be full.
	if len(ran)-full > 2 {
		t.Errorf("of %d processes only %d ran %d calls: %v", len(ran), full, after, ran)
	}
}

// A call that was sent ahead and called back does not count.
func TestRecycleAfterCountsWhatWasRun(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 1, []remote.ProcessOption{remote.RecycleAfter(2)})
	slow := far.Submit(t.Context(), order{Do: "late", N: 100})
	next := far.Submit(t.Context(), order{Do: "pid"})
	want, err := slow.Await(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := next.Await(t.Context()); pid != want || err != nil {
		t.Errorf("process %s ran one call, and the second %s, %v", want, pid, err)
	}
	if pidText(t, far) == want {
		t.Error("it has run a third one")
	}
}

const (
	hasLeft = "troupe: a child process has left"
	wasLost = "troupe: a child process was lost"
)

func TestIdleChildrenGoAndComeBack(t *testing.T) {
	t.Parallel()
	far, j := inChildren(t, 1, nil, task.IdleTimeout(20*time.Millisecond))
	seen := make(map[string]bool)
	for round := range 3 {
		if round == 1 { // nor do they stay if nobody calls
			if err := far.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		} else {
			seen[pidText(t, far)] = true
		}
		if e := j.awaitNth(hasLeft, round+1); !strings.Contains(e.attrs["reason"], "IdleTimeout") {
			t.Errorf("left: %v", e.attrs)
		}
		if s := far.Stats(); s.Workers != 0 || s.Restarts != 0 || s.Failed != 0 {
			t.Errorf("stats: %+v", s)
		}
	}
	if len(seen) != 2 {
		t.Errorf("processes: %v, want two", seen)
	}
}

func TestIdleMembersGoWithTheirChildren(t *testing.T) {
	t.Parallel()
	far, j := shelved(t, 2, nil, task.IdleTimeout(20*time.Millisecond))
	for round := range 2 {
		for _, key := range []string{"a", "b", "c", "d"} {
			if n, err := task.AskKey(t.Context(), far, key, (*Shelf).Put, 1).Await(t.Context()); n < 1 || err != nil {
				t.Errorf("round %d: %s: %d, %v", round, key, n, err)
			}
		}
		j.awaitNth(hasLeft, 2*round+2)
		j.awaitNth("closed", 2*round+2)
	}
}

// Calls that come while the children are about to go lose nothing.
func TestCallsAtTheEdgeOfIdleness(t *testing.T) {
	t.Parallel()
	far, j := inChildren(t, 1, nil, task.IdleTimeout(time.Millisecond))
	for i := range 60 {
		if i%3 == 0 {
			j.awaitNth(hasLeft, i/3)
		}
		wantEcho(t, far)
	}
	if s := far.Stats(); s.Failed != 0 || s.Restarts != 0 {
		t.Errorf("stats: %+v", s)
	}
}

type stuckLog struct {
	slog.Handler
	on, reached chan struct{}
	once        *sync.Once
}

func (s stuckLog) Enabled(context.Context, slog.Level) bool { return true }
func (s stuckLog) WithAttrs([]slog.Attr) slog.Handler       { return s }

func (s stuckLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "stuck" {
		s.once.Do(func() { close(s.reached) })
		<-s.on
	}
	return nil
}
