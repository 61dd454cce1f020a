package pool

import (
	"github.com/troupe-go/troupe/internal/cell"
	"sync/atomic"
)

// ending is how a function ended.
type ending int

const (
	succeeded ending = iota
	failure
	panicked
	exited // by runtime.Goexit
	endings
)

// tally counts endings; each worker has its own, so that workers do not
// contend for one cache line.
type tally [endings]atomic.Uint64

func (t *tally) fold(from *tally) {
	for i := range from {
		t[i].Add(from[i].Swap(0))
	}
}

type counters struct {
	gone      tally // of workers that are gone
	cancelled atomic.Uint64
	timedOut  atomic.Uint64
	retries   atomic.Uint64
	rejected  atomic.Uint64
	restarts  atomic.Uint64
	warm      atomic.Int64 // calls timed so far, up to briskAfter
	wait, run histogram
}

// Stats is a pool at one moment.
type Stats struct {
	Workers, Busy, Queued, Abandoned                 int
	Submitted, Finished, Failed, Panicked            uint64
	Cancelled, TimedOut, Retries, Rejected, Restarts uint64
	Wait, Run                                        Quantiles
	PerWorker                                        []WorkerStats
}

// WorkerStats is one worker at one moment.
type WorkerStats struct {
	Name   string
	Active int    // calls it runs or, with a queue of its own, holds
	Total  uint64 // calls it was given
}

// Stats reads all counters.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	s := Stats{Workers: p.live, Busy: p.busy, Queued: p.waiting, Submitted: p.calls - p.forgone, Abandoned: p.report.Abandoned}
	sum := p.tallied()
	for _, w := range p.members {
		if w == nil {
			continue
		}
		s.Queued += w.held()
		s.PerWorker = append(s.PerWorker, w.stats())
	}
	for w := range p.spares {
		s.Queued += w.held()
	}
	p.mu.Unlock()
	s.Finished, s.Failed, s.Panicked = sum[succeeded], sum[failure]+sum[exited], sum[panicked]
	s.Cancelled, s.TimedOut = p.stats.cancelled.Load(), p.stats.timedOut.Load()
	s.Retries, s.Rejected, s.Restarts = p.stats.retries.Load(), p.stats.rejected.Load(), p.stats.restarts.Load()
	s.Wait, s.Run = p.stats.wait.quantiles(), p.stats.run.quantiles()
	p.siteStats(&s)
	return s
}

// tallied adds up the tallies of all who run calls or have run them; under mu.
func (p *Pool) tallied() (sum [endings]uint64) {
	add := func(t *tally) {
		for i := range sum {
			sum[i] += t[i].Load()
		}
	}
	add(&p.stats.gone)
	for _, w := range p.members {
		if w != nil {
			add(&w.tally)
		}
	}
	for w := range p.spares {
		add(&w.tally)
	}
	return sum
}

// held counts the calls of the batch that were not begun; under mu.
func (w *worker) held() (n int) {
	for _, c := range w.batch {
		if c.IsOpen() && !c.Queued() {
			n++
		}
	}
	return n
}

func (w *worker) stats() WorkerStats {
	s := WorkerStats{Name: w.Name(), Total: w.total.Load()}
	if w.queue != nil {
		s.Active = int(w.queue.active.Load())
	} else if w.current.Load() != nil || w.state == lent {
		s.Active = 1
	}
	return s
}

const (
	quick    = 1000 // ns; calls at this pace are timed in groups
	quickly  = 8    // of this many
	surprise = 2000 // ns over the expected that make a group's time worth a closer look
)

func groupSize(pace int64) int {
	if pace > 0 && pace < quick {
		return quickly
	}
	return 1
}

// watch times the calls of a batch. Reading the clock costs as much as a tiny
// call, so quick calls share a reading; a slow one among them is still seen,
// because whatever a group took beyond its pace is put down to one call.
type watch struct {
	pool   *Pool
	worker *worker
	group  int
	n      int

	bucket, same int // waits of the group, run-length coded
	longest      int64
}

func (t *watch) started(c *cell.Cell) {
	if c.Stamp == 0 {
		return // not in the sample
	}
	wait := max(0, t.worker.mark-c.Stamp)
	t.longest = max(t.longest, wait)
	b := bucketOf(wait)
	if b != t.bucket {
		t.flush()
		t.bucket = b
	}
	t.same++
}

func (t *watch) flush() {
	if t.same > 0 {
		t.pool.stats.wait.count(t.bucket, uint64(t.same))
		t.same = 0
	}
}

func (t *watch) ended(c *cell.Cell, last bool) {
	if specOf(c).Bulk { // it has timed what it stands for, and set the mark
		t.flush()
		t.pool.stats.wait.raise(t.longest)
		return
	}
	t.n++
	if t.n < t.group && !last {
		return
	}
	now := t.pool.now()
	t.pool.timed(now-t.worker.mark, t.n)
	t.worker.mark = now
	t.n = 0
	t.flush()
	t.pool.stats.wait.raise(t.longest)
}

// timed records that n calls took ns together, and keeps the pace.
func (p *Pool) timed(ns int64, n int) {
	h, pace := &p.stats.run, p.pace.Load()
	each := ns / int64(n)
	if n > 1 && ns > int64(n)*pace+surprise {
		h.add(ns-int64(n-1)*pace, 1)
		h.add(pace, uint64(n-1))
	} else {
		h.add(each, uint64(n))
	}
	if p.stats.warm.Load() < briskAfter {
		p.stats.warm.Add(int64(n))
		if pace == 0 && p.stats.warm.Load() < briskAfter {
			return
		}
		pace = each
	}
	if next := max(1, pace+(each-pace)/8); next != p.pace.Load() {
		p.pace.Store(next)
	}
}

// Info tells what a running call is part of.
type Info struct {
	Task    string
	Call    uint64
	Attempt int
	Worker  string
	Node    string
}

// InfoOf describes the value that a function's ctx holds under cell.CallKey.
func InfoOf(v any) Info {
	switch v := v.(type) {
	case *cell.Cell:
		if v.Owner == nil {
			return Info{}
		}
		info := specOf(v).Pool.infoOf(v)
		if r := recordIf(v); r != nil {
			info.Attempt = max(1, int(r.number.Load()))
		}
		return info
	case *worker:
		return Info{Task: v.pool.name, Call: v.call.Load(), Attempt: 1, Worker: v.Name()}
	}
	return Info{}
}

func (p *Pool) infoOf(c *cell.Cell) Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.runner(c)
	if w == nil {
		w = newWorker(p, -1)
	}
	return Info{Task: p.name, Call: w.number(c), Attempt: 1, Worker: w.Name()}
}
