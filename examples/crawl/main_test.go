package main

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestRunFetchesAllThatCanBeFetched(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	// Of 200 pages, 13 and 77 fail, and with them those linked from there only:
	// 26, 27, 52 to 55, 104 to 111, 154, 155.
	summary := regexp.MustCompile(`(?m)^182 pages with \d+ bytes, 2 failed, \d\d+ retries, `)
	if !summary.MatchString(out.String()) {
		t.Errorf("no summary %q in\n%s", summary, &out)
	}
	for _, want := range []string{"failed: /13: 404 Not Found\n", "after 5 attempts", "/77: 503 Service Unavailable\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestAnInterruptedRunEndsWithASummary(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupt := errors.New("interrupt")
	cancel(interrupt)
	var out strings.Builder
	if err := run(ctx, &out); !errors.Is(err, interrupt) {
		t.Errorf("got %v, want %v", err, interrupt)
	}
	if !strings.HasPrefix(out.String(), "0 pages") {
		t.Errorf("no summary:\n%s", &out)
	}
}
