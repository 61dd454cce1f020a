package pool

import (
	"runtime/debug"
)

// Begin implements Settler.
func (w *worker) Begin(n int) {
	w.pool.mu.Lock()
	w.pool.calls += uint64(n)
	w.pool.mu.Unlock()
	w.total.Add(uint64(n))
}

// Done implements Settler.
func (w *worker) Done(n int, ns int64) {
	if n > 0 {
		w.tally[succeeded].Add(uint64(n))
		w.pool.timed(ns, n)
	}
}

// Mark implements Settler.
func (w *worker) Mark(now int64) { w.mark = now }

// Begun implements Settler.
func (w *worker) Begun() int64 { return w.mark }

// Fail counts n calls that ended with an error of their own.
func (w *worker) Fail(n int) { w.tally[failure].Add(uint64(n)) }

// Clock implements Settler.
func (w *worker) Clock() int64 { return w.pool.now() }

// Crowded implements Settler.
func (w *worker) Crowded() bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.pool.waiting > 0
}

// Contain implements Settler.
func (w *worker) Contain(reason any) error {
	w.tally[panicked].Add(1)
	return w.pool.cfg.Faults.Panicked(reason, debug.Stack())
}
