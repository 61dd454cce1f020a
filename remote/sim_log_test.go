package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/limits"
)

// simLog is what the functions of all nodes have written: who ran which call,
// when it began and ended, and which states there were.
type simLog struct {
	mu      sync.Mutex
	runs    map[int][]*simRun // by call
	states  []*simDesk
	decided []error // what the worker's policy was asked about
	faults  []string
}

// simRun is one execution of a call.
type simRun struct {
	id         int
	proc       *simProc
	desk       *simDesk // the state that it used; nil: of a task
	begin, end time.Time
	ended      bool
	ctxEnded   bool  // before the function did
	dead       bool  // its process was killed before it had ended
	err        error // what the function has returned
}

func (r *simRun) String() string {
	return fmt.Sprintf("on %s from %v to %v (ended %v, ctx ended %v, killed %v, error %v)", r.proc, r.proc.world.since(r.begin),
		r.proc.world.since(r.end), r.ended, r.ctxEnded, r.dead, r.err)
}

func (l *simLog) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// enter notes the begin of a call; nil if the process is dead, which begins
// nothing any more.
func (l *simLog) enter(p *simProc, id int, d *simDesk) *simRun {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.isDead() {
		return nil
	}
	r := &simRun{id: id, proc: p, desk: d, begin: time.Now()}
	l.runs[id] = append(l.runs[id], r)
	return r
}

func (l *simLog) leave(ctx context.Context, r *simRun, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.end, r.ended, r.ctxEnded, r.err = time.Now(), true, ctx.Err() != nil, err
	r.dead = r.proc.isDead()
}

var (
	errSimOwn  = errors.New("the function's own error")
	errSimDead = errors.New("the process is dead")
)

func init() { RegisterError("remote.sim.own", errSimOwn) }

// simAnswer is the result of a call.
type simAnswer struct{ ID, Value int }

func simValue(id int) int { return id*id + 7 }

// run is the function of the tasks, and most of the worker's method.
func (p *simProc) run(ctx context.Context, a simArg) (simAnswer, error) {
	return p.execute(ctx, a, nil)
}

func (p *simProc) execute(ctx context.Context, a simArg, d *simDesk) (v simAnswer, err error) {
	r := p.world.log.enter(p, a.ID, d)
	if r == nil {
		return v, errSimDead
	}
	defer func() {
		what := recover()
		if what != nil {
			err = fmt.Errorf("panic: %v", what)
		}
		p.world.log.leave(ctx, r, err)
		if what != nil {
			panic(what)
		}
	}()
	if a.Tool {
		permit, err := limits.From(ctx).Acquire(ctx, limits.Request{"slots": 0, "tools": 1})
		if err != nil {
			return v, err
		}
		defer permit.Release()
	}
	if err := p.work(ctx, a); err != nil {
		return v, err
	}
	switch a.Fate {
	case "fail":
		return v, fmt.Errorf("call %d: %w", a.ID, errSimOwn)
	case "panic":
		panic(fmt.Sprint("call ", a.ID))
	}
	return simAnswer{ID: a.ID, Value: simValue(a.ID)}, nil
}

// work takes the time that it takes.
func (p *simProc) work(ctx context.Context, a simArg) error {
	done := ctx.Done()
	if a.Deaf {
		done = nil
	}
	t := time.NewTimer(a.Takes)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-done:
		return ctx.Err()
	case <-p.dead:
		return errSimDead
	}
}

// simDesk is the state of a member.
type simDesk struct {
	proc   *simProc
	number int

	// Guarded by the log's lock.
	busy   int // the call that uses it; 0: none
	closed time.Time
	closes int
}

// openDesk is the init of the worker.
func (p *simProc) openDesk(context.Context) (*simDesk, error) {
	l := p.world.log
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &simDesk{proc: p, number: len(l.states) + 1}
	l.states = append(l.states, d)
	return d, nil
}

// Serve runs a call with the state, which nobody else may do meanwhile.
func (d *simDesk) Serve(ctx context.Context, a simArg) (simAnswer, error) {
	l := d.proc.world.log
	l.mu.Lock()
	other, closes := d.busy, d.closes
	d.busy = a.ID
	l.mu.Unlock()
	switch {
	case other != 0:
		l.fault("calls %d and %d used member %d, on %s, at once", other, a.ID, d.number, d.proc)
	case closes > 0:
		l.fault("call %d used member %d, on %s, after its Close", a.ID, d.number, d.proc)
	}
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		d.busy = 0
	}()
	return d.proc.execute(ctx, a, d)
}

// Close ends the state, once and when nobody uses it.
func (d *simDesk) Close() error {
	l := d.proc.world.log
	l.mu.Lock()
	d.closes++
	d.closed = time.Now()
	busy, closes := d.busy, d.closes
	l.mu.Unlock()
	if busy != 0 {
		l.fault("member %d, on %s, was closed while call %d used it", d.number, d.proc, busy)
	}
	if closes > 1 {
		l.fault("member %d, on %s, was closed %d times", d.number, d.proc, closes)
	}
	return nil
}
