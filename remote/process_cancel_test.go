package remote_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

func TestACallThatIgnoresItsTimeoutIsKilled(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 1, quick(100*time.Millisecond), task.Timeout(500*time.Millisecond))
	pid := pidText(t, far)
	start := time.Now()
	log := t.TempDir() + "/executions"
	spins := far.Submit(t.Context(), order{Do: "spin", N: 1, Log: log})
	waits := far.Submit(t.Context(), order{Do: "echo", N: 2, Arg: "later", Log: log})
	_, err := spins.Await(t.Context())
	var late *task.TimeoutError
	if !errors.As(err, &late) || late.Kind != task.AttemptRun {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took < 500*time.Millisecond {
		t.Errorf("the timeout came after %v", took)
	}
	if v, err := waits.Await(t.Context()); v != "later" || err != nil {
		t.Errorf("the call behind it: %q, %v", v, err)
	}
	if pidText(t, far) == pid {
		t.Error("the process lives on")
	}
	if ran := executions(t, log); !slices.Equal(ran, []int{1, 2}) {
		t.Errorf("executions: %v", ran)
	}
	if s := far.Stats(); s.Restarts != 1 || s.TimedOut != 1 || s.Failed != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestACancelledCallEndsAtOnce(t *testing.T) {
	t.Parallel()
	far, j := inChildren(t, 1, quick(time.Hour), task.StopGrace(10*time.Millisecond))
	spins := far.Submit(t.Context(), order{Do: "spin", N: 1})
	j.await("begun 1")
	if !spins.Cancel() {
		t.Error("not cancelled")
	}
	if _, err := spins.Await(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestACancelledCallThatGoesOnIsKilled(t *testing.T) {
	t.Parallel()
	far, j := inChildren(t, 1, quick(50*time.Millisecond))
	spins := far.Submit(t.Context(), order{Do: "spin", N: 1})
	pid := j.await("begun 1").attrs["pid"]
	spins.Cancel()
	if pidText(t, far) == pid {
		t.Error("the process lives on")
	}
}

func TestACallThatObeysItsCtxCostsNoChild(t *testing.T) {
	t.Parallel()
	far, j := inChildren(t, 1, nil)
	pid := pidText(t, far)
	ctx, cancel := context.WithCancelCause(t.Context())
	blocks := far.Submit(ctx, order{Do: "block", N: 1})
	j.await("begun 1")
	why := errors.New("enough")
	cancel(why)
	if _, err := blocks.Await(context.Background()); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	blocks = far.Submit(t.Context(), order{Do: "block", N: 2})
	j.await("begun 2")
	blocks.Cancel()
	short := far.With(task.Timeout(10 * time.Millisecond))
	if _, err := short.Call(t.Context(), order{Do: "block", N: 3}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if now := pidText(t, far); now != pid {
		t.Errorf("process %s became %s", pid, now)
	}
	if s := far.Stats(); s.Restarts != 0 {
		t.Errorf("restarts: %d", s.Restarts)
	}
}

// Killing a process for a call costs no budget: the default allows 10 restarts.
func TestManyCallsThatIgnoreTheirTimeout(t *testing.T) {
	t.Parallel()
	const calls = 24
	far, _ := inChildren(t, 2, quick(time.Millisecond))
	if err := far.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	var futures []*task.Future[string]
	for i := range calls {
		o, view := order{Do: "echo", Arg: fmt.Sprint(i)}, far
		if i%2 == 0 {
			o.Do, view = "spin", far.With(task.Timeout(50*time.Millisecond))
		}
		futures = append(futures, view.Submit(t.Context(), o))
	}
	for i, f := range futures {
		v, err := f.Await(t.Context())
		switch {
		case i%2 == 0 && !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("call %d: %v", i, err)
		case i%2 == 1 && (v != fmt.Sprint(i) || err != nil):
			t.Errorf("call %d: %q, %v", i, v, err)
		}
	}
	if s := far.Stats(); s.TimedOut != calls/2 || s.Restarts == 0 {
		t.Errorf("stats: %+v", s)
	}
}

// A call that ends when it is about to be killed takes no other with it.
func TestAKillThatComesLateHitsNobodyElse(t *testing.T) {
	t.Parallel()
	const timeout, grace = 15, 15
	far, _ := inChildren(t, 2, quick(grace*time.Millisecond))
	late := far.With(task.Timeout(timeout * time.Millisecond))
	var echoes, lates []*task.Future[string]
	for i := range 40 {
		lates = append(lates, late.Submit(t.Context(), order{Do: "late", N: timeout + grace + i%3 - 1}))
		for range 5 {
			echoes = append(echoes, far.Submit(t.Context(), order{Do: "echo", Arg: "here"}))
		}
	}
	for i, f := range echoes {
		if v, err := f.Await(t.Context()); v != "here" || err != nil {
			t.Errorf("call %d: %q, %v", i, v, err)
		}
	}
	for i, f := range lates {
		// On a busy machine the result may come before the timeout is noticed.
		if _, err := f.Await(t.Context()); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("late call %d: %v", i, err)
		}
	}
}

func TestStopEndsACallThatSpins(t *testing.T) {
	t.Parallel()
	far, j := inChildren(t, 2, quick(50*time.Millisecond))
	spins := far.Submit(t.Context(), order{Do: "spin", N: 1})
	blocks := far.Submit(t.Context(), order{Do: "block", N: 2})
	j.await("begun 1")
	j.await("begun 2")
	start := time.Now()
	if r := far.Stop(); r.Cancelled != 2 || r.Abandoned != 0 {
		t.Errorf("Stop = %+v", r)
	}
	if took := time.Since(start); took > 4*time.Second { // StopGrace is 5 s
		t.Errorf("Stop took %v", took)
	}
	for _, f := range []*task.Future[string]{spins, blocks} {
		if _, err := f.Await(t.Context()); !errors.Is(err, task.ErrStopped) {
			t.Errorf("got %v", err)
		}
	}
}

// With a KillGrace above StopGrace the call is given up, and its process still
// ended.
func TestStopGivesUpAndStillEndsTheChild(t *testing.T) {
	t.Parallel()
	far, j := inChildren(t, 1, quick(time.Hour), task.StopGrace(20*time.Millisecond))
	far.Submit(t.Context(), order{Do: "spin", N: 1})
	j.await("begun 1")
	if r := far.Stop(); r.Cancelled != 1 || r.Abandoned != 1 {
		t.Errorf("Stop = %+v", r)
	}
}

func TestDrainFinishesWhatIsThere(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 2, nil)
	var futures []*task.Future[string]
	for i := range 100 {
		futures = append(futures, far.Submit(t.Context(), order{Do: "echo", Arg: fmt.Sprint(i)}))
	}
	r, err := far.Drain(t.Context())
	if err != nil || r.Cancelled+r.NeverStarted+r.Abandoned != 0 {
		t.Errorf("Drain = %+v, %v", r, err)
	}
	for i, f := range futures {
		if v, err := f.Await(t.Context()); v != fmt.Sprint(i) || err != nil {
			t.Errorf("call %d: %q, %v", i, v, err)
		}
	}
	if _, err := far.Call(t.Context(), order{Do: "echo"}); !errors.Is(err, task.ErrStopped) {
		t.Errorf("after Drain: %v", err)
	}
}

func TestSystemStopEndsChildren(t *testing.T) {
	t.Parallel()
	far, sys := inSystem(t, remote.Processes(1))
	wantEcho(t, far)
	if err := sys.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Call(t.Context(), order{Do: "echo"}); !errors.Is(err, task.ErrStopped) {
		t.Errorf("got %v", err)
	}
}

func TestResizeBoundsTheCallsUnderWay(t *testing.T) {
	t.Parallel()
	far, j := inChildren(t, 2, nil)
	if err := far.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := far.Resize(1); err != nil {
		t.Fatal(err)
	}
	first := far.Submit(t.Context(), order{Do: "block", N: 1})
	j.await("begun 1")
	second := far.Submit(t.Context(), order{Do: "block", N: 2})
	if s := far.Stats(); s.Queued != 1 {
		t.Errorf("queued: %d, want 1", s.Queued)
	}
	if err := far.Resize(2); err != nil {
		t.Fatal(err)
	}
	j.await("begun 2")
	first.Cancel()
	second.Cancel()
	if err := far.Resize(0); err == nil || !strings.Contains(err.Error(), "at least 1") {
		t.Errorf("Resize(0) = %v", err)
	}
}

func pidText(t *testing.T, far *task.Task[order, string]) string {
	t.Helper()
	pid, err := far.Call(t.Context(), order{Do: "pid"})
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
