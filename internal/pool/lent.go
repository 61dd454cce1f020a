package pool

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/troupe-go/troupe/internal/cell"
)

// Lent is an idle worker whose place a caller has taken for one call.
type Lent = worker

// Lend gives the place of an idle worker for a call that the caller runs
// itself at once; nil if that would overtake a waiting call or take a place
// that is not free. The caller ends with [Lent.Return] on every path.
func (p *Pool) Lend() *Lent {
	if p.cfg.Site == nil && !p.brisk() {
		return nil
	}
	p.mu.Lock()
	if p.phase != running || p.waiting > 0 || p.crowdedOut(0) || p.closed != nil {
		p.mu.Unlock()
		return nil
	}
	w := p.borrow()
	if w != nil {
		p.calls++
		w.call.Store(p.calls)
	}
	p.mu.Unlock()
	if w != nil {
		w.total.Add(1)
		w.mark = p.now()
		w.lending.Store(true)
	}
	return w
}

// Call is the number of the lent call.
func (w *worker) Call() uint64 { return w.call.Load() }

// Unreturned gives the place back after a call that did not reach its place and
// is to be submitted.
func (w *worker) Unreturned() {
	w.lending.Store(false)
	w.total.Add(^uint64(0))
	w.pool.mu.Lock()
	w.pool.forgone++
	w.pool.mu.Unlock()
	w.pool.repay(w)
}

// StopContext ends when the pool begins to stop.
func (w *worker) StopContext() context.Context {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.pool.stopContext()
}

// Context is handed to the function of a lent call. It ends with the call.
func (w *worker) Context() context.Context { return (*lentContext)(w) }

// Return gives the place back after the function has returned with err. It
// returns the error of the call: err, or what stands for a stopped pool.
func (w *worker) Return(err error) error {
	p := w.pool
	w.lending.Store(false)
	p.timed(p.now()-w.mark, 1)
	if p.stopping() {
		p.stats.cancelled.Add(1)
		err = p.cfg.Faults.StopCause()
	} else {
		w.tally[p.endingOf(err)].Add(1)
	}
	p.repay(w)
	return err
}

// Crash gives the place back after the function has panicked with reason, or
// has ended the caller's goroutine if that is nil.
func (w *worker) Crash(reason any) error {
	p := w.pool
	w.lending.Store(false)
	err, how := p.cfg.Faults.Goexit(), exited
	if reason != nil {
		err, how = p.cfg.Faults.Panicked(reason, debug.Stack()), panicked
	}
	if how == panicked && p.cfg.Policy != nil {
		w.failure = err
	}
	w.tally[how].Add(1)
	p.repay(w)
	return err
}

// lentContext is a worker as the context of a lent call, whose caller gave
// context.Background. It costs nothing until the function asks for Done; then
// there is a lease, which ends with the call. A function that keeps the context
// beyond its return finds it ended, or sees the Done of a later call of the
// same worker, and nothing else of that.
type lentContext worker

// lease is the standard context of one lent call.
type lease struct {
	context.Context
	cancel context.CancelCauseFunc
}

// ended is for those who keep the context of a lent call.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// standard returns the lease, made now if there is none and ask is set; nil
// without one.
func (x *lentContext) standard(ask bool) context.Context {
	p, w := x.pool, (*worker)(x)
	p.mu.Lock()
	defer p.mu.Unlock()
	if l, ok := p.leases[w]; ok {
		return l
	}
	switch {
	case !w.lending.Load():
		return ended
	case p.phase >= stopping:
		return p.stopContext()
	case !ask:
		return nil
	}
	var l lease
	l.Context, l.cancel = context.WithCancelCause(p.stopContext())
	if p.leases == nil {
		p.leases = make(map[*worker]lease)
	}
	p.leases[w] = l
	return l
}

func (x *lentContext) Deadline() (time.Time, bool) { return time.Time{}, false }

func (x *lentContext) Done() <-chan struct{} { return x.standard(true).Done() }

func (x *lentContext) Err() error {
	if ctx := x.standard(false); ctx != nil {
		return ctx.Err()
	}
	return nil
}

func (x *lentContext) Value(key any) any {
	if _, ok := key.(cell.CallKey); ok {
		return (*worker)(x)
	}
	if ctx := x.standard(false); ctx != nil {
		return ctx.Value(key)
	}
	return nil
}

// stopContext ends when the pool begins to stop; it is made when asked for.
// Under mu.
func (p *Pool) stopContext() context.Context {
	if p.stopCtx == nil {
		p.stopCtx, p.stopRun = context.WithCancelCause(context.Background())
		if p.phase >= stopping {
			p.stopRun(p.cfg.Faults.StopCause())
		}
	}
	return p.stopCtx
}

// OnStop calls fn with the refusal of the pool when that stops, or soon if it
// has, unless it is called off before.
func (p *Pool) OnStop(fn func(refusal error)) (callOff func() bool) {
	p.mu.Lock()
	stop := p.stopContext()
	p.mu.Unlock()
	return context.AfterFunc(stop, func() {
		p.mu.Lock()
		err := p.refusal
		p.mu.Unlock()
		fn(err)
	})
}

func (p *Pool) stopping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase >= stopping
}
