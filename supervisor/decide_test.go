package supervisor_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/supervisor"
)

var (
	errBoom  = errors.New("boom")
	errFatal = errors.New("fatal")
	epoch    = time.Now()
)

// at is the moment d after the start of a test's invented history.
func at(d time.Duration) time.Time { return epoch.Add(d) }

func TestNextKeepsTheBudget(t *testing.T) {
	const s = time.Second
	byError := func(err error) supervisor.Directive {
		switch {
		case errors.Is(err, errFatal):
			return supervisor.Stop
		case errors.Is(err, fs.ErrNotExist):
			return supervisor.Resume
		case errors.Is(err, fs.ErrPermission):
			return supervisor.Escalate
		}
		return supervisor.Restart
	}
	type failure struct {
		at   time.Duration
		err  error
		want supervisor.Directive
	}
	tests := []struct {
		name     string
		policy   supervisor.Policy
		failures []failure
	}{
		{"one restart", supervisor.Policy{MaxRestarts: 1}, []failure{
			{0, errBoom, supervisor.Restart},
			{0, errBoom, supervisor.Escalate},
			{10*s - 1, errBoom, supervisor.Escalate},
			{10 * s, errBoom, supervisor.Restart},
		}},
		{"the stretch slides", supervisor.Policy{MaxRestarts: 2, Within: 4 * s}, []failure{
			{0, errBoom, supervisor.Restart},
			{3 * s, errBoom, supervisor.Restart},
			{4 * s, errBoom, supervisor.Restart},
			{5 * s, errBoom, supervisor.Escalate},
			{7 * s, errBoom, supervisor.Restart},
			{7 * s, errBoom, supervisor.Escalate},
		}},
		{"only restarts spend", supervisor.Policy{MaxRestarts: 1, Decide: byError}, []failure{
			{0, fs.ErrNotExist, supervisor.Resume},
			{0, errFatal, supervisor.Stop},
			{0, fs.ErrPermission, supervisor.Escalate},
			{0, errBoom, supervisor.Restart},
			{0, fs.ErrNotExist, supervisor.Resume},
			{0, errFatal, supervisor.Stop},
			{0, errBoom, supervisor.Escalate},
		}},
		{"wrapped errors are seen", supervisor.Policy{Decide: byError}, []failure{
			{0, fmt.Errorf("open: %w", fs.ErrNotExist), supervisor.Resume},
		}},
		{"no error", supervisor.Policy{}, []failure{{0, nil, supervisor.Restart}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var h supervisor.History
			for i, f := range test.failures {
				if got := test.policy.Next(at(f.at), &h, f.err); got.Directive != f.want || got.Err == nil {
					t.Errorf("failure %d at %v: got %v with error %v, want %v", i, f.at, got.Directive, got.Err, f.want)
				}
			}
		})
	}
}

func TestNextByDefaultAllowsTenInTenSeconds(t *testing.T) {
	var (
		p supervisor.Policy
		h supervisor.History
	)
	for i := range 10 {
		if got := p.Next(at(0), &h, errBoom).Directive; got != supervisor.Restart {
			t.Fatalf("failure %d: got %v", i, got)
		}
	}
	if got := p.Next(at(10*time.Second-1), &h, errBoom).Directive; got != supervisor.Escalate {
		t.Errorf("failure 11: got %v, want Escalate", got)
	}
	if got := p.Next(at(10*time.Second), &h, errBoom).Directive; got != supervisor.Restart {
		t.Errorf("after ten seconds: got %v, want Restart", got)
	}
}

func TestSpentBudgetMatchesErrFailedAndTheCause(t *testing.T) {
	p, h := supervisor.Policy{MaxRestarts: 1, Within: time.Minute}, new(supervisor.History)
	cause := &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}
	if v := p.Next(at(0), h, cause); errors.Is(v.Err, supervisor.ErrFailed) || !errors.Is(v.Err, fs.ErrNotExist) {
		t.Errorf("the first failure reports %v, want the cause alone", v.Err)
	}
	v := p.Next(at(0), h, cause)
	if !errors.Is(v.Err, supervisor.ErrFailed) || !errors.Is(v.Err, fs.ErrNotExist) {
		t.Errorf("%v does not match both ErrFailed and the cause", v.Err)
	}
	if got, ok := errors.AsType[*fs.PathError](v.Err); !ok || got != cause {
		t.Errorf("%v does not unwrap to the cause", v.Err)
	}
	if got, want := v.Err.Error(), "supervisor: gave up restarting after 1 restart in 1m0s: open x: file does not exist"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFaultyDecideCountsAsRestart(t *testing.T) {
	for name, decide := range map[string]func(error) supervisor.Directive{
		"Decide panicked: oops":     func(error) supervisor.Directive { panic("oops") },
		"Decide gave Directive(42)": func(error) supervisor.Directive { return 42 },
	} {
		p, h := supervisor.Policy{MaxRestarts: 1, Decide: decide}, new(supervisor.History)
		v := p.Next(at(0), h, errBoom)
		if v.Directive != supervisor.Restart || !errors.Is(v.Err, errBoom) || !strings.Contains(v.Err.Error(), name) {
			t.Errorf("%s: got %v, %v", name, v.Directive, v.Err)
		}
		if v := p.Next(at(0), h, errBoom); v.Directive != supervisor.Escalate {
			t.Errorf("%s: it spent no budget: got %v", name, v.Directive)
		}
	}
}

func TestBackoffRowEndsAfterQuiet(t *testing.T) {
	const s = time.Second
	p := supervisor.Policy{MaxRestarts: -1, Within: 3 * s, Backoff: supervisor.Backoff{Initial: s, Max: 8 * s}}
	var h supervisor.History
	now := time.Duration(0)
	for i, f := range []struct{ after, want time.Duration }{ // after the restart before was due
		{0, 1 * s}, {0, 2 * s}, {3*s - 1, 4 * s}, {0, 8 * s}, {1, 8 * s}, // delays longer than Within are not quiet
		{3 * s, 1 * s}, {0, 2 * s}, {time.Hour, 1 * s},
	} {
		now += f.after
		got := p.Next(at(now), &h, errBoom).Delay
		if got != f.want {
			t.Errorf("failure %d: delay is %v, want %v", i, got, f.want)
		}
		now += got
	}
}

// naive is the plain reference: it remembers every restart for ever.
type naive struct {
	policy  supervisor.Policy
	granted []time.Time
	due     []time.Time
}

func (n *naive) next(now time.Time) (supervisor.Directive, time.Duration) {
	recent := 0
	for _, g := range n.granted {
		if now.Sub(g) < n.policy.Within {
			recent++
		}
	}
	if n.policy.MaxRestarts >= 0 && recent >= n.policy.MaxRestarts {
		return supervisor.Escalate, 0
	}
	row := 0
	for i := len(n.due) - 1; i >= 0; i-- { // back to the last quiet
		next := now
		if i+1 < len(n.granted) {
			next = n.granted[i+1]
		}
		if next.Sub(slices.MaxFunc(n.due[:i+1], time.Time.Compare)) >= n.policy.Within {
			break
		}
		row++
	}
	delay := n.policy.Backoff.Initial
	for range row {
		delay = min(2*delay, n.policy.Backoff.Max)
	}
	n.granted = append(n.granted, now)
	n.due = append(n.due, now.Add(delay))
	return supervisor.Restart, delay
}

func TestNextAgreesWithANaiveReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := supervisor.Policy{
			MaxRestarts: rapid.SampledFrom([]int{-1, 1, 2, 3, 7}).Draw(t, "restarts"),
			Within:      time.Duration(rapid.IntRange(1, 20).Draw(t, "within")),
		}
		if rapid.Bool().Draw(t, "backoff") {
			p.Backoff.Initial = time.Duration(rapid.IntRange(1, 10).Draw(t, "initial"))
			p.Backoff.Max = p.Backoff.Initial + time.Duration(rapid.IntRange(0, 30).Draw(t, "above"))
		}
		var h supervisor.History
		model, now := naive{policy: p}, epoch
		for range rapid.IntRange(1, 60).Draw(t, "failures") {
			now = now.Add(time.Duration(rapid.IntRange(0, 25).Draw(t, "pause")))
			want, delay := model.next(now)
			if got := p.Next(now, &h, errBoom); got.Directive != want || got.Delay != delay {
				t.Fatalf("at %v: got %v after %v, want %v after %v", now.Sub(epoch), got.Directive, got.Delay, want, delay)
			}
		}
	})
}

func TestNoStretchHoldsMoreThanMaxRestarts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := supervisor.Policy{
			MaxRestarts: rapid.IntRange(1, 5).Draw(t, "restarts"),
			Within:      time.Duration(rapid.IntRange(1, 1000).Draw(t, "within")),
			Backoff:     supervisor.Backoff{Initial: 3, Max: 2000, Jitter: 1},
		}
		var (
			h       supervisor.History
			granted []time.Time
			now     = epoch
		)
		for range 100 {
			now = now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "pause")))
			if p.Next(now, &h, errBoom).Directive == supervisor.Restart {
				granted = append(granted, now)
			}
		}
		for i := p.MaxRestarts; i < len(granted); i++ {
			if d := granted[i].Sub(granted[i-p.MaxRestarts]); d < p.Within {
				t.Fatalf("%d restarts within %v, budget is %d in %v", p.MaxRestarts+1, d, p.MaxRestarts, p.Within)
			}
		}
	})
}
