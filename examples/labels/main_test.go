package main

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestRunLabelsAllTextsAndIsNeverToldToSlowDown(t *testing.T) {
	for name, args := range map[string]string{
		"one region":         "-n 300 -window 500ms",
		"two regions":        "-n 300 -window 500ms -regions 2",
		"estimates too high": "-n 300 -window 500ms -over 2",
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := run(t.Context(), strings.Fields(args), &out); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{`(?m)^30\d requests in .* s, [0-2] answered with 500, 0 with 429$`, `labels: map\[.*\], 0 failed, [0-2] retries\n$`} {
				if !regexp.MustCompile(want).MatchString(out.String()) {
					t.Errorf("no %q in\n%s", want, &out)
				}
			}
		})
	}
}

func TestAnInterruptedRunEndsWithASummary(t *testing.T) {
	interrupt := errors.New("interrupt")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, interrupt)
	defer cancel()
	var out strings.Builder
	start := time.Now()
	if err := run(ctx, []string{"-n", "5000"}, &out); !errors.Is(err, interrupt) {
		t.Errorf("got %v, want %v", err, interrupt)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	if !strings.Contains(out.String(), "0 with 429\n") || !strings.Contains(out.String(), "\nlabels: map[") {
		t.Errorf("no summary:\n%s", &out)
	}
}

func TestTheProviderRefusesWhatIsTooMuch(t *testing.T) {
	p := &provider{allowed: quota{requests: 3, tokens: 100, window: time.Second}}
	start := time.Now()
	for _, step := range []struct {
		at      time.Duration
		tokens  int
		refused bool
	}{
		{0, 60, false}, {100, 50, true}, {100, 40, false}, {900, 1, true}, {1000, 60, false}, {1001, 1, true},
		{1100, 10, false}, {1200, 10, false}, {1300, 1, true}, {2000, 1, false},
	} {
		_, wait := p.admit(start.Add(step.at*time.Millisecond), step.tokens)
		if (wait > 0) != step.refused {
			t.Errorf("%d tokens at %d ms: refused %v, want %v", step.tokens, step.at, wait > 0, step.refused)
		}
	}
}
