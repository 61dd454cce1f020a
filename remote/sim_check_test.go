package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/task"
)

// check compares what became of the calls with what was run.
func (w *simWorld) check() {
	for _, r := range w.calls {
		if !hasEnded(r.doneChan) {
			continue // collect has told
		}
		w.checkOutcome(r)
		w.checkRuns(r)
		w.checkTimes(r)
		w.checkEnd(r)
	}
	w.checkDecisions()
	w.checkCapacity()
	w.checkMembers()
	w.checkKeys()
}

// fault notes what is wrong with a call.
func (w *simWorld) blame(r *simResult, format string, args ...any) {
	w.log.fault("call %d: "+format, append([]any{r.arg.ID}, args...)...)
	w.log.fault("  planned: %v; submitted %v, sent %v, done %v: %v, %v; runs %v", r.simOrder, w.since(r.submitted), w.trips(r.sent),
		w.since(r.done), r.value, r.err, w.log.runs[r.arg.ID])
}

func (w *simWorld) trips(sent []simTrip) (s []string) {
	for _, t := range sent {
		s = append(s, fmt.Sprintf("%v to %v (again %v)", w.since(t.at), w.since(t.back), t.again))
	}
	return s
}

// checkOutcome: a call ends once, with what the plan allows.
func (w *simWorld) checkOutcome(r *simResult) {
	if r.count != 1 {
		w.blame(r, "it was completed %d times", r.count)
	}
	if r.future != nil {
		if v, err, done := r.future.Poll(); !done || v != r.value || !errors.Is(err, r.err) {
			w.blame(r, "its Future has %v, %v, %v", v, err, done)
		}
	}
	if why := w.wrong(r); why != "" {
		w.blame(r, "%s", why)
	}
	if r.cancelled && !errors.Is(r.err, context.Canceled) {
		w.blame(r, "Cancel has ended it, and its error is another")
	}
}

// wrong says what is not allowed about the outcome of a call; "" if it is.
func (w *simWorld) wrong(r *simResult) string {
	var timeout *task.TimeoutError
	var lost *task.LostError
	stopped := w.ended != nil && !r.done.Before(w.ended.begun)
	switch {
	case r.err == nil:
		return w.wrongValue(r)
	case errors.As(r.err, &lost):
		return w.wrongLoss(r, lost)
	case errors.As(r.err, &timeout):
		return r.wrongTimeout(timeout)
	case errors.Is(r.err, errSimOwn):
		if r.arg.Fate != "fail" || !w.ran(r, errSimOwn) {
			return "its function has not failed"
		}
	case errors.Is(r.err, task.ErrPanicked):
		if r.arg.Fate != "panic" || len(w.log.runs[r.arg.ID]) == 0 {
			return "its function has not panicked"
		}
	case errors.Is(r.err, errSimLeft):
		if !r.byCtx || r.left.IsZero() || r.done.Before(r.left) {
			return "its ctx had not ended"
		}
	case errors.Is(r.err, task.ErrStopped), errors.Is(r.err, ErrNodeStopped):
		if !stopped {
			return "nobody had stopped its pool"
		}
	case errors.Is(r.err, ErrRefused): // damage to a handshake of TLS looks like that
		if !w.plan.garbles() {
			return "nobody had refused it"
		}
	case errors.Is(r.err, context.Canceled):
		if !r.cancelled && !stopped {
			return "nobody had cancelled it"
		}
	case errors.Is(r.err, context.DeadlineExceeded): // the function's, which has seen its ctx end
		if r.run == 0 || r.arg.Deaf || !w.ran(r, context.DeadlineExceeded) {
			return "it had no such deadline"
		}
	default:
		return "it must not end in this way"
	}
	return ""
}

func (w *simWorld) wrongValue(r *simResult) string {
	switch {
	case r.value != simAnswer{ID: r.arg.ID, Value: simValue(r.arg.ID)}:
		return "its value is wrong"
	case r.arg.Fate != "":
		return "its function has not succeeded"
	case !w.ran(r, nil):
		return "it succeeded, and no execution has by then"
	}
	return ""
}

// ran reports whether an execution has ended with err, in a process that was
// alive, before the call did.
func (w *simWorld) ran(r *simResult, err error) bool {
	return slices.ContainsFunc(w.log.runs[r.arg.ID], func(run *simRun) bool {
		return run.ended && !run.dead && errors.Is(run.err, err) && !run.end.After(r.done)
	})
}

// wrongLoss: a node is lost only if something has gone wrong with it.
func (w *simWorld) wrongLoss(r *simResult, lost *task.LostError) string {
	if !lost.Started || !errors.Is(lost, task.ErrLost) {
		return "it says that it had not begun"
	}
	if w.ended != nil && w.ended.what == "end: Node.Stop" && !r.done.Before(w.ended.begun) {
		return "" // the owner has cut the connections itself
	}
	for _, f := range w.plan.faults {
		hits := lost.Node == f.host+":1" || f.host == simOwner
		until := max(f.at, f.until) + w.plan.noticed()
		if f.loses() && hits && w.since(r.done) >= f.at && w.since(r.submitted) <= until {
			return ""
		}
	}
	return "nothing was wrong with node " + lost.Node
}

func (r *simResult) wrongTimeout(e *task.TimeoutError) string {
	switch {
	case e.Kind == task.AttemptRun && (r.run == 0 || e.After != r.run):
		return "it had no such Timeout"
	case e.Kind == task.QueueWait && (r.queue == 0 || e.After != r.queue):
		return "it had no such QueueTimeout"
	case e.Kind == task.QueueWait && r.done.Sub(r.submitted) < r.queue:
		return "its QueueTimeout had not passed"
	}
	return ""
}

// mostRuns is how often an idempotent call may be run: it is not sent to a
// fourth node.
const mostRuns = 3

// checkRuns: a call runs once, or a few times if that is allowed, and not at
// all if it was not sent or has waited too long.
func (w *simWorld) checkRuns(r *simResult) {
	runs, most := w.log.runs[r.arg.ID], 1
	if r.kind == simAgain {
		most = mostRuns
	}
	if len(runs) > most {
		w.blame(r, "it was run %d times, want at most %d", len(runs), most)
	}
	if r.kind != simAsk && len(runs) > len(r.sent) {
		w.blame(r, "it was run %d times and sent %d times", len(runs), len(r.sent))
	}
	var timeout *task.TimeoutError
	if errors.As(r.err, &timeout) && timeout.Kind == task.QueueWait && len(runs) > 0 {
		w.blame(r, "it has waited too long, and was run")
	}
}

// checkTimes: nothing is sent or begun after the end of a call, but for what is
// on its way, and a Timeout ends a call in time.
func (w *simWorld) checkTimes(r *simResult) {
	for _, trip := range r.sent {
		if trip.at.After(r.done) {
			w.blame(r, "it was sent after its end")
		}
	}
	if n := len(r.sent); n > 0 && r.run > 0 && !r.sent[n-1].again && r.done.Sub(r.sent[n-1].at) > r.run+time.Millisecond {
		w.blame(r, "its Timeout came late")
	}
	for _, run := range w.log.runs[r.arg.ID] {
		if after := run.begin.Sub(r.done); after > w.underWay(r, run) {
			w.blame(r, "it was begun %v after its end", after)
		}
	}
}

// checkEnd: when Stop has returned all is over, and Drain refuses only what
// comes after it.
func (w *simWorld) checkEnd(r *simResult) {
	e := w.ended
	switch {
	case e == nil || e.what == "end: Node.Stop":
	case r.submitted.Before(e.over) && r.done.After(e.over):
		w.blame(r, "%s had returned at %v, and it was not over", e.what, w.since(e.over))
	case !r.submitted.Before(e.over) && r.done.After(r.submitted):
		w.blame(r, "%s had returned at %v, and it was not refused at once", e.what, w.since(e.over))
	case e.what == "end: Drain" && r.submitted.Before(e.begun) && errors.Is(r.err, task.ErrStopped):
		w.blame(r, "Drain has not waited for it")
	}
}

// underWay is how long the news of its end may take to where a call was sent:
// the latency, or for nodes that are cut off until they notice that.
func (w *simWorld) underWay(r *simResult, run *simRun) time.Duration {
	for _, f := range w.plan.faults {
		until := max(f.at, f.until) + w.plan.noticed()
		if f.loses() && (f.host == run.proc.host || f.host == simOwner) && w.since(run.begin) >= f.at && w.since(r.done) <= until {
			return w.plan.noticed()
		}
	}
	return w.plan.latency() + time.Millisecond
}

// checkDecisions: members that are only asked to leave cost no restart, and a
// lost node costs one.
func (w *simWorld) checkDecisions() {
	loses := w.ended != nil && w.ended.what == "end: Node.Stop" || slices.ContainsFunc(w.plan.faults, simFault.loses)
	asked := make(map[error]bool)
	for _, err := range w.log.decided {
		var loss *place.Loss
		panicked, free := errors.Is(err, task.ErrPanicked), errors.As(err, &loss) && loss.Free
		if !panicked && !loses || free || errors.Is(err, errGivenBack) {
			w.log.fault("the policy was asked about a member that is well: %v", err)
		}
		if !panicked && asked[err] {
			w.log.fault("the policy was asked twice about: %T %v", err, err)
		}
		asked[err] = true
	}
}

// checkCapacity: no node runs more at once than it may.
func (w *simWorld) checkCapacity() {
	type change struct {
		at time.Time
		by int
	}
	byProc := make(map[*simProc][]change)
	for _, runs := range w.log.runs {
		for _, r := range runs {
			if r.ended {
				byProc[r.proc] = append(byProc[r.proc], change{at: r.begin, by: 1}, change{at: r.end, by: -1})
			}
		}
	}
	for p, changes := range byProc {
		slices.SortFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), a.by-b.by) })
		running, most := 0, 0
		for _, c := range changes {
			running += c.by
			most = max(most, running)
		}
		if most > w.plan.capacity {
			w.log.fault("%s ran %d calls at once, its capacity is %d", p, most, w.plan.capacity)
		}
	}
}

// checkMembers: every state is closed, once.
func (w *simWorld) checkMembers() {
	for _, d := range w.log.states {
		if d.closes != 1 {
			w.log.fault("member %d, on %s, was closed %d times, want once", d.number, d.proc, d.closes)
		}
	}
}

// checkKeys: the calls of a key come to its member in the order of submission,
// and go to another only if that one is gone.
func (w *simWorld) checkKeys() {
	byKey := make(map[string][]*simRun)
	for _, o := range w.plan.calls {
		for _, run := range w.log.runs[o.arg.ID] {
			if o.kind == simAsk && !run.begin.After(w.calls[o.arg.ID-1].done) { // or it came too late, see underWay
				byKey[o.key] = append(byKey[o.key], run)
			}
		}
	}
	for key, runs := range byKey {
		slices.SortStableFunc(runs, func(a, b *simRun) int { return a.begin.Compare(b.begin) })
		for i := 1; i < len(runs); i++ {
			before, run := runs[i-1], runs[i]
			if before.desk == run.desk {
				w.checkOrder(key, before, run)
				continue
			}
			// Where it was is told that it is left, or notices, or is dead.
			gone := run.begin.Add(w.plan.noticed())
			if before.end.After(gone) {
				gone = before.end
			}
			if !before.proc.isDead() && before.desk.closed.After(gone) {
				w.log.fault("key %s: call %d ran with member %d %v and call %d with member %d %v; the first was closed at %v",
					key, before.id, before.desk.number, before, run.id, run.desk.number, run, w.since(before.desk.closed))
			}
		}
	}
}

func (w *simWorld) checkOrder(key string, before, run *simRun) {
	a, b := w.calls[before.id-1], w.calls[run.id-1]
	if a.submitted.After(b.submitted) || a.submitted.Equal(b.submitted) && a.place > b.place {
		w.log.fault("key %s: call %d was submitted before call %d and ran after it, with the same member %d", key, run.id, before.id, run.desk.number)
	}
}
