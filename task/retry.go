package task

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/pool"
)

// RetryPolicy says whether and when a failed attempt is tried again. A retry
// that waits holds no worker; Stop ends it.
type RetryPolicy struct {
	Max        int                // attempts after the first
	Backoff    Backoff            // zero: exponential, 1 s to 1 min, with jitter
	MaxElapsed time.Duration      // from the start of the first attempt to the start of the last; 0: no bound
	On         func(Attempt) bool // asked before each retry, by several goroutines at once; nil: always; a panic means no
}

func (p RetryPolicy) validate() error {
	var faults []error
	if p.Max < 0 {
		faults = append(faults, fmt.Errorf("task: Retries: Max %d: want no negative number", p.Max))
	}
	if p.MaxElapsed < 0 {
		faults = append(faults, fmt.Errorf("task: Retries: MaxElapsed %v: want no negative duration", p.MaxElapsed))
	}
	if p.Backoff.base < 0 || p.Backoff.max < p.Backoff.base {
		faults = append(faults, fmt.Errorf("task: Retries: Backoff from %v to %v: want 0 <= base <= max", p.Backoff.base, p.Backoff.max))
	}
	return errors.Join(faults...)
}

// Attempt is one failed run of a call, as RetryPolicy.On and [RetryError] see it.
type Attempt struct {
	Number  int           // from 1
	Elapsed time.Duration // since the first attempt began
	Err     error
	Task    string
	In, Out any // Out is the refused result, if Until refused it
}

// RetryError is the outcome of a call whose attempts were exhausted. It
// unwraps to the error of the last.
type RetryError struct{ Attempts []Attempt }

func (e *RetryError) Error() string {
	last := e.Attempts[len(e.Attempts)-1]
	return fmt.Sprintf("task %q: gave up after %d attempts in %v: %v",
		last.Task, len(e.Attempts), last.Elapsed.Round(time.Millisecond), last.Err)
}

// Unwrap returns the error of the last attempt.
func (e *RetryError) Unwrap() error { return e.Attempts[len(e.Attempts)-1].Err }

type curve int

const (
	exponential curve = iota
	linear
	fibonacci
	constant
)

// Backoff gives the delay before a retry. The zero value is
// Exponential(time.Second, time.Minute). Delays have full jitter (Brooker,
// "Exponential Backoff And Jitter", 2015): they are uniform between 0 and the
// value of the curve.
type Backoff struct {
	curve     curve
	base, max time.Duration
	exact     bool
}

// Exponential grows by the factor 2: base, 2·base, 4·base, … up to most.
func Exponential(base, most time.Duration) Backoff {
	return Backoff{curve: exponential, base: base, max: most}
}

// Linear grows by step: step, 2·step, 3·step, … up to most.
func Linear(step, most time.Duration) Backoff { return Backoff{curve: linear, base: step, max: most} }

// Fibonacci grows as 1, 1, 2, 3, 5, … times base, up to most.
func Fibonacci(base, most time.Duration) Backoff {
	return Backoff{curve: fibonacci, base: base, max: most}
}

// Constant does not grow.
func Constant(d time.Duration) Backoff { return Backoff{curve: constant, base: d, max: d} }

// NoJitter returns b with the exact values of its curve.
func (b Backoff) NoJitter() Backoff {
	b.exact = true
	return b
}

// Delay returns the delay before retry k, from 1.
func (b Backoff) Delay(k int) time.Duration {
	if b == (Backoff{exact: b.exact}) {
		b.base, b.max = time.Second, time.Minute
	}
	d := min(b.at(max(k, 1)), b.max)
	if b.exact || d <= 0 {
		return max(d, 0)
	}
	return rand.N(min(d, math.MaxInt64-1) + 1)
}

// at is the value of the curve, saturated.
func (b Backoff) at(k int) time.Duration {
	factor := 1.0
	switch b.curve {
	case exponential:
		factor = math.Pow(2, float64(k-1))
	case linear:
		factor = float64(k)
	case fibonacci:
		x, y := 1.0, 1.0
		for i := 1; i < k && x*float64(b.base) < float64(b.max); i++ {
			x, y = y, x+y
		}
		factor = x
	}
	if d := factor * float64(b.base); d < float64(b.max) {
		return time.Duration(d)
	}
	return b.max
}

// Permanent marks err as not worth a retry. The call's outcome is err itself.
// Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// RetryAfter says that err will go away after d, as a server says with status
// 429. It pauses the limits that the attempt used, and with [Retries] the call
// is tried again after d: at no cost in attempts, within MaxElapsed, at most
// 100 times. RetryAfter(nil, d) is nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{error: err, after: max(d, 0)}
}

type retryAfterError struct {
	error
	after time.Duration
}

func (e *retryAfterError) Unwrap() error { return e.error }

// bare takes the outermost mark of Permanent or RetryAfter off a final error.
func bare(err error) error {
	switch e := err.(type) { //nolint:errorlint // only the mark itself is taken off
	case *permanentError:
		return e.error
	case *retryAfterError:
		return e.error
	}
	return err
}

const mostRetryAfters = 100

// trail is what the retries of one call remember.
type trail struct {
	attempts []Attempt
	free     int // retries that RetryAfter asked for
}

// decide says what follows attempt a, the last of the trail.
func (p *RetryPolicy) decide(t *trail, a Attempt, log func() *slog.Logger) (again bool, delay time.Duration, final error) {
	var permanent *permanentError
	if errors.As(a.Err, &permanent) || errors.Is(a.Err, ErrGoexit) {
		return false, 0, a.Err
	}
	var after *retryAfterError
	if errors.As(a.Err, &after) {
		if t.free >= mostRetryAfters || p.tooLate(a.Elapsed, after.after) {
			return false, 0, &RetryError{Attempts: t.attempts}
		}
		t.free++
		return true, after.after, nil
	}
	paid := a.Number - t.free // attempts that count
	if paid > p.Max {
		return false, 0, &RetryError{Attempts: t.attempts}
	}
	if !p.wanted(a, log) {
		return false, 0, a.Err
	}
	delay = p.Backoff.Delay(paid)
	if p.tooLate(a.Elapsed, delay) {
		return false, 0, &RetryError{Attempts: t.attempts}
	}
	return true, delay, nil
}

func (p *RetryPolicy) tooLate(elapsed, delay time.Duration) bool {
	return p.MaxElapsed > 0 && delay > p.MaxElapsed-elapsed
}

func (p *RetryPolicy) wanted(a Attempt, log func() *slog.Logger) (yes bool) {
	if p.On == nil {
		return true
	}
	defer func() {
		if r := recover(); r != nil {
			log().Error("troupe: RetryPolicy.On panicked", "task", a.Task, "panic", r)
			yes = false
		}
	}()
	return p.On(a)
}

// retry connects the policy with the engine.
func (h *shell) retry(p *RetryPolicy, in func(*cell.Cell) any) pool.Retry {
	return func(a *pool.Attempt, err error, out func() any) (bool, time.Duration, error) {
		if err == nil {
			return false, 0, nil
		}
		tr, _ := (*a.History).(*trail)
		if tr == nil {
			tr = &trail{}
			*a.History = tr
		}
		at := Attempt{Number: a.Number, Elapsed: a.Elapsed, Err: err, Task: h.pool.Name(), In: in(a.Cell)}
		if out != nil {
			at.Out = out()
		}
		tr.attempts = append(tr.attempts, at)
		return p.decide(tr, at, func() *slog.Logger { return h.pool.System().Log() })
	}
}
