package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// everyone returns all competitors, troupe in each of its forms.
func everyone() []peer {
	return slices.Concat(peers(), []peer{limitedGoroutinePeer()},
		troupeCall(), troupeSubmit(), troupeMap(), troupeMapSlice())
}

// batchers opens each form in which p takes a batch.
func batchers(p peer, fn function, workers, calls int) map[string]batcher {
	found := map[string]batcher{}
	if p.batch != nil {
		found["batch"] = p.batch(fn, workers)
	}
	if p.queue != nil {
		found["queue"] = p.queue(fn, workers, calls)
	}
	return found
}

func TestEveryPeerDoesTheWork(t *testing.T) {
	ctx, in := t.Context(), inputs(500)
	for _, p := range everyone() {
		if p.call != nil {
			c := p.call(tiny, poolSize)
			if err := callEach(ctx, c, 8, 100); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
			c.Stop()
		}
		for form, b := range batchers(p, tiny, poolSize, len(in)) {
			out, err := submit(ctx, b, in)
			if err := errors.Join(err, checkSquares(in, out)); err != nil {
				t.Errorf("%s, %s: %v", p.name, form, err)
			}
			b.Stop()
		}
		if p.stream != nil {
			s := p.stream(tiny, poolSize)
			if _, err := streamWatched(ctx, s, 5000); err != nil {
				t.Errorf("%s, stream: %v", p.name, err)
			}
			s.Stop()
		}
	}
}

func TestEveryPeerHandsBackErrors(t *testing.T) {
	ctx, errOdd := t.Context(), errors.New("odd")
	odd := func(_ context.Context, x int) (int, error) {
		if x%2 == 1 {
			return 0, errOdd
		}
		return x, nil
	}
	for _, p := range everyone() {
		if p.call != nil {
			c := p.call(odd, poolSize)
			if _, err := c.Call(ctx, 1); !errors.Is(err, errOdd) {
				t.Errorf("%s: %v, want %v", p.name, err, errOdd)
			}
			c.Stop()
		}
		for form, b := range batchers(p, odd, poolSize, 100) {
			if _, err := submit(ctx, b, inputs(100)); !errors.Is(err, errOdd) {
				t.Errorf("%s, %s: %v, want %v", p.name, form, err, errOdd)
			}
			b.Stop()
		}
	}
}

func TestRowsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range rows() {
		if seen[row.Name] {
			t.Errorf("%q is there twice", row.Name)
		}
		seen[row.Name] = true
		names := map[string]bool{}
		for _, c := range row.Competitors {
			if names[c.Name] {
				t.Errorf("%q has two competitors %q", row.Name, c.Name)
			}
			names[c.Name] = true
		}
		if row.Baseline != "" && !names[row.Baseline] {
			t.Errorf("%q lacks its baseline", row.Name)
		}
	}
}

// TestEveryRowRuns runs each row's competitors once, in this process, small.
func TestEveryRowRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, row := range rows() {
		for _, c := range row.Competitors {
			m := harness.NewMeter(0.005)
			if err := c.Run(t.Context(), m); err != nil {
				t.Errorf("%s: %s: %v", row.Name, c.Name, err)
			}
		}
	}
}

func TestMakespanGivesTheNextCallToTheFirstFreeWorker(t *testing.T) {
	tests := []struct {
		workers   int
		durations []time.Duration
		want      time.Duration
	}{
		{1, []time.Duration{1, 2, 3}, 6},
		{2, []time.Duration{1, 2, 3}, 4},
		{2, []time.Duration{10, 1, 1, 1, 1}, 10},
		{2, []time.Duration{1, 1, 1, 1, 10}, 12},
		{4, []time.Duration{7}, 7},
	}
	for _, tt := range tests {
		if got := makespan(tt.durations, tt.workers); got != tt.want {
			t.Errorf("makespan(%v, %d) = %d, want %d", tt.durations, tt.workers, got, tt.want)
		}
	}
}

func TestOneSkewedCallInAHundredIsLong(t *testing.T) {
	long := 0
	for _, d := range newSkewedWork(2000).planned {
		if d > time.Millisecond {
			long++
		}
	}
	if long != 20 {
		t.Errorf("%d of 2000 are long, want 20", long)
	}
}

func TestWrongFlagsAreErrors(t *testing.T) {
	for _, args := range []string{"-rounds 0", "-scale 0", "-scale -1", "-only (", "-peer [", "-no", "more"} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
