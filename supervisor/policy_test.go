package supervisor_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

func TestValidateAcceptsSensiblePolicies(t *testing.T) {
	for name, p := range map[string]supervisor.Policy{
		"zero":     {},
		"unbound":  {MaxRestarts: -1},
		"scoped":   {Scope: supervisor.RestForOne, MaxRestarts: 3, Within: time.Minute},
		"initial":  {Backoff: supervisor.Backoff{Initial: time.Second}},
		"constant": {Backoff: supervisor.Backoff{Initial: time.Second, Max: time.Second, Factor: 1, Jitter: 1}},
		"long":     {Backoff: supervisor.Backoff{Initial: math.MaxInt64}},
	} {
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	tests := []struct {
		name   string
		policy supervisor.Policy
		faults []string
	}{
		{"scope", supervisor.Policy{Scope: 3}, []string{"Policy.Scope is Scope(3)"}},
		{"negative scope", supervisor.Policy{Scope: -1}, []string{"Policy.Scope is Scope(-1)"}},
		{"restarts", supervisor.Policy{MaxRestarts: -2}, []string{"Policy.MaxRestarts is -2"}},
		{"within", supervisor.Policy{Within: -time.Second}, []string{"Policy.Within is -1s"}},
		{"initial", backoff(-1, 0, 0, 0), []string{"Backoff.Initial is -1ns"}},
		{"max", backoff(time.Second, -1, 0, 0), []string{"Backoff.Max is -1ns"}},
		{"max below initial", backoff(time.Second, 1, 0, 0), []string{"Backoff.Max is 1ns: want at least Initial, 1s"}},
		{"factor", backoff(time.Second, 0, 0.5, 0), []string{"Backoff.Factor is 0.5"}},
		{"factor NaN", backoff(time.Second, 0, math.NaN(), 0), []string{"Backoff.Factor is NaN"}},
		{"factor infinite", backoff(time.Second, 0, math.Inf(1), 0), []string{"Backoff.Factor is +Inf"}},
		{"jitter", backoff(time.Second, 0, 0, 1.1), []string{"Backoff.Jitter is 1.1"}},
		{"jitter NaN", backoff(time.Second, 0, 0, math.NaN()), []string{"Backoff.Jitter is NaN"}},
		{"no initial", backoff(0, time.Second, 0, 0), []string{"Backoff.Initial is 0"}},
		{
			"all at once",
			supervisor.Policy{Scope: 9, MaxRestarts: -5, Within: -1, Backoff: supervisor.Backoff{Initial: -1, Jitter: -1}},
			[]string{"Scope", "MaxRestarts", "Within", "Initial", "Jitter"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.policy.Validate()
			if err == nil {
				t.Fatal("got no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if got, want := len(lines), len(test.faults); got != want {
				t.Fatalf("got %d faults, want %d:\n%v", got, want, err)
			}
			for i, want := range test.faults {
				if !strings.HasPrefix(lines[i], "supervisor: Policy.") || !strings.Contains(lines[i], want) {
					t.Errorf("fault %d is %q, want it to contain %q", i, lines[i], want)
				}
			}
		})
	}
}

func backoff(initial, maximum time.Duration, factor, jitter float64) supervisor.Policy {
	return supervisor.Policy{Backoff: supervisor.Backoff{Initial: initial, Max: maximum, Factor: factor, Jitter: jitter}}
}

// An invalid policy has no way to report its faults but the failures that it
// is asked about: none may be answered as if it were valid.
func TestInvalidPolicyEscalatesWithItsFaults(t *testing.T) {
	p, cause := supervisor.Policy{MaxRestarts: -7}, errors.New("boom")
	v := p.Next(time.Now(), new(supervisor.History), cause)
	if v.Directive != supervisor.Escalate {
		t.Errorf("got %v, want Escalate", v.Directive)
	}
	if !errors.Is(v.Err, supervisor.ErrFailed) || !errors.Is(v.Err, cause) {
		t.Errorf("%v does not match both ErrFailed and the cause", v.Err)
	}
	if !strings.Contains(v.Err.Error(), "MaxRestarts is -7") {
		t.Errorf("%v does not name the fault", v.Err)
	}
}

func TestEnumsHaveNames(t *testing.T) {
	for got, want := range map[string]string{
		supervisor.OneForOne.String():     "OneForOne",
		supervisor.OneForAll.String():     "OneForAll",
		supervisor.RestForOne.String():    "RestForOne",
		supervisor.Scope(7).String():      "Scope(7)",
		supervisor.Restart.String():       "Restart",
		supervisor.Resume.String():        "Resume",
		supervisor.Stop.String():          "Stop",
		supervisor.Escalate.String():      "Escalate",
		supervisor.Directive(-1).String(): "Directive(-1)",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
