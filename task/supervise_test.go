package task_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// watchdog collects what supervisors do in a system.
type watchdog struct {
	mu     sync.Mutex
	events []string
}

func watch(sys *actor.System) *watchdog {
	w := &watchdog{}
	sys.ActorSystem().EventStream.Subscribe(func(m any) {
		if e, ok := m.(*proto.SupervisorEvent); ok {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, fmt.Sprintf("%s %v: %v", e.Child.Id, e.Directive, e.Reason.(error)))
		}
	})
	return w
}

func (w *watchdog) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// fragile panics on negative arguments, with an error that has them in.
func fragile(_ context.Context, x int) (int, error) {
	if x < 0 {
		panic(fmt.Errorf("%w %d", errBoom, x))
	}
	return x, nil
}

func TestPanicsResumeByDefault(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		w := watch(sys)
		p := task.MustNew(fragile, task.System(sys), task.Workers(1))
		for range 100 {
			is(t, "panic", failure(p.Submit(context.Background(), -1)), errBoom)
			equal(t, "the call behind it", result(t, p.Submit(context.Background(), 1)), 1)
		}
		s := p.Stats()
		equal(t, "Restarts", s.Restarts, 0)
		equal(t, "Panicked", s.Panicked, 100)
		equal(t, "events", len(w.seen()), 0)
		p.Stop()
	})
}

func TestPanicRestartsTheWorkerUnderAPolicy(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}, "OnDemand": {task.OnDemand()}, "record": {task.Timeout(time.Hour)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				w := watch(sys)
				p := task.MustNew(fragile, append(opts, task.System(sys), task.Name("glass"), task.Workers(1), task.Supervise(supervisor.Policy{}))...)
				bad, behind := p.Submit(context.Background(), -1), p.Submit(context.Background(), 1)
				as[*task.PanicError](t, "panic", failure(bad))
				equal(t, "the call behind it", result(t, behind), 1)
				synctest.Wait()
				equal(t, "Restarts", p.Stats().Restarts, 1)
				equalSlices(t, "events", w.seen(), []string{`task/glass/worker-0 RestartDirective: task "glass": panic: boom -1`})
				addsUp(t, p)
				p.Stop()
			})
		})
	}
}

func TestPanicInTheCallersPlaceRestartsTheWorker(t *testing.T) {
	t.Parallel()
	sys := newSystem()
	restarted := make(chan string, 10)
	sys.ActorSystem().EventStream.Subscribe(func(m any) {
		if e, ok := m.(*proto.SupervisorEvent); ok {
			restarted <- e.Child.Id
		}
	})
	p := task.MustNew(fragile, task.System(sys), task.Name("glass"), task.Workers(1), task.Supervise(supervisor.Policy{}))
	for i := range 1000 { // until calls run in the caller's place
		if v, err := p.Call(context.Background(), i); v != i || err != nil {
			t.Fatal(v, err)
		}
	}
	for range 3 {
		_, err := p.Call(context.Background(), -1)
		is(t, "panic", err, errBoom)
		equal(t, "restarted", <-restarted, "task/glass/worker-0")
		_, err = p.Submit(context.Background(), -1).Await(context.Background())
		is(t, "panic", err, errBoom)
		equal(t, "restarted", <-restarted, "task/glass/worker-0")
		if v, err := p.Call(context.Background(), 1); v != 1 || err != nil {
			t.Fatal(v, err)
		}
	}
	equal(t, "Restarts", p.Stats().Restarts, 6)
	equal(t, "report", p.Stop(), task.Report{})
}

func TestOrdinaryFailuresAreNotTheSupervisors(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		w := watch(sys)
		policy := supervisor.Policy{Decide: func(err error) supervisor.Directive {
			t.Errorf("asked about %v", err)
			return supervisor.Restart
		}}
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 1 {
				<-ctx.Done()
			}
			return 0, errBoom
		}, task.System(sys), task.Supervise(policy), task.Until(func(int) error { panic("in Until") }))
		equal(t, "error", failure(p.Submit(context.Background(), 0)), errBoom)
		f := p.Submit(context.Background(), 1)
		synctest.Wait()
		f.Cancel()
		as[*task.TimeoutError](t, "timeout", failure(p.With(task.Timeout(time.Second)).Submit(context.Background(), 1)))
		synctest.Wait()
		equal(t, "Restarts", p.Stats().Restarts, 0)
		equal(t, "events", len(w.seen()), 0)
		p.Stop()
	})
}

func TestSpentBudgetFailsThePool(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "LeastActive": {task.Balance(task.LeastActive)}, "OnDemand": {task.OnDemand()}, "bounded": {task.Queue(3)}, "retries": {task.Retries(task.RetryPolicy{})}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				before := registered(sys)
				w := watch(sys)
				g := newGate()
				p := task.MustNew(func(ctx context.Context, x int) (int, error) {
					if x == 100 {
						return g.pass(ctx, x)
					}
					return fragile(ctx, x)
				}, append(opts, task.System(sys), task.Workers(2), task.Name("glass"), task.Supervise(supervisor.Policy{MaxRestarts: 2, Within: time.Minute}))...)
				running := p.Submit(context.Background(), 100)
				synctest.Wait()
				for i := range 2 {
					is(t, "panic within the budget", failure(p.Submit(context.Background(), -1-i)), errBoom)
					synctest.Wait()
				}
				last := p.Submit(context.Background(), -3)
				waiting := p.Submit(context.Background(), 100)
				synctest.Wait()
				is(t, "the last panic is its call's own outcome", failure(last), task.ErrPanicked)
				for what, f := range map[string]*task.Future[int]{"running": running, "waiting": waiting, "later": p.Submit(context.Background(), 1)} {
					err := failure(f)
					is(t, what, err, task.ErrFailed)
					is(t, what+": the last cause", err, errBoom)
					equal(t, what+": the last cause", as[*task.PanicError](t, what, err).Value.(error).Error(), "boom -3")
					if errors.Is(err, task.ErrStopped) {
						t.Errorf("%s: %v is ErrStopped too", what, err)
					}
				}
				is(t, "Ready", p.Ready(context.Background()), task.ErrFailed)
				synctest.Wait()
				equal(t, "registry entries beyond those before", registered(sys), before)
				equal(t, "Restarts", p.Stats().Restarts, 2)
				equal(t, "last event", w.seen()[2][:len("task/glass/worker-0 EscalateDirective")][len("task/glass/worker-0 "):], "EscalateDirective")
				equal(t, "Abandoned", p.Stop().Abandoned, 0)
				// The name is free again.
				again := task.MustNew(sq, task.System(sys), task.Name("glass"))
				equal(t, "the next of that name", result(t, again.Submit(context.Background(), 3)), 9)
				again.Stop()
			})
		})
	}
}

func TestBudgetComesBackWithTime(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(fragile, task.System(sys), task.Workers(1), task.Supervise(supervisor.Policy{MaxRestarts: 1, Within: time.Minute}))
		for range 5 {
			is(t, "panic", failure(p.Submit(context.Background(), -1)), errBoom)
			equal(t, "behind", result(t, p.Submit(context.Background(), 1)), 1)
			time.Sleep(time.Minute)
		}
		equal(t, "Restarts", p.Stats().Restarts, 5)
		p.Stop()
	})
}

func TestDefaultBudgetIsTenInTenSeconds(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(fragile, task.System(sys), task.Workers(1), task.Supervise(supervisor.Policy{}))
		for range 10 {
			is(t, "panic", failure(p.Submit(context.Background(), -1)), errBoom)
			equal(t, "behind", result(t, p.Submit(context.Background(), 1)), 1)
		}
		is(t, "panic", failure(p.Submit(context.Background(), -1)), errBoom)
		is(t, "behind", failure(p.Submit(context.Background(), 1)), task.ErrFailed)
		p.Stop()
	})
}

func TestDecideResumeSpendsNoBudget(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		w := watch(sys)
		var asked error
		p := task.MustNew(fragile, task.System(sys), task.Workers(1), task.Name("glass"), task.Supervise(supervisor.Policy{
			MaxRestarts: 1, Decide: func(err error) supervisor.Directive { asked = err; return supervisor.Resume }}))
		for range 20 {
			bad, behind := p.Submit(context.Background(), -1), p.Submit(context.Background(), 1)
			is(t, "panic", failure(bad), errBoom)
			equal(t, "behind", result(t, behind), 1)
		}
		synctest.Wait()
		as[*task.PanicError](t, "asked about", asked)
		equal(t, "Restarts", p.Stats().Restarts, 0)
		equal(t, "events", len(w.seen()), 20)
		equal(t, "event", w.seen()[0], `task/glass/worker-0 ResumeDirective: task "glass": panic: boom -1`)
		p.Stop()
	})
}

func TestDecideStopEndsWorkersAndThenThePool(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}, "LeastActive": {task.Balance(task.LeastActive)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := task.MustNew(fragile, append(opts, task.System(sys), task.Workers(2), task.Supervise(supervisor.Policy{
					Decide: func(error) supervisor.Directive { return supervisor.Stop }}))...)
				if err := p.Ready(context.Background()); err != nil {
					t.Fatal(err)
				}
				is(t, "panic", failure(p.Submit(context.Background(), -1)), errBoom)
				synctest.Wait()
				equal(t, "Workers after one", p.Stats().Workers, 1)
				for i := range 5 {
					equal(t, "the other goes on", result(t, p.Submit(context.Background(), i)), i)
				}
				bad, waiting := p.Submit(context.Background(), -1), p.Submit(context.Background(), 1)
				is(t, "panic", failure(bad), errBoom)
				is(t, "waiting", failure(waiting), task.ErrFailed)
				synctest.Wait()
				is(t, "later", failure(p.Submit(context.Background(), 1)), task.ErrFailed)
				equal(t, "Workers after two", p.Stats().Workers, 0)
				equal(t, "Restarts", p.Stats().Restarts, 0)
				p.Stop()
			})
		})
	}
}

func TestDecideEscalateFailsThePoolAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(fragile, task.System(sys), task.Workers(1), task.Supervise(supervisor.Policy{
			Decide: func(err error) supervisor.Directive {
				if errors.Is(err, errBoom) {
					return supervisor.Escalate
				}
				return supervisor.Restart
			}}))
		bad, waiting := p.Submit(context.Background(), -7), p.Submit(context.Background(), 1)
		is(t, "panic", failure(bad), task.ErrPanicked)
		err := failure(waiting)
		is(t, "waiting", err, task.ErrFailed)
		is(t, "waiting", err, errBoom)
		is(t, "later", failure(p.Submit(context.Background(), 1)), task.ErrFailed)
		p.Stop()
	})
}

func TestBackoffDelaysARestartAndKeepsWhatWaits(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := task.MustNew(fragile, append(opts, task.System(sys), task.Workers(1), task.Supervise(supervisor.Policy{
					Within: time.Hour, Backoff: supervisor.Backoff{Initial: time.Second, Max: time.Minute}}))...)
				start := time.Now()
				var fs []*task.Future[int]
				for _, x := range []int{-1, 1, 2, -3, 3, 4} {
					fs = append(fs, p.Submit(context.Background(), x))
				}
				is(t, "first panic", failure(fs[0]), errBoom)
				equal(t, "first panic after", time.Since(start), 0)
				equal(t, "waiting", result(t, fs[1]), 1)
				equal(t, "waiting", result(t, fs[2]), 2)
				equal(t, "restart after", time.Since(start), time.Second)
				is(t, "second panic", failure(fs[3]), errBoom)
				equal(t, "waiting", result(t, fs[4]), 3)
				equal(t, "waiting", result(t, fs[5]), 4)
				equal(t, "second restart after", time.Since(start), 3*time.Second)
				addsUp(t, p)
				p.Stop()
			})
		})
	}
}

func TestOtherWorkersGoOnDuringABackoff(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(fragile, task.System(sys), task.Workers(2), task.Supervise(supervisor.Policy{
			Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}))
		start := time.Now()
		is(t, "panic", failure(p.Submit(context.Background(), -1)), errBoom)
		for i := range 10 {
			equal(t, "result", result(t, p.Submit(context.Background(), i)), i)
		}
		equal(t, "after", time.Since(start), 0)
		time.Sleep(2 * time.Hour)
		equal(t, "Workers", p.Stats().Workers, 2)
		p.Stop()
	})
}

func TestDrainWaitsForCallsBehindABackoff(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(fragile, task.System(sys), task.Workers(1), task.Supervise(supervisor.Policy{
			Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}))
		p.Submit(context.Background(), -1)
		f := p.Submit(context.Background(), 1)
		synctest.Wait()
		r, err := p.Drain(context.Background())
		equal(t, "error", err, nil)
		equal(t, "report", r, task.Report{Finished: 1})
		equal(t, "result", result(t, f), 1)
	})
}

func TestScopesNameTheWorkersThatAreRestarted(t *testing.T) {
	t.Parallel()
	for scope, want := range map[supervisor.Scope]int{supervisor.OneForOne: 1, supervisor.OneForAll: 4, supervisor.RestForOne: 3} {
		t.Run(scope.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				g := newGate()
				p := task.MustNew(func(ctx context.Context, x int) (int, error) {
					if x == 100 {
						return g.pass(ctx, x)
					}
					return fragile(ctx, x)
				}, task.System(sys), task.Workers(4), task.Balance(task.RoundRobin), task.Supervise(supervisor.Policy{Scope: scope, MaxRestarts: 1}))
				if err := p.Ready(context.Background()); err != nil {
					t.Fatal(err)
				}
				p.Submit(context.Background(), 0)
				bad := p.Submit(context.Background(), -1) // of worker 1
				running := p.Submit(context.Background(), 100)
				p.Submit(context.Background(), 3)
				is(t, "panic", failure(bad), errBoom)
				synctest.Wait()
				equal(t, "Restarts", p.Stats().Restarts, uint64(want))
				equal(t, "a call in another worker goes on", done(running), false)
				close(g.open)
				equal(t, "a call in another worker", result(t, running), 100)
				synctest.Wait()
				for i := range 8 {
					equal(t, "result", result(t, p.Submit(context.Background(), i)), i)
				}
				equal(t, "Workers", p.Stats().Workers, 4)
				addsUp(t, p)
				equal(t, "report", p.Stop(), task.Report{})
			})
		})
	}
}

func TestPolicyThatPanicsRestarts(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(fragile, task.System(sys), task.Workers(1), task.Supervise(supervisor.Policy{
			Decide: func(error) supervisor.Directive { panic("in Decide") }}))
		bad, behind := p.Submit(context.Background(), -1), p.Submit(context.Background(), 1)
		is(t, "panic", failure(bad), errBoom)
		equal(t, "behind", result(t, behind), 1)
		equal(t, "Restarts", p.Stats().Restarts, 1)
		p.Stop()
	})
}

func TestCrashesRestartsAndStopAtOnce(t *testing.T) {
	t.Parallel()
	sys := newSystem()
	for round := range 40 {
		policy := supervisor.Policy{MaxRestarts: -1, Scope: supervisor.Scope(round % 3)}
		if round%4 == 3 {
			policy.MaxRestarts = 3
		}
		p := task.MustNew(fragile, task.System(sys), task.Workers(3), task.Supervise(policy), task.StopGrace(time.Minute))
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for i := range 60 {
					x := i
					if i%3 == 0 {
						x = -1
					}
					v, err := p.Call(context.Background(), x)
					if err == nil && v != x || err != nil && !errors.Is(err, errBoom) && !errors.Is(err, task.ErrStopped) {
						t.Errorf("call %d: got %v, %v", x, v, err)
					}
				}
			})
		}
		if round%2 == 0 {
			all.Go(func() { p.Stop() })
		}
		all.Wait()
		equal(t, "Abandoned", p.Stop().Abandoned, 0)
		addsUp(t, p)
	}
}
