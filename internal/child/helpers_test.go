package child

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds what should never take long.
const patience = 30 * time.Second

// record is a Log that keeps everything.
type record struct {
	mu    sync.Mutex
	lines []Line
}

func (r *record) log(l Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, l)
}

// text is all that came on a stream, with its line breaks.
func (r *record) text(s Stream) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, l := range r.lines {
		if l.Lost > 0 {
			fmt.Fprintf(&b, "<%d lost>", l.Lost)
		} else if l.Stream == s {
			b.WriteString(l.Text)
			if !l.Partial {
				b.WriteByte('\n')
			}
		}
	}
	return b.String()
}

// started starts a child that has gone when the test ends.
func started(t testing.TB, mode string, cfg Config) (*Process, *record) {
	t.Helper()
	r := new(record)
	if cfg.Log == nil {
		cfg.Log = r.log
	}
	cfg.Env = append(slices.Clone(cfg.Env), modeKey+"="+mode)
	p, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill(Recycle)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.Wait(ctx); err != nil {
			t.Error(err)
		}
	})
	return p, r
}

func ready(t testing.TB, p *Process) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	payload, err := p.Ready(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// ended waits for all of it and returns how it ended.
func ended(t testing.TB, p *Process) *ExitError {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	return p.exit
}

func stop(t testing.TB, p *Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err != nil {
		t.Fatalf("stopped in order: %v", err)
	}
}
