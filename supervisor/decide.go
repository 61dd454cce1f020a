package supervisor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

var errUnknown = errors.New("supervisor: failure without an error")

// Verdict is what follows a failure.
type Verdict struct {
	Directive Directive
	Delay     time.Duration // how long to wait before a Restart
	Err       error         // what to report: the failure; matches also ErrFailed if the budget is spent
}

// History is what a supervisor remembers of its restarts: those of the last
// [Policy.Within], for the budget, and the length of the present row, for the
// backoff. The zero History is that of a supervisor that has just started.
//
// It never holds more than twice MaxRestarts times, and none at all without
// bound. Not safe for concurrent use; copies share memory.
type History struct {
	grants []time.Time // of restarts, oldest first; those before head are forgotten
	head   int
	row    int       // restarts since it was last quiet
	due    time.Time // when the last of them happens or happened
}

// Next says what follows the failure err at now, and enters it into h. It is
// all that p does: no timer, no goroutine, no clock but now. Jitter alone
// makes two equal calls differ.
//
// It calls [Policy.Decide]: do not hold a lock that Decide could want. Times
// are compared by their monotonic reading, if they have one, so that a step of
// the wall clock changes nothing.
func (p Policy) Next(now time.Time, h *History, err error) Verdict {
	d, err := p.ask(err)
	return p.settle(now, h, d, err)
}

// ask returns what Decide says about err, and the error to report.
func (p Policy) ask(err error) (d Directive, report error) {
	if err == nil {
		err = errUnknown
	}
	if fault := p.Validate(); fault != nil {
		return Escalate, &gaveUp{why: fmt.Sprintf("%v under an invalid policy (%v)", ErrFailed, fault), cause: err}
	}
	if p.Decide == nil {
		return Restart, err
	}
	defer func() {
		if r := recover(); r != nil {
			d, report = Restart, fmt.Errorf("%w (Decide panicked: %v)", err, r)
		}
	}()
	if d = p.Decide(err); !d.known() {
		return Restart, fmt.Errorf("%w (Decide gave %v)", err, d)
	}
	return d, err
}

// settle completes a directive to a verdict: a restart costs budget, and time.
// Apart from ask, so that callers with a lock need not hold it for Decide.
func (p Policy) settle(now time.Time, h *History, d Directive, err error) Verdict {
	if d != Restart {
		return Verdict{Directive: d, Err: err}
	}
	restarts, within := p.limits()
	if !h.grant(now, restarts, within) {
		return Verdict{Directive: Escalate, Err: &gaveUp{why: fmt.Sprint(ErrFailed, " ", p.spent()), cause: err}}
	}
	// Quiet is counted from when the restart was due, not from the failure
	// before it: else a delay longer than within would look like quiet, and
	// the delays would never grow beyond it.
	if now.Sub(h.due) >= within {
		h.row = 0
	}
	h.row++
	delay := p.Backoff.delay(h.row, rand.Float64())
	if due := now.Add(delay); due.After(h.due) {
		h.due = due
	}
	return Verdict{Directive: Restart, Delay: delay, Err: err}
}

// spent is why the budget does not allow another restart.
func (p Policy) spent() string {
	restarts, within := p.limits()
	if restarts == 1 {
		return fmt.Sprintf("after 1 restart in %v", within)
	}
	return fmt.Sprintf("after %d restarts in %v", restarts, within)
}

// grant enters a restart at now if there are fewer than restarts of them
// within the last stretch, or if restarts is negative.
func (h *History) grant(now time.Time, restarts int, within time.Duration) bool {
	if restarts < 0 {
		return true
	}
	for h.head < len(h.grants) && now.Sub(h.grants[h.head]) >= within {
		h.head++
	}
	if len(h.grants)-h.head >= restarts {
		return false
	}
	if h.head > 0 && h.head >= len(h.grants)/2 {
		n := copy(h.grants, h.grants[h.head:])
		h.grants, h.head = h.grants[:n], 0
	}
	h.grants = append(h.grants, now)
	return true
}

// gaveUp is the error of an Escalate that was not Decide's choice, and that of a
// tree at its end.
type gaveUp struct {
	why   string
	cause error
}

func (e *gaveUp) Error() string        { return fmt.Sprintf("%s: %v", e.why, e.cause) }
func (e *gaveUp) Is(target error) bool { return target == ErrFailed }
func (e *gaveUp) Unwrap() error        { return e.cause }
