package task

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/internal/pool"
	"github.com/troupe-go/troupe/limits"
)

// shell is what tasks and stateful workers have in common around their pool,
// and what does not depend on the types of a call.
type shell struct {
	pool *pool.Pool
	site place.Site                 // where the calls run; nil: here
	kind string                     // "task" or "worker", for people
	fits func(limits.Request) error // whether the limits could ever grant it; nil: not known before
	meet sync.Once                  // of the Limiter and the System
}

// plan is what a pool is to be, beside its settings.
type plan struct {
	symbol   string // its name if the options give none
	receive  func(any, *proto.PID) bool
	state    *pool.State                       // of a worker
	job      place.Job                         // for a Site: the types
	function func(name string) *place.Function // others may ask for it before open returns
}

// open makes the pool.
func (h *shell) open(s *settings, plan plan) (err error) {
	if s.system == nil {
		s.system = actor.Default()
	}
	if s.name == "" {
		s.name = plan.symbol
	}
	state := plan.state
	if s.place != nil {
		if h.site, err = s.site(plan.job); err != nil {
			return err
		}
		if state != nil {
			state = memberElsewhere(h.site, state.Concurrent)
		}
	}
	p, err := pool.New(pool.Config{
		Name: s.name, Unique: s.named, System: s.system, Workers: s.workers, OnDemand: s.onDemand || s.inline,
		IdleTimeout: s.idleTimeout, Balance: s.balanceHere(), Queue: s.queue, Reject: s.reject,
		StopGrace: s.stopGrace, Policy: s.policy, Limiter: s.gate(), Ranked: s.priority != nil, Receive: plan.receive,
		State: state, Site: h.site, Place: s.placeName(), Function: plan.function,
	}, faultsOf)
	if err != nil {
		return fmt.Errorf("task: Name(%q): %w", s.name, err)
	}
	if l, ok := s.gate().(interface{ Check(limits.Request) error }); ok {
		h.fits = l.Check
	}
	h.pool, h.kind = p, actor.KindTask
	if plan.state != nil {
		h.kind = actor.KindWorker
	}
	return nil
}

// faults makes the errors of the pool with that name.
type faults string

func faultsOf(name string) pool.Faults { return faults(name) }

func (f faults) Stopped() error   { return namedStop(string(f)) }
func (f faults) StopCause() error { return &stoppedError{task: string(f)} }
func (f faults) QueueFull() error { return namedFull(string(f)) }
func (f faults) WouldDeadlock() error {
	return fmt.Errorf("task %q: %w", string(f), sentinel{ErrWouldDeadlock, "would wait for itself"})
}
func (f faults) Goexit() error            { return namedExit(string(f)) }
func (f faults) IsGoexit(err error) bool  { return errors.Is(err, ErrGoexit) }
func (f faults) IsPanic(err error) bool   { return panickedElsewhere(string(f), err) }
func (f faults) Failed(cause error) error { return &failedError{task: string(f), cause: cause} }
func (f faults) Panicked(value any, stack []byte) error {
	return &PanicError{Task: string(f), Value: value, Stack: stack}
}

// spec makes the engine's view of the settings, without the functions that run
// a call; in gives the argument of one.
func (h *shell) spec(set *settings, in func(*cell.Cell) any) *pool.Spec {
	s := &pool.Spec{
		Timeout: set.timeout, QueueTimeout: set.queueTimeout, Inline: set.inline, TimedOut: timedOut,
	}
	if set.retries != nil {
		s.Retry = h.retry(set.retries, in)
	}
	if set.limiter != nil {
		s.Wrap = h.limit(set)
	}
	if _, tracers := set.system.Telemetry(); tracers != nil {
		s.Trace = h.trace(tracers)
	}
	return s
}

func timedOut(k pool.TimeoutKind, after time.Duration) error {
	return &TimeoutError{Kind: TimeoutKind(k), After: after}
}

// attempt runs fn as one attempt of a call. If mine is true, the caller writes
// the value and publishes final.
func attempt[Out any](a *pool.Attempt, name string, until func(Out) error, fn func() (Out, error)) (v Out, final error, mine bool) { //nolint:revive // final is not how attempt failed
	err := Permanent(a.Refused())
	if err == nil {
		v, err = fn()
		if over := true; a.Away() {
			if err, over = comeBack(a.Cell, a, name, err); !over {
				return v, nil, false
			}
		}
	}
	refused := false
	if err == nil && until != nil {
		err = check(name, until, v)
		refused = err != nil
	}
	pause(a, err)
	final, mine = a.Settle(err, func() any {
		if refused {
			return v
		}
		return nil
	})
	return v, bare(final), mine
}

// check asks Until about a result; a panic there is a refusal.
func check[Out any](name string, until func(Out) error, v Out) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Task: name, Value: r, Stack: debug.Stack()}
		}
	}()
	return until(v)
}

// cost asks what a call takes. What could never be granted is the call's error at
// once.
func cost[In any](h *shell, costs func(In) limits.Request, in In) (r limits.Request, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Task: h.pool.Name(), Value: p, Stack: debug.Stack()}
		}
	}()
	if costs != nil {
		r = costs(in)
	}
	if h.fits != nil {
		err = h.fits(r)
	}
	return r, err
}

// rank asks for the priority of a call.
func rank[In any](h *shell, levels func(In) int, in In) (level int) {
	if levels == nil {
		return 0
	}
	defer func() {
		if r := recover(); r != nil {
			h.pool.System().Log().Error("troupe: Priority panicked", "task", h.pool.Name(), "panic", r)
		}
	}()
	return levels(in)
}

// answer sends r to the sender of a message; without one there is only the log
// of what went wrong.
func answer[Out any](h *shell, to *proto.PID, r Result[Out]) {
	if to != nil {
		h.pool.System().ActorSystem().Root.Send(to, r)
		return
	}
	if r.Err != nil {
		h.pool.System().Log().Warn("troupe: a message to a "+h.kind+" was refused", "task", h.pool.Name(), "error", r.Err)
	}
}

var topLevel = regexp.MustCompile(`^[^()\[\]]*\.[\pL_][\pL\pN_]*$`)
var nested = regexp.MustCompile(`\.func\d+|\.init\.|\.glob\.|-fm$|-range\d+|\.gowrap\d+|\.deferwrap\d+`)

// symbol returns the name of a top-level function, "" for all others.
func symbol(fn any) string {
	f := runtime.FuncForPC(reflect.ValueOf(fn).Pointer())
	if f == nil || !topLevel.MatchString(f.Name()) || nested.MatchString(f.Name()) {
		return ""
	}
	return f.Name()
}
