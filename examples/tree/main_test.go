package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunTellsWhatTheSupervisorDid(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"shop/audit failed: the books are wrong\n", "shop/audit restarted\n",
		"feeds/orders failed: no orders, attempt 1\n", "feeds/mails restarting: no orders, attempt 2\n",
		"feeds gave up: ", "shop/feeds restarted\n", "shop/prices restarted\n", "shop/clock done\n",
		"stock has restarted its member itself: 1\n",
		"\n    audit running, restarts: 1, last error: the books are wrong\n", "\n    clock done\n",
		"after:\n  shop stopped\n    audit stopped",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestAnInterruptedRunStopsTheTree(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupt := errors.New("interrupt")
	cancel(interrupt)
	var out strings.Builder
	if err := run(ctx, &out); !errors.Is(err, interrupt) {
		t.Errorf("got %v, want %v", err, interrupt)
	}
	if !strings.Contains(out.String(), "after:\n  shop stopped\n") {
		t.Errorf("the tree has not stopped:\n%s", &out)
	}
}
