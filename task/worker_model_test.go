package task_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// ledger is a state that keeps a sum for each key.
type ledger struct {
	bank   *bank
	id     int
	sums   map[string]int
	runs   int
	busy   atomic.Bool
	closed atomic.Bool
}

// bank opens ledgers and remembers them.
type bank struct {
	faults atomic.Int64 // what states saw that must not be
	broken atomic.Int64 // so many openings fail from now on
	opened atomic.Int64
	closed atomic.Int64
	gate   chan struct{} // what held calls wait for
}

func (b *bank) open(context.Context) (*ledger, error) {
	if b.broken.Add(-1) >= 0 {
		return nil, errBoom
	}
	return &ledger{bank: b, id: int(b.opened.Add(1)), sums: map[string]int{}}, nil
}

func (l *ledger) Close() error {
	if l.closed.Swap(true) || l.busy.Load() {
		l.bank.faults.Add(1)
	}
	l.bank.closed.Add(1)
	return nil
}

// posting is a call on a ledger: its argument.
type posting struct {
	step
	gate <-chan struct{} // of a hold
}

// entry is what it returns: the sum of its key so far, and how many calls the
// ledger has seen.
type entry struct{ ledger, sum, run int }

func (l *ledger) post(ctx context.Context, p posting) (entry, error) {
	if l.busy.Swap(true) || l.closed.Load() {
		l.bank.faults.Add(1)
	}
	defer l.busy.Store(false)
	l.runs++
	l.sums[p.key] += p.n
	e := entry{ledger: l.id, sum: l.sums[p.key], run: l.runs}
	switch p.kind {
	case "crash":
		panic(e)
	case "hold":
		select {
		case <-p.gate:
		case <-ctx.Done():
			return e, context.Cause(ctx)
		}
	}
	return e, nil
}

// step is one thing that is done to the worker.
type step struct {
	kind string // add, hold, crash: calls; break, resize, settle, stop
	key  string // "": any member
	n    int
}

func (s step) String() string { return fmt.Sprintf("%s(%s %d)", s.kind, s.key, s.n) }

var workerSteps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
	kinds := []string{"add", "add", "add", "add", "hold", "crash", "break", "resize", "settle", "settle"}
	return step{
		kind: rapid.SampledFrom(kinds).Draw(t, "kind"),
		key:  rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e"}).Draw(t, "key"),
		n:    rapid.IntRange(1, 4).Draw(t, "n"),
	}
}), 1, 50)

// posted is a call and its outcome.
type posted struct {
	step
	epoch int // how many settlements were before it
	f     *task.Future[entry]
	done  *atomic.Int32
}

// reference is what the outcomes of a worker have to agree with.
type reference struct {
	sums    map[int]map[string]int // by ledger and key
	runs    map[int]map[int]bool   // by ledger: the numbers of its calls
	last    map[string]*posted     // by key: its last call that was served
	crashed map[int]bool
	resized map[int]bool // by epoch
	breaks  bool         // some init may have failed
	stopped bool
}

func newReference() *reference {
	return &reference{
		sums: map[int]map[string]int{}, runs: map[int]map[int]bool{}, last: map[string]*posted{},
		crashed: map[int]bool{}, resized: map[int]bool{},
	}
}

// check judges a call that has ended; those with one key come in the order of
// their submission.
func (r *reference) check(c *posted) error {
	e, err := c.f.Result()
	if n := c.done.Load(); n != 1 {
		return fmt.Errorf("%v: completed %d times", c.step, n)
	}
	var p *task.PanicError
	switch {
	case errors.As(err, &p) && c.kind == "crash":
		e = p.Value.(entry)
		r.crashed[e.ledger] = true
	case err == nil && c.kind != "crash":
	case errors.Is(err, errBoom) && r.breaks:
		return nil
	case errors.Is(err, task.ErrStopped) && r.stopped:
		return nil
	default:
		return fmt.Errorf("%v: got %v, error %v", c.step, e, err)
	}
	return r.book(c, e)
}

// book compares a call that was served with the reference, and enters it there.
func (r *reference) book(c *posted, e entry) error {
	if r.sums[e.ledger] == nil {
		r.sums[e.ledger], r.runs[e.ledger] = map[string]int{}, map[int]bool{}
	}
	if r.runs[e.ledger][e.run] {
		return fmt.Errorf("%v: two calls were number %d of ledger %d", c.step, e.run, e.ledger)
	}
	r.runs[e.ledger][e.run] = true
	if c.key == "" {
		return nil
	}
	r.sums[e.ledger][c.key] += c.n
	if want := r.sums[e.ledger][c.key]; e.sum != want {
		return fmt.Errorf("%v: got sum %d of ledger %d, want %d", c.step, e.sum, e.ledger, want)
	}
	if before := r.last[c.key]; before != nil {
		if was := r.ledgerOf(before); was != e.ledger && !r.crashed[was] && !r.moved(before.epoch, c.epoch) {
			return fmt.Errorf("%v: served by ledger %d, and the call before by %d, which has not crashed", c.step, e.ledger, was)
		}
	}
	r.last[c.key] = c
	return nil
}

func (r *reference) ledgerOf(c *posted) int {
	e, err := c.f.Result()
	var p *task.PanicError
	if errors.As(err, &p) {
		e = p.Value.(entry)
	}
	return e.ledger
}

// moved reports whether keys may have moved between two calls.
func (r *reference) moved(from, to int) bool {
	for epoch := from; epoch <= to; epoch++ {
		if r.resized[epoch] {
			return true
		}
	}
	return false
}

// replay does what the script says to a worker and returns how that differs
// from the reference.
func replay(sys *actor.System, script []step, opts []task.Option) error {
	b := &bank{gate: make(chan struct{})}
	w := task.MustNewWorker(b.open, append(opts, task.System(sys))...)
	r, epoch := newReference(), 0
	var open []*posted
	settle := func() error {
		close(b.gate)
		b.gate = make(chan struct{})
		ended := open
		open = nil
		epoch++
		for _, c := range ended {
			<-c.f.Done()
		}
		synctest.Wait()
		for _, c := range ended {
			if err := r.check(c); err != nil {
				return err
			}
		}
		return nil
	}
	var fault error
	for _, s := range script {
		if fault != nil {
			break
		}
		switch s.kind {
		case "break":
			b.broken.Store(int64(s.n - 1))
			r.breaks = true
		case "resize":
			r.resized[epoch] = true
			if err := w.Resize(s.n); err != nil {
				fault = fmt.Errorf("%v: %w", s, err)
			}
		case "settle":
			fault = settle()
		default:
			p := posting{step: s, gate: b.gate}
			c := &posted{step: s, epoch: epoch, done: &atomic.Int32{}}
			if s.key == "" {
				c.f = task.Ask(context.Background(), w, (*ledger).post, p)
			} else {
				c.f = task.AskKey(context.Background(), w, s.key, (*ledger).post, p)
			}
			c.f.OnDone(func(entry, error) { c.done.Add(1) })
			open = append(open, c)
		}
	}
	r.stopped = true
	w.Stop()
	synctest.Wait()
	fault = errors.Join(fault, settle())
	return errors.Join(fault, r.total(), b.audit(w.Stats()))
}

// total checks that no ledger was used by calls that have no outcome of theirs:
// those that Stop cancels are the last of theirs.
func (r *reference) total() error {
	for id, runs := range r.runs {
		for n := range len(runs) {
			if !runs[n+1] {
				return fmt.Errorf("call %d of ledger %d is missing: %v", n+1, id, runs)
			}
		}
	}
	return nil
}

// audit checks that every ledger was closed once and used by one call at a time.
func (b *bank) audit(s task.Stats) error {
	if o, c, f := b.opened.Load(), b.closed.Load(), b.faults.Load(); o != c || f != 0 {
		return fmt.Errorf("opened %d ledgers, closed %d, %d faults", o, c, f)
	}
	if ended := s.Finished + s.Failed + s.Panicked + s.Cancelled + s.TimedOut; ended != s.Submitted || s.Queued != 0 || s.Busy != 0 {
		return fmt.Errorf("the counters do not add up: %+v", s)
	}
	return nil
}

func TestWorkersAgreeWithAPlainReference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		opts := []task.Option{
			task.Workers(rapid.IntRange(1, 4).Draw(rt, "members")),
			task.Balance(rapid.SampledFrom([]task.Balancing{task.Shared, task.RoundRobin}).Draw(rt, "balance")),
		}
		policy := supervisor.Policy{MaxRestarts: -1}
		if rapid.Bool().Draw(rt, "backoff") {
			policy.Backoff = supervisor.Backoff{Initial: time.Second, Max: 5 * time.Second}
		}
		opts = append(opts, task.Supervise(policy))
		script := workerSteps.Draw(rt, "script")
		var fault error
		synctest.Test(t, func(*testing.T) {
			fault = replay(newSystem(), script, opts)
			time.Sleep(time.Millisecond) // the engine counts dead letters for a moment
		})
		if fault != nil {
			rt.Fatal(fault)
		}
	})
}
