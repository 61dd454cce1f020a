package main

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/remote"
)

func TestMain(m *testing.M) {
	remote.Main()
	// The race detector would let every child sleep for a second at its exit.
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	os.Exit(m.Run())
}

func TestRunGetsEveryResult(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		`(?m)^record +1968 +result`,
		`(?m)^chatty +8 +result`,
		`(?m)^malformed +5 +error of the function +strconv.Atoi`,
		`(?m)^panic +5 +\*task.PanicError`,
		`(?m)^segfault +5 +\*task.CrashError .*fatal error: fault`,
		`(?m)^exit +5 +\*task.CrashError .*exit code 3`,
		`(?m)^leak +2 +\*task.CrashError .*memory limit`,
		`(?m)^spin +2 +\*task.TimeoutError`,
		`(?m)^2000 inputs in .* \d\d restarts, \d+ lines`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestAnInterruptedRunSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupt := errors.New("interrupt")
	cancel(interrupt)
	var out strings.Builder
	if err := run(ctx, &out); !errors.Is(err, interrupt) {
		t.Errorf("got %v, want %v", err, interrupt)
	}
}
