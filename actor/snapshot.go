package actor

import "time"

// Snapshot is a System at one moment, as plain data: it holds no reference into
// the System, and JSON keeps all of it. Durations are nanoseconds there. Tasks,
// Limits and Trees are in order of registration and never nil.
type Snapshot struct {
	Name    string    `json:"name"`
	Address string    `json:"address,omitempty"` // "nonhost" without remote; "" if nothing has started yet
	Time    time.Time `json:"time"`

	Tasks  []TaskSnapshot   `json:"tasks"`
	Limits []LimitsSnapshot `json:"limits"`
	Trees  []TreeSnapshot   `json:"trees"`
}

// Kinds of pools, as in [TaskSnapshot].
const (
	KindTask   = "task"
	KindWorker = "worker"
)

// States of a task, as in [TaskSnapshot].
const (
	TaskIdle     = "idle" // not used yet
	TaskRunning  = "running"
	TaskDraining = "draining" // finishes what it has and takes no more
	TaskStopping = "stopping"
	TaskStopped  = "stopped"
)

// TaskSnapshot is the pool of a task or of a stateful worker. The counters only
// grow while it lives; a dashboard that keeps two snapshots has the rates.
type TaskSnapshot struct {
	Name  string    `json:"name"`
	Kind  string    `json:"kind"`
	State string    `json:"state"`
	PID   string    `json:"pid,omitempty"` // of the router, address/id; "" until started
	Made  time.Time `json:"made"`

	Balance    string `json:"balance"`
	OnDemand   bool   `json:"onDemand,omitempty"`
	Size       int    `json:"size"`       // how many workers there may be; 0: any number
	QueueBound int    `json:"queueBound"` // 0: none

	Workers   int `json:"workers"`           // alive now
	Busy      int `json:"busy"`              // of them, running calls
	Queued    int `json:"queued"`            // calls accepted and not started, or waiting for another attempt
	Blocked   int `json:"blocked,omitempty"` // submissions that wait for room in the queue
	Abandoned int `json:"abandoned,omitempty"`

	Submitted uint64 `json:"submitted"`
	Finished  uint64 `json:"finished"`
	Failed    uint64 `json:"failed"`
	Panicked  uint64 `json:"panicked"`
	Cancelled uint64 `json:"cancelled"`
	TimedOut  uint64 `json:"timedOut"`
	Retries   uint64 `json:"retries"`
	Rejected  uint64 `json:"rejected"`
	Restarts  uint64 `json:"restarts"`

	Wait Quantiles `json:"wait"` // from submission to the start of an attempt
	Run  Quantiles `json:"run"`  // of one attempt

	Members []WorkerSnapshot `json:"members"` // never nil
}

// Quantiles of a distribution of durations.
type Quantiles struct {
	P50 time.Duration `json:"p50"`
	P90 time.Duration `json:"p90"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
}

// States of a worker, as in [WorkerSnapshot].
const (
	WorkerStarting   = "starting" // its actor is not there yet
	WorkerIdle       = "idle"
	WorkerBusy       = "busy"
	WorkerLimited    = "limited"    // waits for the permit of its next call
	WorkerRestarting = "restarting" // its supervisor has it after a panic
	WorkerStopping   = "stopping"
)

// WorkerSnapshot is one member of a pool.
type WorkerSnapshot struct {
	Name   string `json:"name"`
	Node   string `json:"node,omitempty"` // where it lives; "" in this process
	PID    string `json:"pid,omitempty"`
	State  string `json:"state"`
	Call   uint64 `json:"call,omitempty"` // number of the call it runs; 0: none
	Active int    `json:"active"`         // calls it runs; with a queue of its own, also those that wait there
	Total  uint64 `json:"total"`          // calls it was given
}

// LimitsSnapshot is a set of limits.
type LimitsSnapshot struct {
	Name   string            `json:"name"`
	PID    string            `json:"pid,omitempty"` // of the limits actor
	Config map[string]string `json:"config,omitempty"`
	Keys   []LimitSnapshot   `json:"keys"`
}

// LimitSnapshot is one limit of a set.
type LimitSnapshot struct {
	Key         string    `json:"key"`
	Kind        string    `json:"kind"`
	Algorithm   string    `json:"algorithm,omitempty"`
	Capacity    int       `json:"capacity"`
	Available   int       `json:"available"`
	Used        int       `json:"used"`
	Waiting     int       `json:"waiting"`
	Granted     uint64    `json:"granted"`
	Refused     uint64    `json:"refused"`
	PausedUntil time.Time `json:"pausedUntil,omitzero"`
}

// TreeSnapshot is a supervision tree, or a node of one.
type TreeSnapshot struct {
	Name      string         `json:"name"`
	State     string         `json:"state"`
	Restarts  int            `json:"restarts,omitempty"`
	LastError string         `json:"lastError,omitempty"`
	Children  []TreeSnapshot `json:"children,omitempty"`
}

// Snapshot describes what lives in the System now. Each task is described at a
// moment of its own. It starts nothing and may be called at any time; it costs
// the tasks a short lock each.
func (s *System) Snapshot() Snapshot {
	snap := Snapshot{
		Name: s.name, Time: time.Now().Round(0).UTC(),
		Tasks: []TaskSnapshot{}, Limits: []LimitsSnapshot{}, Trees: []TreeSnapshot{},
	}
	if as := s.engine.Load(); as != nil {
		snap.Address = as.Address()
	}
	for _, u := range s.units.Units() {
		switch d := u.Describe().(type) {
		case TaskSnapshot:
			snap.Tasks = append(snap.Tasks, d)
		case LimitsSnapshot:
			snap.Limits = append(snap.Limits, d)
		case TreeSnapshot:
			snap.Trees = append(snap.Trees, d)
		}
	}
	return snap
}
