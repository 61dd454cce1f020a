package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestASpentBudgetFailsThePool(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 1, nil, task.Supervise(supervisor.Policy{MaxRestarts: 2}))
	for i := range 3 {
		_, err := far.Call(t.Context(), order{Do: "exit", N: 10 + i})
		wantCrash(t, err, func(e *task.CrashError) bool { return e.ExitCode == 10+i })
	}
	_, err := far.Call(t.Context(), order{Do: "echo"})
	var crash *task.CrashError
	if !errors.Is(err, task.ErrFailed) || !errors.As(err, &crash) || crash.ExitCode != 12 {
		t.Errorf("got %v, want one about exit code 12", err)
	}
	if err := far.Ready(t.Context()); !errors.Is(err, task.ErrFailed) {
		t.Errorf("Ready = %v", err)
	}
	if got := far.Stats().Restarts; got != 2 {
		t.Errorf("restarts: %d, want 2", got)
	}
}

func TestDecideIsAskedAboutLostChildren(t *testing.T) {
	t.Parallel()
	for directive, want := range map[supervisor.Directive]string{
		supervisor.Resume:   "",
		supervisor.Stop:     "stopped the last process",
		supervisor.Escalate: "exit code 5",
	} {
		t.Run(directive.String(), func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			far, _ := inChildren(t, 1, nil, task.Supervise(supervisor.Policy{MaxRestarts: 1, Decide: func(err error) supervisor.Directive {
				asked.Add(1)
				var crash *task.CrashError
				if !errors.As(err, &crash) || crash.ExitCode != 5 {
					t.Errorf("asked about %v", err)
				}
				return directive
			}}))
			rounds := 1
			if want == "" {
				rounds = 4 // resuming spends no budget
			}
			for range rounds {
				_, err := far.Call(t.Context(), order{Do: "exit", N: 5})
				wantCrash(t, err, func(e *task.CrashError) bool { return e.ExitCode == 5 })
			}
			if want == "" {
				wantEcho(t, far)
			} else if _, err := far.Call(t.Context(), order{Do: "echo"}); !errors.Is(err, task.ErrFailed) || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
			if got := asked.Load(); got != int32(rounds) {
				t.Errorf("asked %d times, want %d", got, rounds)
			}
		})
	}
}

func TestStopByPolicyLeavesTheOtherChildren(t *testing.T) {
	t.Parallel()
	stop := supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Stop }}
	far, _ := inChildren(t, 2, nil, task.Supervise(stop))
	_, err := far.Call(t.Context(), order{Do: "exit", N: 5})
	wantCrash(t, err, func(e *task.CrashError) bool { return e.ExitCode == 5 })
	pid := pidText(t, far)
	for range 10 {
		if now := pidText(t, far); now != pid {
			t.Errorf("there is process %s beside %s", now, pid)
		}
	}
}

func TestBackoffDelaysTheNextChild(t *testing.T) {
	t.Parallel()
	const delay = 300 * time.Millisecond
	far, _ := inChildren(t, 1, nil, task.Supervise(supervisor.Policy{Backoff: supervisor.Backoff{Initial: delay}}))
	_, err := far.Call(t.Context(), order{Do: "exit", N: 5})
	wantCrash(t, err, func(e *task.CrashError) bool { return e.ExitCode == 5 })
	start := time.Now()
	wantEcho(t, far)
	if took := time.Since(start); took < delay*9/10 {
		t.Errorf("replaced after %v", took)
	}
}

// A pool in a tree gives up; its parent restarts it, with children.
func TestATreeRestartsAPlacedTask(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]supervisor.Policy{
		"its budget": {MaxRestarts: 1},
		"stopped":    {Decide: func(error) supervisor.Directive { return supervisor.Stop }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sys := actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
			far := deed.On(remote.Processes(1), task.System(sys), task.Supervise(p))
			tree, err := supervisor.New("tree", supervisor.Policy{}, far)
			if err != nil {
				t.Fatal(err)
			}
			if err := tree.Start(sys); err != nil {
				t.Fatal(err)
			}
			for range 3 { // in each the pool gives up
				for i := range 8 {
					_, err := far.Call(t.Context(), order{Do: "exit", N: i})
					if errors.Is(err, task.ErrFailed) {
						break
					}
					wantCrash(t, err, func(e *task.CrashError) bool { return e.ExitCode == i })
				}
				for err := far.Ready(t.Context()); err != nil; err = far.Ready(t.Context()) {
					if !errors.Is(err, task.ErrFailed) { // that is until the parent has decided
						t.Fatal(err)
					}
					runtime.Gosched()
				}
			}
			wantEcho(t, far)
			if err := tree.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestATaskThatChildrenDoNotHaveIsRefused(t *testing.T) {
	t.Parallel()
	sys := actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
	far := task.MustNew(func(_ context.Context, x int) (int, error) { return x, nil }, task.Name("late"), task.System(sys), task.On(remote.Processes(2)))
	defer far.Stop()
	var unknown *remote.UnknownTaskError
	if err := far.Ready(t.Context()); !errors.As(err, &unknown) || unknown.Task != "late" || !strings.Contains(err.Error(), "package") {
		t.Errorf("Ready = %v", err)
	}
	if _, err := far.Call(t.Context(), 1); !errors.As(err, &unknown) {
		t.Errorf("Call = %v", err)
	}
}

func TestATaskOfOtherTypesIsRefused(t *testing.T) {
	t.Parallel()
	sys := actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
	far := task.MustNew(func(_ context.Context, x string) (string, error) { return x, nil }, task.Name("cube"), task.System(sys), task.On(remote.Processes(1)))
	defer far.Stop()
	var schema *remote.SchemaError
	if _, err := far.Call(t.Context(), "x"); !errors.As(err, &schema) || schema.Task != "cube" {
		t.Errorf("got %v", err)
	}
}

// run executes the test binary as a program of its own.
func run(t *testing.T, life string, env ...string) (string, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), otherLife+"="+life), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v", life, err)
	}
	return out.String(), cmd
}

// A program without remote.Main is told so, once, by an error.
func TestAProgramWithoutMain(t *testing.T) {
	t.Parallel()
	for _, life := range []string{"forgets", "forgets and exits"} {
		t.Run(life, func(t *testing.T) {
			t.Parallel()
			count := t.TempDir() + "/lives"
			out, _ := run(t, life, forgetful+"=1", "REMOTE_TEST_COUNT="+count)
			if !strings.Contains(out, "remote.Main") || !strings.Contains(out, "gave up") {
				t.Errorf("it says\n%s", out)
			}
			lives, err := os.ReadFile(count)
			if err != nil || len(lives) > 1+2 {
				t.Errorf("main ran %d times, %v", len(lives), err)
			}
		})
	}
}

func init() {
	otherLives["forgets"] = func() int {
		countLife()
		return forget()
	}
	// A main that ends by itself when it is run a second time.
	otherLives["forgets and exits"] = func() int {
		if countLife() > 1 {
			return 3
		}
		return forget()
	}
}

func forget() int {
	far := deed.On(remote.Processes(2))
	_, err := far.Call(context.Background(), order{Do: "echo"})
	if far.Stop(); !errors.Is(err, task.ErrFailed) {
		fmt.Println("not failed:", err)
		return 1
	}
	fmt.Println(err)
	return 0
}

// countLife counts, in a file, how often main was run.
func countLife() int {
	f, err := os.OpenFile(os.Getenv("REMOTE_TEST_COUNT"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	_, _ = f.WriteString(".")
	info, err := f.Stat()
	if err != nil {
		panic(err)
	}
	return int(info.Size())
}
