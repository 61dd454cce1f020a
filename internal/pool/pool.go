// Package pool is the engine under tasks and workers: a router actor that
// takes calls in the sender's goroutine, one queue outside of the mailboxes,
// and worker actors that pull from it. It knows calls only as cells; the typed
// layer above gives it the functions that run them.
//
// One lock, Pool.mu, guards the queue and the state of every worker. No user
// code runs under it, and no other lock is taken under it except a mailbox's.
package pool

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/elastic"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/supervisor"
)

// Balance says which worker gets a call.
type Balance int

// The ways to balance. All but Shared give each worker a queue of its own.
const (
	Shared Balance = iota
	RoundRobin
	LeastActive
	LeastTotal
	Random
)

// Config is what a pool is made of; the typed layer has checked it.
type Config struct {
	Name        string
	Unique      bool // a taken name is an error, not a reason for a suffix
	System      *actor.System
	Workers     int // most workers at once; 0: no cap (OnDemand only)
	OnDemand    bool
	IdleTimeout time.Duration
	Balance     Balance
	Queue       int // bound on waiting calls; 0: none
	Reject      bool
	StopGrace   time.Duration
	Policy      *supervisor.Policy                        // nil: a panic leaves the worker as it is
	Limiter     limits.Limiter                            // taken before each attempt; nil: none
	State       *State                                    // of stateful workers; nil: a task
	Site        place.Site                                // where the calls run; nil: here
	Place       string                                    // what people call that
	Function    func(name string) *place.Function         // how others' calls of it run here
	Ranked      bool                                      // calls have priorities
	Receive     func(message any, sender *proto.PID) bool // takes a message for the pool; false: not for it
	Faults      Faults
}

// Faults makes the errors that the typed layer gives to calls.
type Faults interface {
	Stopped() error
	StopCause() error // the outcome of a call that ran when the pool stopped
	QueueFull() error
	WouldDeadlock() error
	Goexit() error
	IsGoexit(err error) bool
	IsPanic(err error) bool // of a call that ran elsewhere
	Failed(cause error) error
	Panicked(value any, stack []byte) error
}

type phase int

// A pool's life.
//
//	idle ──first use──▶ running ──Drain──▶ draining ──▶ stopping ──▶ stopped
//	  │                    └──────────Stop or failure──────▲
//	  └────────────────────────Stop──────────────────────────────────▲
const (
	idle phase = iota
	running
	draining
	stopping
	stopped
)

// Pool runs calls on workers.
type Pool struct {
	cfg      Config
	name     string
	key      string // of the System's registry: the name, and where it runs if elsewhere
	faults   func(name string) Faults
	base     time.Time
	dispatch elastic.Dispatcher
	stats    counters
	group    atomic.Pointer[cell.Group] // of the ctx that the last call came with
	pace     atomic.Int64               // a call's usual run time in ns, 0: unknown
	_        [128]byte                  // the workers write above, submitters below

	deep      atomic.Bool // many calls wait: their waits are sampled
	mu        sync.Mutex
	phase     phase
	refusal   error // why calls are refused, from draining on
	failed    error // the same, if the policy gave up
	size      int
	queue     queue      // Shared; otherwise each worker has its own
	waiting   int        // calls in queues that still wait
	blocked   []*blocked // submitters at a full queue, in order
	retries   map[*cell.Cell]*time.Timer
	free      []*worker // parked workers, last parked first
	waking    *worker   // woken and not yet at work: one at a time, each wakes the next
	growing   bool      // the router was asked for workers
	members   []*worker // by index; nil: no such worker now
	live      int
	busy      int                    // workers at work, lent ones included
	hopes     []hoped                // see hope
	leases    map[*worker]lease      // of lent calls that have asked for Done
	spares    map[*worker]struct{}   // beyond the pool's size; see spare
	turn      int                    // of RoundRobin
	due       []*worker              // members that were given a call
	lines     []*queue               // by place, beside the shared queue; see line
	lined     int                    // calls that wait in lines
	dueLines  []int                  // places whose line was given a call
	barred    []int                  // places that the policy has closed
	moved     []*cell.Cell           // see noteMove
	opening   int                    // workers that open their state
	early     map[place.Member]error // states that were lost before their worker knew them
	holding   int                    // no worker is made until so many backoffs are over
	declined  int                    // calls in the shared queue that no further worker is made for
	halted    bool                   // no worker is made until the supervisor says so
	held      bool                   // no worker is made while the engine restarts the router
	onHalt    []func()               // called when the last worker is gone
	orphaned  bool                   // stopped by its parent, and not by its owner
	finished  bool                   // stopped by its owner: whatever its parent does, it stays stopped
	collapsed bool                   // gave up, and waits for its parent to decide
	turnstile chan struct{}          // of an Inline pool with a state: has room for who may use it
	solo      *worker                // the same pool's
	onward    chan struct{}          // the same pool's while it is halted; closed by Continue
	soloAfter int64                  // no call before that; of who has the turn

	allowed int   // calls of a task that its site takes at once
	closed  error // by the site: why it takes no calls
	resting bool  // the site was told that nothing need be there
	awaited int   // callers of ReadyElsewhere

	gaveUpAbout error // what the policy gave up about where no worker failed, for the router
	vacant      int   // no free index below
	unarrived   int   // workers made that have not started yet
	expelled    int   // workers that the policy has stopped for good
	gated       int   // workers that wait for a permit, or have got it and are not yet back at work
	asking      bool  // a worker is between the shared queue and its place at the gate
	batches     int   // workers that hold more than one call
	idleAt      int64
	shrink      *time.Timer
	armed       bool
	calls       uint64        // submitted so far, with those below
	forgone     uint64        // of them, numbers that were not used in the end
	ready       []chan error  // of Ready, told when all workers live
	settled     chan struct{} // closed when nothing runs or waits; made by Drain and Stop
	over        chan struct{} // closed when stopping is through
	ended       chan struct{} // closed when the router actor is gone; made by start
	stopCtx     context.Context
	stopRun     context.CancelCauseFunc

	before       uint64       // calls ended by themselves before the drain or stop
	leftOut      atomic.Int64 // calls that waited for room when the drain began
	report       Report       // of the stop; set before over is closed
	dispatchGone <-chan struct{}

	history  supervisor.History       // of restarts; only the router uses it
	losses   []decidedLoss            // the latest that it has decided about
	backoffs map[*time.Timer]struct{} // of restarts that are due later
	system   *actor.System            // where it runs
	pid      *proto.PID               // of the router; set by start
	box      atomic.Pointer[mailbox]  // of the router; each life has another

	workers  *proto.Props // of all workers
	spawning *worker      // that is being spawned; the router's own
}

// Report is what became of the calls during a Drain or Stop.
type Report struct{ Finished, Cancelled, NeverStarted, Abandoned int }

// New returns a pool that costs nothing until the first call.
func New(cfg Config, faults func(name string) Faults) (*Pool, error) {
	p := &Pool{cfg: cfg, size: cfg.Workers, base: time.Now(), system: cfg.System, faults: faults}
	if cfg.Ranked {
		p.queue.ranks = &ranking{}
	}
	if cfg.State != nil && cfg.OnDemand {
		p.turnstile, p.solo = make(chan struct{}, 1), newWorker(p, 0)
	}
	if err := p.register(); err != nil {
		return nil, err
	}
	return p, nil
}

// register makes the pool known to its System. From then on others may use it.
func (p *Pool) register() error {
	name, unique := p.cfg.Name, p.cfg.Unique
	if p.cfg.Place != "" { // it shares the name of what may run here
		name, unique = name+"@"+p.cfg.Place, false
	}
	_, err := p.cfg.System.Units().Add(name, p.kind(), unique, Unit{Pool: p})
	return err
}

// Named completes the pool with its key in the registry, before anybody sees
// it there; one that is registered again has the same.
func (u Unit) Named(key string) {
	p := u.Pool
	if p.key != "" {
		return
	}
	p.key, p.name = key, key
	if p.cfg.Place != "" {
		p.name = p.cfg.Name
	}
	p.cfg.Faults = p.faults(p.name)
}

// kind is what the pool is to its users.
func (p *Pool) kind() string {
	if p.cfg.State != nil {
		return actor.KindWorker
	}
	return actor.KindTask
}

// Name returns the name under which the pool is registered.
func (p *Pool) Name() string { return p.name }

// Size returns how many workers there may be; 0: any number.
func (p *Pool) Size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

// logger is that of the system with the task's name.
func (p *Pool) logger() *slog.Logger { return p.System().Log().With("task", p.name) }

// System returns where the pool lives.
func (p *Pool) System() *actor.System {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.system
}

// now is the pool's clock: nanoseconds since it was made, monotonic.
func (p *Pool) now() int64 { return int64(time.Since(p.base)) }

func (p *Pool) perMember() bool { return p.cfg.Balance != Shared }

// capacity tells whether one more worker is allowed; under mu.
func (p *Pool) capacity() bool { return p.size == 0 || p.live < p.size-p.expelled }

// Spec is how the calls of one view on the pool are run.
type Spec struct {
	cell.Owner
	Pool         *Pool
	Run          func(c *cell.Cell, s Settler) // runs the function and completes the cell
	RunAttempt   func(a *Attempt)              // the same for calls that are not plain
	Plain        bool
	Inline       bool
	Bulk         bool // a call stands for many, and is not counted itself
	Timeout      time.Duration
	QueueTimeout time.Duration
	TimedOut     func(kind TimeoutKind, after time.Duration) error
	Retry        Retry                                                                    // nil: a failure is final
	Wrap         func(a *Attempt)                                                         // puts into a.Ctx what its function is to find there; nil: nothing
	Trace        func(ctx context.Context, a *Attempt) (context.Context, func(err error)) // nil: off
}

// TimeoutKind tells which timeout ended a call.
type TimeoutKind int

// The timeouts.
const (
	QueueWait TimeoutKind = iota
	AttemptRun
)

// Settler decides whether the function's outcome becomes the call's.
type Settler interface {
	// Settle reports whether the caller is to write the value and publish err.
	Settle(c *cell.Cell, err error) bool

	// The rest is for bulk calls, which stand for many.
	Begin(n int) bool                // numbers and counts n calls; false if the pool takes none
	Given(n int)                     // counts n calls that were numbered by Reserve
	Number(first uint64)             // of the call that is run next
	Done(good, failed int, ns int64) // counts calls that ended, in ns together
	Revoke(err error, crashed bool)  // uncounts one that Done or Contain has counted
	Contain(reason any) error        // counts a panic, or a Goexit if reason is nil, and gives its error
	Clock() int64
	Begun() int64   // when the call in hand began, by Clock
	Mark(now int64) // now, when it ends
	Crowded() bool  // whether others wait

	Member() any // the state of the member that runs the call

	// Of a pool with a Site, in place of Settle, and beside it.
	PutBack(c *cell.Cell, undone bool) // puts the call back into the queue
	LoseMember(err error)              // the state of the member that runs the call is gone
	Fail(err error)                    // hands the worker to its supervisor after the call
}

// Bind completes a Spec for p.
func (p *Pool) Bind(s *Spec) *Spec {
	s.Pool = p
	s.Plain = s.Timeout == 0 && s.QueueTimeout == 0 && !s.Inline && s.Retry == nil && s.Trace == nil && !p.perMember() && !p.cfg.Ranked && p.cfg.Limiter == nil && s.Wrap == nil
	s.Owner = cell.Owner{Ended: p.outside, Help: p.help, GaveUp: p.gaveUp, Expect: p.expect, Log: p.logger, Spec: s}
	return s
}

func specOf(c *cell.Cell) *Spec { return c.Owner.Spec.(*Spec) }
