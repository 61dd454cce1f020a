package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tree makes a directory with three files, two of them alike, and one that
// cannot be read.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"a.txt": "same", "b.txt": "same", "sub/c.txt": "other, and larger"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRunReportsFilesDuplicatesAndProblems(t *testing.T) {
	dir := tree(t)
	var out strings.Builder
	if err := run(t.Context(), []string{"-workers", "2", dir, filepath.Join(dir, "missing")}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"not read: open " + filepath.Join(dir, "missing"),
		"3 of 4 files with 2 workers",
		"3 of 4 files with 1 workers",
		"1 duplicates, 0.000 MB wasted",
		"copy       0.000 MB  " + filepath.Join(dir, "b.txt") + " = " + filepath.Join(dir, "a.txt"),
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if largest := out.String()[strings.Index(out.String(), "largest"):]; !strings.Contains(strings.SplitN(largest, "\n", 2)[0], "c.txt") {
		t.Errorf("the largest file is not c.txt:\n%s", &out)
	}
	if got := strings.Count(out.String(), "not read"); got != 1 {
		t.Errorf("the problem is reported %d times, want once:\n%s", got, &out)
	}
}

func TestRunRefusesWrongOptions(t *testing.T) {
	if err := run(t.Context(), []string{"-workers", "0", tree(t)}, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "Workers(0)") {
		t.Errorf("got %v, want an error that names the option", err)
	}
}

func TestHashStopsWhenItsContextEnds(t *testing.T) {
	const endless = "/dev/zero"
	if _, err := os.Stat(endless); err != nil {
		t.Skip("no endless file here:", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := hash(ctx, endless); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestAnInterruptedRunEndsWithASummary(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupt := errors.New("interrupt")
	cancel(interrupt)
	var out strings.Builder
	start := time.Now()
	err := run(ctx, []string{tree(t)}, &out)
	if !errors.Is(err, interrupt) {
		t.Errorf("got %v, want %v", err, interrupt)
	}
	if got := time.Since(start); got > time.Second {
		t.Errorf("took %v, want less than a second", got)
	}
	if !strings.Contains(out.String(), " files with 8 workers") {
		t.Errorf("no summary:\n%s", &out)
	}
}
