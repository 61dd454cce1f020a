package limits_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/limits"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// algorithms are all there are.
var algorithms = []limits.Algorithm{
	limits.TokenBucket, limits.GCRA, limits.SlidingWindow, limits.FixedWindow, limits.LeakyBucket,
}

func procs() int { return runtime.GOMAXPROCS(0) }

func yield() { runtime.Gosched() }

// acquire takes r or fails the test.
func acquire(t *testing.T, l limits.Limiter, r limits.Request) *limits.Permit {
	t.Helper()
	p, err := l.Acquire(t.Context(), r)
	if err != nil {
		t.Fatalf("Acquire(%v): %v", r, err)
	}
	return p
}

// unavailable fails the test if r is granted now.
func unavailable(t *testing.T, l limits.Limiter, r limits.Request) {
	t.Helper()
	if p, err := l.TryAcquire(r); !errors.Is(err, limits.ErrUnavailable) {
		t.Errorf("TryAcquire(%v): got %v, %v, want ErrUnavailable", r, p, err)
	}
}

// available fails the test unless r is granted now.
func available(t *testing.T, l limits.Limiter, r limits.Request) *limits.Permit {
	t.Helper()
	p, err := l.TryAcquire(r)
	if err != nil {
		t.Fatalf("TryAcquire(%v): got %v, want a permit", r, err)
	}
	return p
}

// stat returns the state of key.
func stat(t *testing.T, l limits.Limiter, key string) limits.Stat {
	t.Helper()
	for _, st := range l.Stats() {
		if st.Key == key {
			return st
		}
	}
	t.Fatalf("no stat for %q", key)
	return limits.Stat{}
}

// An outcome is what a waiting Acquire came to, and when.
type outcome struct {
	permit *limits.Permit
	err    error
	at     time.Time
}

// inBackground acquires r on a goroutine and delivers what comes of it.
func inBackground(ctx context.Context, l limits.Limiter, r limits.Request) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		p, err := l.Acquire(ctx, r)
		done <- outcome{permit: p, err: err, at: time.Now()}
	}()
	return done
}

// granted waits for the permit of an inBackground.
func granted(t *testing.T, done <-chan outcome) outcome {
	t.Helper()
	o := <-done
	if o.err != nil {
		t.Fatalf("Acquire: %v", o.err)
	}
	return o
}

// requestError fails the test unless err is a *RequestError about key.
func requestError(t *testing.T, err error, key string) *limits.RequestError {
	t.Helper()
	var re *limits.RequestError
	if !errors.As(err, &re) {
		t.Fatalf("got %v, want a *RequestError", err)
	}
	if re.Key != key {
		t.Errorf("got the error %v, want it about key %q", re, key)
	}
	return re
}
