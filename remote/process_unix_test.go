//go:build unix

package remote_test

import (
	"context"
	"errors"
	"strconv"
	"syscall"
	"testing"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/task"
)

func init() {
	deeds["freeze"] = func(context.Context, order) (string, error) {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGSTOP); err != nil {
			return "", err
		}
		select {} // not all threads stop at once
	}
}

func pidOf(t *testing.T, far *task.Task[order, string]) int {
	t.Helper()
	text, err := far.Call(t.Context(), order{Do: "pid"})
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestAnIdleChildThatIsKilledIsReplaced(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 1, nil)
	pid := pidOf(t, far)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// The call may be sent before the loss is noticed, and is then lost with it.
	_, err := far.Call(t.Context(), order{Do: "echo"})
	if err != nil {
		wantCrash(t, err, func(e *task.CrashError) bool { return e.Signal == syscall.SIGKILL })
	}
	if next := pidOf(t, far); next == pid {
		t.Error("it is the same process")
	}
}

func TestABusyChildThatIsKilledLosesItsCallOnly(t *testing.T) {
	t.Parallel()
	far, j := inChildren(t, 1, nil)
	running := far.Submit(t.Context(), order{Do: "block", N: 1})
	pid, _ := strconv.Atoi(j.await("begun 1").attrs["pid"])
	next := far.Submit(t.Context(), order{Do: "echo", Arg: "next"})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, err := running.Await(t.Context())
	wantCrash(t, err, func(e *task.CrashError) bool { return e.Signal == syscall.SIGKILL && e.ExitCode == -1 })
	if v, err := next.Await(t.Context()); v != "next" || err != nil {
		t.Errorf("the next call: %q, %v", v, err)
	}
}

func TestAFrozenChildIsNoticedAndReplaced(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 1, nil)
	_, err := far.Call(t.Context(), order{Do: "freeze"})
	wantCrash(t, err, func(e *task.CrashError) bool { return errors.Is(e, link.ErrSilent) })
	wantEcho(t, far)
}

func TestStopLeavesNoChild(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 2, nil)
	pid := pidOf(t, far)
	far.Stop()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after Stop: %v", pid, err)
	}
}
