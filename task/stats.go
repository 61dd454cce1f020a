package task

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/internal/pool"
)

// Report tells what became of the calls during a Drain or Stop.
type Report struct {
	Finished     int // ended by themselves
	Cancelled    int // cancelled while running
	NeverStarted int // failed with ErrStopped before they began
	Abandoned    int // functions still running when given up
}

// Quantiles of a distribution of durations; each is exact to about 6 %.
type Quantiles struct{ P50, P90, P99, Max time.Duration }

// WorkerStats is one worker at one moment.
type WorkerStats struct {
	Name   string
	Active int    // calls it runs; with a queue of its own, also those that wait there
	Total  uint64 // calls it was given
}

// Stats is a task at one moment. Every call that was not refused, those that
// wait for room included, is counted in Submitted and, when it has ended, in
// one of Finished, Failed, Panicked, Cancelled and TimedOut.
type Stats struct {
	Name      string
	Workers   int // alive now
	Busy      int // of them, running calls
	Queued    int // calls accepted and not started
	Abandoned int // functions that a Stop left running

	Submitted uint64
	Finished  uint64 // without error
	Failed    uint64 // with the function's own error
	Panicked  uint64
	Cancelled uint64 // by the Future, the caller's ctx, or Stop
	TimedOut  uint64
	Retries   uint64 // attempts after the first
	Rejected  uint64 // refused by a full queue
	Restarts  uint64 // of workers

	Wait Quantiles // from submission to the start of an attempt
	Run  Quantiles // of one attempt

	PerWorker []WorkerStats
}

// Stats reads all counters. Quick calls are timed in small groups, so that
// measuring does not cost more than the work; counters are exact.
func (t *Task[In, Out]) Stats() Stats { return statsOf(t.core.pool) }

func statsOf(p *pool.Pool) Stats {
	s := p.Stats()
	out := Stats{
		Name: p.Name(), Workers: s.Workers, Busy: s.Busy, Queued: s.Queued, Abandoned: s.Abandoned,
		Submitted: s.Submitted, Finished: s.Finished, Failed: s.Failed, Panicked: s.Panicked,
		Cancelled: s.Cancelled, TimedOut: s.TimedOut, Retries: s.Retries, Rejected: s.Rejected, Restarts: s.Restarts,
		Wait: Quantiles(s.Wait), Run: Quantiles(s.Run),
	}
	for _, w := range s.PerWorker {
		out.PerWorker = append(out.PerWorker, WorkerStats(w))
	}
	return out
}

// CallInfo tells a running function what it is part of.
type CallInfo struct {
	Task    string
	Call    uint64 // number of the call in its task, from 1; the same for all attempts
	Attempt int    // from 1
	Worker  string // name of the worker
	Node    string // "" in this process
}

// Info returns what ctx, or a context above it, says of the call that it was
// made for; the zero CallInfo outside of a task. It is valid while the function
// runs.
func Info(ctx context.Context) CallInfo {
	if ctx == nil {
		return CallInfo{}
	}
	v := ctx.Value(cell.CallKey{})
	if v == nil { // else a call of this process, perhaps below one of another
		if info, ok := ctx.Value(place.InfoKey{}).(place.Info); ok {
			return CallInfo(info)
		}
	}
	return CallInfo(pool.InfoOf(v))
}
