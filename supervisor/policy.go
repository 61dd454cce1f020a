package supervisor

import (
	"errors"
	"fmt"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
)

// Defaults of the zero Policy.
const (
	defaultRestarts = 10
	defaultWithin   = 10 * time.Second
)

// ErrFailed is matched by every error that reports a spent restart budget, or the
// end of a [Tree] that gave up for another reason; the same error also matches
// the failure behind it.
var ErrFailed = errors.New("supervisor: gave up restarting")

// Policy says what follows the failure of a child. The zero Policy restarts
// the failed child at once, at most 10 times in any 10 seconds, and escalates
// the failure after that.
//
// A Policy is a plain value: copy it, share it, keep it at package level. Its
// fields are not to be changed once it is in use.
type Policy struct {
	// Scope names the children that share the fate of one that failed.
	Scope Scope

	// Decide chooses by the error; nil restarts always. It is asked for
	// panics, failed inits and lost executors, never for ordinary errors of a
	// call. It may be called from several goroutines, must not block, and
	// must not end its goroutine. If it panics or gives an unknown Directive,
	// that counts as Restart, and Verdict.Err tells of it.
	Decide func(err error) Directive

	// MaxRestarts is how many restarts any stretch of length Within may hold;
	// the next failure escalates. Zero means 10, -1 no bound. To restart never, let
	// Decide return Stop.
	MaxRestarts int

	// Within is the stretch of time that MaxRestarts is about, and how long
	// it must be quiet after a restart until Backoff begins anew. Zero means
	// 10 seconds.
	Within time.Duration

	// Backoff delays restarts; its zero value restarts at once.
	Backoff Backoff
}

// Validate reports everything that is wrong with p, joined, or nil. A policy
// that does not validate restarts nothing: each failure escalates with the
// faults in its error.
func (p Policy) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("supervisor: Policy."+format, args...))
	}
	if !p.Scope.known() {
		fault("Scope is %v: want OneForOne, OneForAll or RestForOne", p.Scope)
	}
	if p.MaxRestarts < -1 {
		fault("MaxRestarts is %d: want -1 for no bound, 0 for the default, or more", p.MaxRestarts)
	}
	if p.Within < 0 {
		fault("Within is %v: want 0 for the default, or more", p.Within)
	}
	p.Backoff.validate(fault)
	return errors.Join(faults...)
}

// limits returns MaxRestarts and Within with the defaults filled in.
func (p Policy) limits() (restarts int, within time.Duration) {
	restarts, within = p.MaxRestarts, p.Within
	if restarts == 0 {
		restarts = defaultRestarts
	}
	if within == 0 {
		within = defaultWithin
	}
	return restarts, within
}

// Scope names the children of a supervisor that share the fate of one that
// failed: those that are restarted, or stopped, together with it. Resume
// always concerns the failed child alone.
type Scope int

// The scopes.
const (
	OneForOne  Scope = iota // the failed child alone
	OneForAll               // all children
	RestForOne              // the failed child and those started after it
)

// String returns the name of the constant, or Scope(n) for an unknown one.
func (s Scope) String() string {
	switch s {
	case OneForOne:
		return "OneForOne"
	case OneForAll:
		return "OneForAll"
	case RestForOne:
		return "RestForOne"
	}
	return fmt.Sprintf("Scope(%d)", int(s))
}

func (s Scope) known() bool { return s >= OneForOne && s <= RestForOne }

// Directive is what to do about a failure.
type Directive int

// The directives.
const (
	Restart  Directive = iota // replace the child by a fresh one; spends budget
	Resume                    // go on with the child as it is; spends none
	Stop                      // stop the child for good
	Escalate                  // give up: the supervisor itself has failed, and its parent decides
)

// String returns the name of the constant, or Directive(n) for an unknown one.
func (d Directive) String() string {
	switch d {
	case Restart:
		return "Restart"
	case Resume:
		return "Resume"
	case Stop:
		return "Stop"
	case Escalate:
		return "Escalate"
	}
	return fmt.Sprintf("Directive(%d)", int(d))
}

func (d Directive) known() bool { return d >= Restart && d <= Escalate }

// proto translates a known directive for the engine.
func (d Directive) proto() proto.Directive {
	switch d {
	case Resume:
		return proto.ResumeDirective
	case Stop:
		return proto.StopDirective
	case Escalate:
		return proto.EscalateDirective
	}
	return proto.RestartDirective
}
