package remote

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/internal/child"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestTheCourtDecidesOnceAndForEachLife(t *testing.T) {
	stop := func(error) supervisor.Directive { return supervisor.Stop }
	boom := errors.New("boom")
	forgot := &child.ExitError{Reason: child.MainMissing}
	early := &child.ExitError{Reason: child.Crashed, ExitCode: 1}
	killed := &child.ExitError{Reason: child.Crashed, ExitCode: -1, Signal: os.Kill}
	for name, c := range map[string]struct {
		policy supervisor.Policy
		fs     []failure
		want   []supervisor.Directive
	}{
		"budget": {supervisor.Policy{MaxRestarts: 1},
			[]failure{{err: boom, life: 1}, {err: boom, life: 1}, {err: boom, life: 1}},
			[]supervisor.Directive{supervisor.Restart, supervisor.Escalate, supervisor.Stop}},
		"another life": {supervisor.Policy{MaxRestarts: 1},
			[]failure{{err: boom, life: 1}, {err: boom, life: 1}, {err: boom, life: 2}, {err: boom, life: 1}, {err: boom, life: 2}},
			[]supervisor.Directive{supervisor.Restart, supervisor.Escalate, supervisor.Restart, supervisor.Resume, supervisor.Escalate}},
		"the last of two stopped": {supervisor.Policy{Decide: stop},
			[]failure{{err: boom, life: 1}, {err: boom, life: 1}, {err: boom, life: 2}},
			[]supervisor.Directive{supervisor.Stop, supervisor.Escalate, supervisor.Stop}},
		"Main is missing":    {supervisor.Policy{MaxRestarts: -1}, []failure{{err: forgot, life: 1}}, []supervisor.Directive{supervisor.Escalate}},
		"exit before Main":   {supervisor.Policy{MaxRestarts: -1}, []failure{{err: early, life: 1}}, []supervisor.Directive{supervisor.Escalate}},
		"killed before Main": {supervisor.Policy{MaxRestarts: -1}, []failure{{err: killed, life: 1}}, []supervisor.Directive{supervisor.Restart}},
	} {
		k := court{policy: c.policy, seats: 2}
		for i, f := range c.fs {
			v := k.judge(f, time.Unix(1, 0))
			if v.Directive != c.want[i] {
				t.Errorf("%s: failure %d: %v, want %v", name, i, v.Directive, c.want[i])
			}
			if !errors.Is(v.Err, f.err) {
				t.Errorf("%s: failure %d: %v does not tell of %v", name, i, v.Err, f.err)
			}
		}
	}
}

func TestTheSecondDeathOfACallIsItsLast(t *testing.T) {
	var g graveyard
	crash := func() *task.CrashError { return &task.CrashError{Cause: errors.New("bang")} }
	if l := g.lost(1, crash(), true); !l.Again || l.Error() != "task: bang" {
		t.Errorf("the first: %+v", l)
	}
	if l := g.lost(2, crash(), false); l.Again {
		t.Errorf("of a call that is not idempotent: %+v", l)
	}
	l := g.lost(1, crash(), true)
	if l.Again || !errors.Is(l, task.ErrLost) || !strings.Contains(l.Error(), "bang; it is the second") {
		t.Errorf("the second: %v", l)
	}
	for i := range uint64(10 * len(g.latest)) {
		g.lost(100+i, crash(), false)
	}
	if len(g.calls) > len(g.latest) {
		t.Errorf("%d calls are remembered", len(g.calls))
	}
}
