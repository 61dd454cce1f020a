package task

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/supervisor"
)

// Option configures a task when it is made. Faults of all options are joined in
// the error of the constructor.
type Option interface {
	apply(s *settings) error
}

// CallOption is an Option that can also be given to [Task.With], where it
// applies to the calls made through that view.
type CallOption interface {
	Option
	callOption()
}

type option func(*settings) error

func (o option) apply(s *settings) error { return o(s) }

type callOption func(*settings) error

func (o callOption) apply(s *settings) error { return o(s) }
func (o callOption) callOption()             {}

// settings is what the options of a task amount to.
type settings struct {
	name         string
	named        bool
	workers      int
	workersSet   bool
	onDemand     bool
	idleTimeout  time.Duration
	inline       bool
	balance      Balancing
	balanceSet   bool
	queue        int
	reject       bool
	stopGrace    time.Duration
	timeout      time.Duration
	queueTimeout time.Duration
	retries      *RetryPolicy
	until        any // func(Out) error
	priority     any // func(In) int
	limiter      limits.Limiter
	injected     bool // the function takes its permits itself
	cost         any  // func(In) limits.Request
	idempotent   bool
	stateful     bool // of a Worker
	concurrent   int
	policy       *supervisor.Policy
	system       *actor.System
	place        Placement // nil: this process
}

// defaults is the one place where defaults stand.
func defaults() settings {
	return settings{workers: runtime.GOMAXPROCS(0), stopGrace: 5 * time.Second}
}

// newSettings applies opts to the defaults and joins all faults.
func newSettings(opts []Option) (settings, error) {
	s := defaults()
	faults := applyAll(&s, opts)
	faults = append(faults, s.conflicts()...)
	if (s.onDemand || s.place != nil) && !s.workersSet {
		s.workers = 0 // no cap
	}
	if s.inline {
		s.workers = 1
	}
	return s, errors.Join(faults...)
}

func applyAll[O Option](s *settings, opts []O) (faults []error) {
	for i, opt := range opts {
		if v := reflect.ValueOf(&opt).Elem(); v.Kind() == reflect.Interface && v.IsNil() {
			faults = append(faults, fmt.Errorf("task: option %d is nil", i+1))
			continue
		}
		if err := opt.apply(s); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}

// conflicts names the options that do not go together.
func (s *settings) conflicts() (faults []error) {
	exclude := func(bad bool, a, b string) {
		if bad {
			faults = append(faults, fmt.Errorf("task: %s cannot be combined with %s", a, b))
		}
	}
	if s.stateful && s.onDemand {
		faults = append(faults, errors.New("task: OnDemand: a stateful worker lives between calls"))
	}
	if !s.stateful && s.concurrent > 0 {
		faults = append(faults, fmt.Errorf("task: Concurrent(%d): want it for a stateful worker; a task has Workers", s.concurrent))
	}
	exclude(s.inline && s.concurrent > 1, "Inline", fmt.Sprintf("Concurrent(%d)", s.concurrent))
	exclude(s.inline && s.onDemand, "Inline", "OnDemand")
	exclude(s.inline && s.workersSet && s.workers > 1, "Inline", fmt.Sprintf("Workers(%d)", s.workers))
	exclude(s.inline && s.queue > 0, "Inline", "Queue")
	exclude(s.inline && s.idleTimeout > 0, "Inline", "IdleTimeout")
	exclude(s.inline && s.balanceSet, "Inline", "Balance")
	exclude(s.inline && s.place != nil, "Inline", "On")
	exclude(s.onDemand && s.idleTimeout > 0, "OnDemand", "IdleTimeout")
	exclude(s.onDemand && s.balance != Shared, "OnDemand", "Balance")
	if s.cost != nil && s.limiter == nil {
		faults = append(faults, errors.New("task: Cost needs Limits"))
	}
	if s.reject && s.queue == 0 {
		faults = append(faults, errors.New("task: Reject needs Queue"))
	}
	return faults
}

// Name registers the task under name, for remote use and in logs; it must not
// be empty and is unique per System while the task is alive. Default: the
// symbol of a top-level function, else "task-N", with a suffix if taken.
func Name(name string) Option {
	return option(func(s *settings) error {
		if name == "" {
			return errors.New(`task: Name(""): want a name`)
		}
		s.name, s.named = name, true
		return nil
	})
}

// Workers sets how many workers run the function at once; n must be at least
// 1. Default: runtime.GOMAXPROCS(0) for a task, 1 for a stateful worker. With
// [OnDemand] it caps how many calls run at once; the default is then no cap.
func Workers(n int) Option {
	return option(func(s *settings) error {
		if n < 1 {
			return fmt.Errorf("task: Workers(%d): want at least 1", n)
		}
		s.workers, s.workersSet = n, true
		return nil
	})
}

// OnDemand makes a worker for each call, gone afterwards: nothing lives while
// the task is idle. It excludes [IdleTimeout], [Balance] and [Inline].
func OnDemand() Option {
	return option(func(s *settings) error { s.onDemand = true; return nil })
}

// IdleTimeout lets the pool shrink to nothing after d without work; the next
// call brings it back. d must be positive. Default: never.
func IdleTimeout(d time.Duration) Option {
	return option(positive("IdleTimeout", d, func(s *settings) { s.idleTimeout = d }))
}

// Inline runs every call in its caller, for tests and debugging: with the same
// errors, panics and retries; the Future is done when Submit returns. It
// excludes [OnDemand], [Workers] above 1, [Queue], [IdleTimeout], [Balance] and
// [On]. runtime.Goexit in the function ends the caller. A stateful worker has one state,
// which callers use in turn; goroutines of a method that each ask it may use that
// at once.
func Inline() Option {
	return option(func(s *settings) error { s.inline = true; return nil })
}

// Balancing says which worker gets a call; see [Balance].
type Balancing int

// The ways to balance.
const (
	Shared      Balancing = iota // all workers pull from one queue
	RoundRobin                   // worker 0, 1, 2, …, 0, …
	LeastActive                  // the one with the fewest calls waiting and running
	LeastTotal                   // the one that was given the fewest calls so far
	Random                       // any, with equal chance
)

// String returns the name of the balancing.
func (b Balancing) String() string {
	names := [...]string{"Shared", "RoundRobin", "LeastActive", "LeastTotal", "Random"}
	if b < 0 || int(b) >= len(names) {
		return fmt.Sprintf("Balancing(%d)", int(b))
	}
	return names[b]
}

// Balance sets which worker gets a call. Default: [Shared], one queue from
// which all workers pull, so that no call is stuck behind a slow one. The
// others give each worker a queue of its own and choose when the call is
// submitted; ties go to the lowest index.
func Balance(b Balancing) Option {
	return option(func(s *settings) error {
		if b < Shared || b > Random {
			return fmt.Errorf("task: Balance(%v): unknown", b)
		}
		s.balance, s.balanceSet = b, true
		return nil
	})
}

// Queue bounds the calls that wait; running ones do not count. n must be at
// least 1. When it is full, Submit blocks until there is room or its ctx ends;
// see [Reject] and [Task.TrySubmit]. Default: no bound.
func Queue(n int) Option {
	return option(func(s *settings) error {
		if n < 1 {
			return fmt.Errorf("task: Queue(%d): want at least 1", n)
		}
		s.queue = n
		return nil
	})
}

// Reject makes a full queue fail the call at once with [ErrQueueFull] instead
// of blocking Submit. It needs [Queue].
func Reject() Option {
	return option(func(s *settings) error { s.reject = true; return nil })
}

// StopGrace sets how long Stop waits for functions that ignore their ctx; d
// must not be negative. Default: 5 s.
func StopGrace(d time.Duration) Option {
	return option(func(s *settings) error {
		if d < 0 {
			return fmt.Errorf("task: StopGrace(%v): want no negative duration", d)
		}
		s.stopGrace = d
		return nil
	})
}

// Concurrent lets n calls of one member of a stateful worker interleave, for
// methods that wait for I/O: the state then has to be safe for concurrent use by
// n goroutines, and calls are taken in order but may overtake each other from then
// on, also where they wait for [Limits]. n must be
// at least 1. It excludes [Inline] if n is more than that. Default: 1.
func Concurrent(n int) Option {
	return option(func(s *settings) error {
		if n < 1 {
			return fmt.Errorf("task: Concurrent(%d): want at least 1", n)
		}
		s.concurrent = n
		return nil
	})
}

// Timeout bounds each attempt, from its start; d must be positive. An attempt
// that takes longer fails at once with a [*TimeoutError] and its ctx ends; its
// worker is free when the function returns. Default: none.
func Timeout(d time.Duration) CallOption {
	return callOption(positive("Timeout", d, func(s *settings) { s.timeout = d }))
}

// QueueTimeout bounds how long a call may wait before its first attempt; a
// call that waits longer is never started and fails with a [*TimeoutError]. d
// must be positive. Default: none.
func QueueTimeout(d time.Duration) CallOption {
	return callOption(positive("QueueTimeout", d, func(s *settings) { s.queueTimeout = d }))
}

func positive(name string, d time.Duration, set func(*settings)) func(*settings) error {
	return func(s *settings) error {
		if d <= 0 {
			return fmt.Errorf("task: %s(%v): want a positive duration", name, d)
		}
		set(s)
		return nil
	}
}

// Retries makes failed attempts be tried again; see [RetryPolicy]. Default: no
// second attempt.
func Retries(p RetryPolicy) CallOption {
	return callOption(func(s *settings) error {
		if err := p.validate(); err != nil {
			return err
		}
		s.retries = &p
		return nil
	})
}

// Until makes a result that check refuses count as a failed attempt, with
// check's error; without [Retries] that is the call's error. A panic in check
// is a refusal. Out must be the task's.
func Until[Out any](check func(Out) error) CallOption {
	return callOption(func(s *settings) error {
		if check == nil {
			return errors.New("task: Until(nil): want a function")
		}
		s.until = check
		return nil
	})
}

// Priority makes calls with a higher level go first, in order of submission
// within a level. A waiting call rises one level a second, so that none
// starves. In must be the task's; level is asked once, in Submit. Default: all
// alike.
func Priority[In any](level func(In) int) Option {
	return option(func(s *settings) error {
		if level == nil {
			return errors.New("task: Priority(nil): want a function")
		}
		s.priority = level
		return nil
	})
}

// Limits makes every attempt take a permit from l first: what [Cost] says, else
// 1 of each Calls and Resource. A Set that contains a Rate needs Cost. The call
// waits for its permit when it is next in line and a worker is free for it, and
// holds that worker but no goroutine meanwhile; the wait counts towards
// [QueueTimeout], not [Timeout], and a waiting call is none of those that
// [Queue] bounds. Calls ask in the order of the queue. The permit is released
// when the function returns, however it does, before the outcome is there; a
// call that ended before it began gives all back. What l refuses for good (a
// [*limits.RequestError], [limits.ErrClosed]) is the call's error, without
// retries.
//
// Tasks that share l share one budget. A function that waits for another call
// under a Resource of which it holds the last may wait for itself. A task made
// by [NewLimited] takes its permits itself. Default: none.
func Limits(l limits.Limiter) Option {
	return option(func(s *settings) error {
		if v := reflect.ValueOf(l); l == nil || v.Kind() == reflect.Pointer && v.IsNil() {
			return errors.New("task: Limits(nil): want a Set or a Pool")
		}
		s.limiter = l
		return nil
	})
}

// Cost says what each attempt of a call takes from [Limits]; it is asked once,
// in Submit, and the map that it returns must stay as it is. A panic in it is
// the call's [*PanicError]. In must be the task's. Default: 1 of each Calls and
// Resource.
func Cost[In any](cost func(In) limits.Request) Option {
	return option(func(s *settings) error {
		if cost == nil {
			return errors.New("task: Cost(nil): want a function")
		}
		s.cost = cost
		return nil
	})
}

// Idempotent says that a call may be run again when its worker, process or node
// is lost. Default: a call is run at most once.
func Idempotent() Option {
	return option(func(s *settings) error { s.idempotent = true; return nil })
}

// Supervise sets what a panic does to its worker, and for a stateful worker also
// what an init does that fails; the call has its error in any case. Default for
// tasks: the worker goes on. Default for stateful workers: the member is
// restarted with a fresh state, 10 times in 10 s at most. The budget is that of
// the pool, however many workers it has.
func Supervise(p supervisor.Policy) Option {
	return option(func(s *settings) error {
		if err := p.Validate(); err != nil {
			return fmt.Errorf("task: Supervise: %w", err)
		}
		s.policy = &p
		return nil
	})
}

// System sets the actor system that the task lives in. Default:
// [actor.Default].
func System(sys *actor.System) Option {
	return option(func(s *settings) error {
		if sys == nil {
			return errors.New("task: System(nil): want a system")
		}
		s.system = sys
		return nil
	})
}

// typed returns the typed function behind an option, or an error that names it.
func typed[F any](option string, f any) (fn F, err error) {
	if f == nil {
		return fn, nil
	}
	fn, ok := f.(F)
	if !ok {
		return fn, fmt.Errorf("task: %s: want a %v for this task, got a %T", option, reflect.TypeFor[F](), f)
	}
	return fn, nil
}
