package task_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/host"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// storm is a tree in which everything fails at once, in real time: t [flaky, w,
// p, mid [v, q, low [x, flaky]]].
type storm struct {
	t     *testing.T
	sys   *actor.System
	top   *supervisor.Tree
	trees []*supervisor.Tree
	ws    []*task.Worker[*till]
	ps    []*task.Task[int, int]
	shops []*shop

	once  *onceEach
	runs  sync.Map // call → true: none may run twice
	calls atomic.Int64
	ended atomic.Int64
	lasts int64         // until so many calls have ended
	raged chan struct{} // closed then
	good  atomic.Int64
}

func newStorm(t *testing.T, scope supervisor.Scope) *storm {
	s := &storm{t: t, sys: newSystem(), once: &onceEach{}, lasts: 300 + rand.Int64N(700), raged: make(chan struct{})}
	policy := supervisor.Policy{Scope: scope, MaxRestarts: -1, Backoff: supervisor.Backoff{Initial: 1, Max: 100_000, Jitter: 1}}
	hot := task.Supervise(supervisor.Policy{MaxRestarts: 3, Within: time.Second, Backoff: supervisor.Backoff{Initial: 1000, Max: 200_000, Jitter: 1}})
	worker := func(name string, opts ...task.Option) *task.Worker[*till] {
		shop := newShop(t)
		shop.most = 3
		w := task.MustNewWorker(shop.open, append(opts, hot, task.System(s.sys), task.Name(name), task.StopGrace(10*time.Second))...)
		s.ws, s.shops = append(s.ws, w), append(s.shops, shop)
		return w
	}
	pool := func(name string, opts ...task.Option) *task.Task[int, int] {
		p := task.MustNew(s.run, append(opts, hot, task.System(s.sys), task.Name(name), task.StopGrace(10*time.Second))...)
		s.ps = append(s.ps, p)
		return p
	}
	tree := func(name string, children ...supervisor.Child) *supervisor.Tree {
		tree, err := supervisor.New(name, policy, children...)
		if err != nil {
			t.Fatal(err)
		}
		s.trees = append(s.trees, tree)
		return tree
	}
	flaky := supervisor.Service("flaky", func(ctx context.Context) error {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rand.IntN(3_000_000))):
		}
		return errBoom
	})
	low := tree("low", worker("x", task.Workers(2), task.Concurrent(3)), flaky)
	mid := tree("mid", worker("v", task.Workers(3)), pool("q", task.Workers(2), task.Balance(task.RoundRobin)), low)
	s.top = tree("t", flaky, worker("w"), pool("p", task.Workers(2), task.Queue(10)), mid)
	return s
}

// run is the function of the tasks.
func (s *storm) run(_ context.Context, call int) (int, error) {
	s.began(call)
	if call%10 == 0 {
		panic(errBoom)
	}
	return call, nil
}

func (s *storm) began(call int) {
	if _, twice := s.runs.LoadOrStore(call, true); twice {
		s.t.Errorf("call %d runs twice", call)
	}
}

func (s *storm) ask(k *till, _ context.Context, call int) (int, error) {
	defer k.enter()()
	s.began(call)
	if call%10 == 0 {
		panic(errBoom)
	}
	return call, nil
}

// submit makes calls until the tree is at its end.
func (s *storm) submit(i int, over <-chan struct{}) {
	ctx := context.Background()
	for {
		select {
		case <-over:
			return
		default:
		}
		call := int(s.calls.Add(1))
		var f *task.Future[int]
		switch rand.IntN(4) {
		case 0:
			f = task.Ask(ctx, s.ws[rand.IntN(len(s.ws))], s.ask, call)
		case 1:
			f = task.AskKey(ctx, s.ws[rand.IntN(len(s.ws))], fmt.Sprint(call%7), s.ask, call)
		default:
			f = s.ps[rand.IntN(len(s.ps))].Submit(ctx, call)
		}
		track(s.once, s.t, f)
		f.OnDone(func(v int, err error) {
			if s.ended.Add(1) == s.lasts {
				close(s.raged)
			}
			switch {
			case err == nil && v == call:
				s.good.Add(1)
			case errors.Is(err, task.ErrStopped), errors.Is(err, task.ErrFailed), errors.Is(err, task.ErrPanicked):
			default:
				s.t.Errorf("call %d ended with %d, %v", call, v, err)
			}
		})
		if i%2 == 0 || rand.IntN(20) == 0 {
			_, _ = f.Result()
		}
	}
}

// mischief restarts and halts what it finds.
func (s *storm) mischief(over <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	children := map[string][]string{"t": {"flaky", "w", "p", "mid"}, "mid": {"v", "q", "low"}, "low": {"x", "flaky"}}
	for {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(rand.IntN(300_000))):
		}
		tree := s.trees[rand.IntN(len(s.trees))]
		names := children[tree.Name()]
		short, done := context.WithTimeout(ctx, time.Duration(rand.IntN(2_000_000)))
		switch rand.IntN(5) {
		case 0:
			_ = tree.Restart(short, names[rand.IntN(len(names))])
		case 1:
			_ = tree.Restart(ctx, names[rand.IntN(len(names))])
		case 2:
			_ = s.ws[rand.IntN(len(s.ws))].Resize(1 + rand.IntN(3))
		case 3:
			s.sys.Snapshot()
		case 4:
			if h, ok := s.sys.Units().Lookup(s.ws[rand.IntN(len(s.ws))].Name()).(host.Halter); ok {
				halted := make(chan struct{})
				h.Halt(func() { close(halted) })
				if rand.IntN(2) == 0 {
					select {
					case <-halted:
					case <-time.After(time.Millisecond): // its pool may end instead
					}
				}
				h.Continue()
			}
		}
		done()
		if ctx.Err() != nil {
			s.t.Error("a restart is never done")
			return
		}
	}
}

func TestTreeOfPoolsSurvivesEverythingAtOnce(t *testing.T) {
	for _, scope := range []supervisor.Scope{supervisor.OneForOne, supervisor.OneForAll, supervisor.RestForOne} {
		t.Run(scope.String(), func(t *testing.T) {
			rounds := 4
			if testing.Short() {
				rounds = 1
			}
			for round := range rounds {
				before := newStorm(t, scope)
				before.rage(round)
			}
		})
	}
}

func (s *storm) rage(round int) {
	t := s.t
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	registry := registered(s.sys)
	is(t, "Start", s.top.Start(s.sys), nil)
	over := make(chan struct{})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() { s.submit(i, over) })
	}
	for range 2 {
		all.Go(func() { s.mischief(over) })
	}
	select {
	case <-s.raged:
	case <-ctx.Done():
		t.Fatalf("%d of %d calls have ended", s.ended.Load(), s.lasts)
	}
	switch round % 4 {
	case 0:
		is(t, "Stop", s.top.Stop(ctx), nil)
	case 1:
		short, done := context.WithTimeout(ctx, time.Millisecond)
		_ = s.top.Stop(short)
		done()
	case 2:
		is(t, "System.Stop", s.sys.Stop(ctx), nil)
	case 3:
		close(over)
		all.Wait()
		is(t, "Stop after the calls", s.top.Stop(ctx), nil)
	}
	if round%4 != 3 {
		close(over)
	}
	is(t, "Wait", s.top.Wait(ctx), nil)
	all.Wait()
	is(t, "System.Stop at the end", s.sys.Stop(ctx), nil)
	for _, w := range s.ws {
		w.Stop()
	}
	for _, p := range s.ps {
		p.Stop()
	}
	equal(t, "calls that ended", s.ended.Load(), s.calls.Load())
	if s.good.Load() == 0 {
		t.Error("no call went well")
	}
	t.Logf("%d calls, %d went well", s.calls.Load(), s.good.Load())
	for i, shop := range s.shops {
		if o, c := shop.opened.Load(), shop.closed.Load(); o != c {
			t.Errorf("%s: opened %d states, closed %d", s.ws[i].Name(), o, c)
		}
	}
	for ctx.Err() == nil && registered(s.sys) > registry {
		runtime.Gosched() // nothing announces the end of the engine's probes and dead letters
	}
	if n := registered(s.sys); n > registry {
		t.Errorf("%d registry entries left", n-registry)
	}
	equal(t, "units left", len(s.sys.Units().Units()), 0)
}
