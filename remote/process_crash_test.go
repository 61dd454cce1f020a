package remote_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

func TestACrashSaysHowTheChildEnded(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 1, nil, patient)
	for name, c := range map[string]struct {
		order order
		code  int
		text  string // in stderr
	}{
		"exit code":         {order{Do: "exit", N: 3}, 3, ""},
		"exit code 0":       {order{Do: "exit"}, 0, ""},
		"panic in another":  {order{Do: "die", Arg: "the sky falls"}, 2, "panic: the sky falls"},
		"concurrent writes": {order{Do: "maps"}, 2, "concurrent map"},
		"stack overflow":    {order{Do: "deep"}, 2, "stack overflow"},
		"bad address":       {order{Do: "wild"}, 2, "fault"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := far.Call(t.Context(), c.order)
			wantCrash(t, err, func(e *task.CrashError) bool {
				code := c.code
				if raceEnabled && c.text == "concurrent map" { // the detector may be the one who ends it
					code = e.ExitCode
				}
				return e.Signal == nil && e.ExitCode == code && strings.Contains(e.Stderr, c.text)
			})
			if err != nil && (!strings.Contains(err.Error(), `"deed" in child-1`)) {
				t.Errorf("the error does not name both sides: %v", err)
			}
			wantEcho(t, far)
		})
	}
	if got := far.Stats().Restarts; got != 6 {
		t.Errorf("Restarts = %d, want 6", got)
	}
}

func TestAPanicInTheFunctionCostsNoChild(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 1, nil)
	before, err := far.Call(t.Context(), order{Do: "pid"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = far.Call(t.Context(), order{Do: "panic", Arg: "oh"})
	var p *task.PanicError
	if !errors.As(err, &p) || p.Value != "oh" || !strings.Contains(string(p.Stack), "process_test.go") {
		t.Errorf("got %v", err)
	}
	if after, err := far.Call(t.Context(), order{Do: "pid"}); after != before || err != nil {
		t.Errorf("pid %s became %s, %v", before, after, err)
	}
}

func TestACrashKeepsTheLast4KiBOfStderr(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 1, nil)
	_, err := far.Call(t.Context(), order{Do: "noisy death", N: 1000, Arg: "last words"})
	wantCrash(t, err, func(e *task.CrashError) bool {
		return e.ExitCode == 7 && len(e.Stderr) > 4000 && len(e.Stderr) <= 4096 && strings.HasSuffix(e.Stderr, "last words\n")
	})
}

// executions reads what children have noted of the calls that they began.
func executions(t *testing.T, path string) []int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var ran []int
	for line := range strings.Lines(string(text)) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		ran = append(ran, n)
	}
	slices.Sort(ran)
	return ran
}

func TestACrashFailsOnlyTheCallThatRan(t *testing.T) {
	t.Parallel()
	const calls, every = 2000, 250
	far, _ := inChildren(t, 2, nil, patient)
	log := t.TempDir() + "/executions"
	futures := make([]*task.Future[string], calls)
	want := make([]int, calls)
	for i := range calls {
		want[i] = i
		o := order{Do: "echo", N: i, Arg: fmt.Sprint(i), Log: log}
		if i%every == every-1 {
			o.Do = "exit"
		}
		futures[i] = far.Submit(t.Context(), o)
	}
	for i, f := range futures {
		v, err := f.Await(t.Context())
		if i%every == every-1 {
			wantCrash(t, err, func(e *task.CrashError) bool { return e.ExitCode == i&0xff })
		} else if v != fmt.Sprint(i) || err != nil {
			t.Errorf("call %d: %q, %v", i, v, err)
		}
	}
	if ran := executions(t, log); !slices.Equal(ran, want) {
		t.Errorf("%d executions of %d calls", len(ran), calls)
	}
	if r := far.Stop(); r != (task.Report{}) {
		t.Errorf("Stop = %+v", r)
	}
}

func TestAnIdempotentCallIsTriedTwice(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 2, nil, patient, task.Idempotent())
	log := t.TempDir() + "/executions"
	_, err := far.Call(t.Context(), order{Do: "exit", N: 9, Log: log})
	wantCrash(t, err, func(e *task.CrashError) bool { return e.ExitCode == 9 })
	if ran := executions(t, log); !slices.Equal(ran, []int{9, 9}) {
		t.Errorf("executions: %v, want two", ran)
	}
	wantEcho(t, far)
}

func TestACallThatHasEndedTwoChildrenIsNotRetried(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"retries":                {},
		"idempotent and retries": {task.Idempotent()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts = append(opts, patient, task.Retries(task.RetryPolicy{Max: 5, Backoff: task.Constant(0)}))
			far, _ := inChildren(t, 1, nil, opts...)
			log := t.TempDir() + "/executions"
			_, err := far.Call(t.Context(), order{Do: "exit", N: 9, Log: log})
			wantCrash(t, err, func(e *task.CrashError) bool { return strings.Contains(e.Error(), "second process") })
			if ran := executions(t, log); !slices.Equal(ran, []int{9, 9}) {
				t.Errorf("executions: %v, want two", ran)
			}
		})
	}
}

func TestChildrenCallTasksOfTheirOwn(t *testing.T) {
	t.Parallel()
	far, _ := inChildren(t, 1, nil)
	if v, err := far.Call(t.Context(), order{Do: "cube", N: 3}); v != "27" || err != nil {
		t.Errorf("got %s, %v", v, err)
	}
}

func TestTwoPlacedPoolsAtOnce(t *testing.T) {
	t.Parallel()
	one, _ := inChildren(t, 1, nil)
	other := cube.On(remote.Processes(1))
	defer other.Stop()
	wantEcho(t, one)
	if v, err := other.Call(t.Context(), 4); v != 64 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
	one.Stop()
	if v, err := other.Call(context.Background(), 5); v != 125 || err != nil {
		t.Errorf("after the other's Stop: %d, %v", v, err)
	}
}
