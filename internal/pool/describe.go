package pool

import (
	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

// Describe implements host.Unit.
func (u Unit) Describe() any {
	p, s := u.Pool, u.Stats()
	d := actor.TaskSnapshot{
		Name: p.key, Kind: p.kind(), Made: p.base.Round(0).UTC(),
		Balance: p.cfg.Balance.String(), OnDemand: p.cfg.OnDemand, QueueBound: p.cfg.Queue,
		Workers: s.Workers, Busy: s.Busy, Queued: s.Queued, Abandoned: s.Abandoned,
		Submitted: s.Submitted, Finished: s.Finished, Failed: s.Failed, Panicked: s.Panicked,
		Cancelled: s.Cancelled, TimedOut: s.TimedOut,
		Retries: s.Retries, Rejected: s.Rejected, Restarts: s.Restarts,
		Wait: actor.Quantiles(s.Wait), Run: actor.Quantiles(s.Run),
		Members: []actor.WorkerSnapshot{},
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	d.State, d.PID, d.Size, d.Blocked = p.phase.String(), address(p.pid), p.size, len(p.blocked)
	for _, w := range p.members {
		if w != nil {
			d.Members = append(d.Members, w.describe())
		}
	}
	return d
}

// describe is called under the pool's lock.
func (w *worker) describe() actor.WorkerSnapshot {
	s := w.stats()
	d := actor.WorkerSnapshot{Name: s.Name, PID: address(w.pid), State: w.state.String(), Active: s.Active, Total: s.Total}
	if w.retire {
		d.State = actor.WorkerStopping
	}
	if c := w.current.Load(); c != nil {
		d.Call = w.number(c)
	} else if w.lending.Load() {
		d.Call = w.call.Load()
	}
	return d
}

func address(pid *proto.PID) string {
	if pid == nil {
		return ""
	}
	return pid.Address + "/" + pid.Id
}

// String returns the name of the balance.
func (b Balance) String() string {
	return [...]string{Shared: "Shared", RoundRobin: "RoundRobin", LeastActive: "LeastActive", LeastTotal: "LeastTotal", Random: "Random"}[b]
}

// String is the phase as snapshots call it.
func (p phase) String() string {
	return [...]string{idle: actor.TaskIdle, running: actor.TaskRunning, draining: actor.TaskDraining,
		stopping: actor.TaskStopping, stopped: actor.TaskStopped}[p]
}

// String is the state as snapshots call it.
func (s workerState) String() string {
	return [...]string{starting: actor.WorkerStarting, woken: actor.WorkerIdle, active: actor.WorkerBusy, parked: actor.WorkerIdle,
		gated: actor.WorkerLimited, lent: actor.WorkerBusy, failed: actor.WorkerRestarting, gone: actor.WorkerStopping}[s]
}
