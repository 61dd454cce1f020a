package remote

import (
	"context"
	"errors"

	"github.com/troupe-go/troupe/task"
)

// simEnough is how many runs it takes to come to all of simSights.
const simEnough = 200

// simSights are what must come about in the runs, or they prove nothing.
var simSights = []string{
	"value", "own error", "panic", "ctx", "cancel", "Timeout", "QueueTimeout", "lost", "quarantined", "stopped", "node stopped",
	"run again", "sent again", "killed while it ran", "told that its ctx has ended", "key moved", "loss noticed", "tool",
}

// sights counts them in a run.
func (w *simWorld) sights() map[string]int {
	seen := map[string]int{"loss noticed": w.looked}
	for _, r := range w.calls {
		seen[r.outcome()]++
		runs := w.log.runs[r.arg.ID]
		if len(runs) > 1 {
			seen["run again"]++
		}
		if len(r.sent) > 1 {
			seen["sent again"]++
		}
		for _, run := range runs {
			switch {
			case run.dead:
				seen["killed while it ran"]++
			case run.ctxEnded:
				seen["told that its ctx has ended"]++
			case r.arg.Tool && run.err == nil:
				seen["tool"]++
			}
		}
	}
	desks := make(map[string]*simDesk)
	for _, o := range w.plan.calls {
		for _, run := range w.log.runs[o.arg.ID] {
			if run.desk != nil && desks[o.key] != nil && desks[o.key] != run.desk {
				seen["key moved"]++
			}
			desks[o.key] = run.desk
		}
	}
	return seen
}

// outcome names what a call came to.
func (r *simResult) outcome() string {
	var timeout *task.TimeoutError
	switch {
	case r.err == nil:
		return "value"
	case errors.Is(r.err, task.ErrLost) && r.kind == simAgain:
		return "quarantined"
	case errors.Is(r.err, task.ErrLost):
		return "lost"
	case errors.As(r.err, &timeout) && timeout.Kind == task.QueueWait:
		return "QueueTimeout"
	case errors.As(r.err, &timeout):
		return "Timeout"
	case errors.Is(r.err, errSimOwn):
		return "own error"
	case errors.Is(r.err, task.ErrPanicked):
		return "panic"
	case errors.Is(r.err, errSimLeft):
		return "ctx"
	case errors.Is(r.err, task.ErrStopped):
		return "stopped"
	case errors.Is(r.err, ErrNodeStopped):
		return "node stopped"
	case errors.Is(r.err, context.Canceled):
		return "cancel"
	}
	return "another"
}
