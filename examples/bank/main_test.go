package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var summary = regexp.MustCompile(`(?m)^restarts: (\d+), postings tried again: (\d+); branches opened: (\d+), closed: (\d+)\ntotal: 10000\n$`)

func TestNoMoneyIsLostWhileMembersCrash(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-days", "2", "-n", "2000"}, &out); err != nil {
		t.Fatal(err)
	}
	found := summary.FindStringSubmatch(out.String())
	if found == nil {
		t.Fatalf("no summary in\n%s", &out)
	}
	crashes := strings.Count(out.String(), "panic: transfer")
	if crashes == 0 || found[1] != fmt.Sprint(crashes) || found[2] != found[1] {
		t.Errorf("%d crashes, %s restarts, %s postings tried again, want the same number", crashes, found[1], found[2])
	}
	if want := fmt.Sprint(8 + crashes); found[3] != want || found[4] != want {
		t.Errorf("branches opened: %s, closed: %s, want %s", found[3], found[4], want)
	}
	for _, want := range []string{"crash before it is booked", "crash between ledger and balance", " 0 failed\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// interrupter ends a run at the first crash, in the middle of a day.
type interrupter struct {
	strings.Builder
	interrupt func()
}

func (w *interrupter) Write(p []byte) (int, error) {
	w.interrupt()
	return w.Builder.Write(p)
}

func TestAnInterruptLeavesNoTransferHalfDone(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupt := errors.New("interrupt")
	out := &interrupter{interrupt: func() { cancel(interrupt) }}
	if err := run(ctx, nil, out); !errors.Is(err, interrupt) {
		t.Errorf("got %v, want %v", err, interrupt)
	}
	if !summary.MatchString(out.String()) || strings.Contains(out.String(), "day 2") {
		t.Errorf("the day did not end with an audit:\n%s", out)
	}
}
