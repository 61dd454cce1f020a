package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// simPools are what the owner has placed on the workers.
type simPools struct {
	job, again *task.Task[simArg, simAnswer]
	desk       *task.Worker[*simDesk]
}

// each calls fn with every pool.
func (p *simPools) each(fn func(name string, pool simPool)) {
	fn("job", p.job)
	fn("again", p.again)
	fn("desk", p.desk)
}

type simPool interface {
	Ready(ctx context.Context) error
	Stop() task.Report
	Drain(ctx context.Context) (task.Report, error)
	Stats() task.Stats
}

// simSpy is a placement that shows the crew of its Site, and what the pool
// hands to it.
type simSpy struct {
	nodes
	world *simWorld
}

func (p simSpy) Place(job place.Job) (place.Site, error) {
	site, err := p.nodes.Place(job)
	if err != nil {
		return nil, err
	}
	h := site.(*hired)
	p.world.crews = append(p.world.crews, h.crew)
	return simSite{hired: h, world: p.world}, nil
}

type simSite struct {
	*hired
	world *simWorld
}

// Run notes when a call leaves the pool.
func (s simSite) Run(ctx context.Context, call *place.Call) error {
	r := s.world.calls[call.In.(simArg).ID-1]
	i := r.send()
	err := s.hired.Run(ctx, call)
	r.comeBack(i, err)
	return err
}

// hire makes the pools. Their functions are not to run at the owner's.
func (w *simWorld) hire() {
	var addrs []string
	for _, host := range w.plan.hosts {
		addrs = append(addrs, host+":1")
	}
	at := simSpy{nodes: Nodes(w.owner.node, addrs...).(nodes), world: w}
	here := func(_ context.Context, a simArg) (simAnswer, error) {
		w.log.fault("call %d ran at the owner's", a.ID)
		return simAnswer{}, nil
	}
	keys := []limits.Limit{limits.Resource("slots", w.plan.slots)}
	limited := []task.Option{task.System(w.owner.sys), task.On(at)}
	if w.plan.tools > 0 {
		keys = append(keys, limits.Resource("tools", w.plan.tools))
		limited = append(limited, task.Cost(func(simArg) limits.Request { return limits.Request{"slots": 1, "tools": 0} }))
	}
	w.set = limits.MustNew(keys...)
	limited = append(limited, task.Limits(w.set))
	w.pools.job = task.MustNew(here, append(limited, task.Name("job"))...)
	w.pools.again = task.MustNew(here, append(limited, task.Name("again"), task.Idempotent())...)
	w.pools.desk = task.MustNewWorker(func(context.Context) (*simDesk, error) {
		w.log.fault("a member was made at the owner's")
		return &simDesk{proc: w.owner}, nil
	}, task.Name("desk"), task.Workers(w.plan.members), task.System(w.owner.sys), task.On(at),
		task.Supervise(supervisor.Policy{MaxRestarts: -1, Decide: w.decide}))
}

// decide is the policy of the worker, which must be asked for good reasons only:
// a panic, or a loss, about whose members it is asked once.
func (w *simWorld) decide(err error) supervisor.Directive {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.decided = append(w.log.decided, err)
	return supervisor.Restart
}

// simResult is what became of a call.
type simResult struct {
	*simOrder
	future    *task.Future[simAnswer]
	submitted time.Time
	leave     context.CancelCauseFunc // ends its ctx
	left      time.Time               // when Cancel or its ctx ended it, or was to
	cancelled bool                    // Cancel says that it was that
	doneChan  chan struct{}
	place     int // in the order of the plan

	mu    sync.Mutex
	sent  []simTrip // each time that the pool handed it to its Site
	done  time.Time
	count int // completions
	value simAnswer
	err   error
}

var errSimLeft = errors.New("who called has left")

// simTrip is one way of a call to the Site and back.
type simTrip struct {
	at, back time.Time
	again    bool // it went back to the queue
}

func (r *simResult) send() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, simTrip{at: time.Now()})
	return len(r.sent) - 1
}

func (r *simResult) comeBack(i int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var undone *place.Undone
	var lost *place.Lost
	r.sent[i].back = time.Now()
	r.sent[i].again = errors.As(err, &undone) || errors.As(err, &lost) && lost.Again
}

func (r *simResult) complete(v simAnswer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if r.count == 1 {
		r.value, r.err, r.done = v, err, time.Now()
		close(r.doneChan)
	}
}

// submit makes a call of the plan.
func (w *simWorld) submit(o *simOrder) {
	r := w.calls[o.arg.ID-1]
	ctx, leave := context.WithCancelCause(context.Background())
	r.submitted, r.leave = time.Now(), leave
	var opts []task.CallOption
	if o.run > 0 {
		opts = append(opts, task.Timeout(o.run))
	}
	if o.queue > 0 {
		opts = append(opts, task.QueueTimeout(o.queue))
	}
	switch o.kind {
	case simCall:
		go func() { r.complete(w.pools.job.With(opts...).Call(ctx, o.arg)) }()
		return
	case simSubmit:
		r.future = w.pools.job.With(opts...).Submit(ctx, o.arg)
	case simAgain:
		r.future = w.pools.again.With(opts...).Submit(ctx, o.arg)
	default:
		r.future = task.AskKey(ctx, w.pools.desk.With(opts...), o.key, (*simDesk).Serve, o.arg)
	}
	r.future.OnDone(r.complete)
}

// end ends a call of the plan.
func (w *simWorld) end(o *simOrder) {
	r := w.calls[o.arg.ID-1]
	r.left = time.Now()
	if o.byCtx {
		r.leave(errSimLeft)
	} else {
		r.cancelled = r.future.Cancel()
	}
}

// collect waits for all calls, and says which do not come.
func (w *simWorld) collect(within time.Duration) {
	late := time.After(within)
	for _, r := range w.calls {
		select {
		case <-r.doneChan:
			r.leave(nil)
			continue
		case <-late:
		}
		var waiting []string
		for _, r := range w.calls {
			if r.future != nil && !hasEnded(r.future.Done()) || !hasEnded(r.doneChan) {
				waiting = append(waiting, fmt.Sprint(r.arg.ID))
			}
		}
		w.log.fault("%v after all was well, calls %v have not ended; members: %+v", within, waiting, w.owner.node.Members())
		w.pools.each(func(name string, p simPool) { w.log.fault("pool %s: %+v", name, p.Stats()) })
		return
	}
}

// simStep is one thing that is done at its time.
type simStep struct {
	at time.Duration
	do func()
}

// schedule notes all that the plan does.
func (w *simWorld) schedule() {
	for _, o := range w.plan.calls {
		w.steps = append(w.steps, simStep{at: o.at, do: func() { w.submit(o) }})
		if o.end > 0 {
			w.steps = append(w.steps, simStep{at: o.end, do: func() { w.end(o) }})
		}
	}
	for _, f := range w.plan.faults {
		w.steps = append(w.steps, w.inflict(f)...)
	}
	slices.SortStableFunc(w.steps, simStep.compare)
}

func (s simStep) compare(o simStep) int { return cmp.Compare(s.at, o.at) }

// later has fn called after d.
func (w *simWorld) later(d time.Duration, fn func()) {
	s := simStep{at: w.since(time.Now()) + d, do: fn}
	i, _ := slices.BinarySearchFunc(w.steps, s, simStep.compare)
	w.steps = slices.Insert(w.steps, i, s)
}

// play does what was scheduled.
func (w *simWorld) play() {
	for len(w.steps) > 0 {
		s := w.steps[0]
		w.steps = w.steps[1:]
		time.Sleep(s.at - w.since(time.Now()))
		s.do()
	}
}

func hasEnded(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
