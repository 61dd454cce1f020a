package main

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestRunPrintsResultsInOrder(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	want := "1 4 9 16 25 36 49 64 100\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if err := run(ctx, &strings.Builder{}); !errors.Is(err, enough) {
		t.Errorf("got %v, want %v", err, enough)
	}
}
