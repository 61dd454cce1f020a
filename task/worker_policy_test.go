package task_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// judge is a policy that remembers what it was asked about.
type judge struct {
	verdict supervisor.Directive

	mu    sync.Mutex
	asked []error
}

func (j *judge) decide(err error) supervisor.Directive {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = append(j.asked, err)
	return j.verdict
}

// heard returns what the judge was asked about since it was called last.
func (j *judge) heard() []error {
	synctest.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	asked := j.asked
	j.asked = nil
	return asked
}

func (j *judge) policy() task.Option {
	return task.Supervise(supervisor.Policy{MaxRestarts: -1, Decide: j.decide})
}

// crashOf panics in the member of key.
func crashOf(w *task.Worker[*till], key string) error {
	return failure(task.AskKey(context.Background(), w, key, func(*till, context.Context, int) (int, error) { panic(errBoom) }, 0))
}

func TestDecideIsAskedForPanicsAndFailedInitsOnly(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s, j := newShop(t), &judge{verdict: supervisor.Restart}
		var unopened error
		s.onOpen = func(context.Context, *till) error { return unopened }
		w := task.MustNewWorker(s.open, append(opts, j.policy())...)
		ctx := context.Background()

		use(t, w, 5)
		is(t, "ordinary error", failure(task.Ask(ctx, w, func(*till, context.Context, int) (int, error) { return 0, errBoom }, 0)), errBoom)
		is(t, "refused result", failure(task.Ask(ctx, w.With(task.Until(func(int) error { panic(errBoom) })), (*till).Add, 0)), task.ErrPanicked)
		as[*task.TimeoutError](t, "timeout", failure(task.Ask(ctx, w.With(task.Timeout(time.Second)), (*till).Pass, 0)))
		equal(t, "asked about ordinary failures", len(j.heard()), 0)

		is(t, "panic", crashOf(w, "a"), errBoom)
		asked := j.heard()
		if len(asked) != 1 {
			t.Fatalf("asked about %v, want one panic", asked)
		}
		is(t, "asked about", asked[0], errBoom)
		as[*task.PanicError](t, "asked about", asked[0])

		unopened = errCause
		for i := range 40 { // no member keeps its state
			if err := crashOf(w, fmt.Sprint(i)); !errors.Is(err, errBoom) && !errors.Is(err, errCause) {
				t.Errorf("panic: got error %v", err)
			}
		}
		j.heard()
		is(t, "failed init", failure(task.AskKey(ctx, w, "a", (*till).Add, 1)), errCause)
		asked = j.heard()
		if len(asked) == 0 {
			t.Error("Decide was not asked about a failed init")
		}
		for _, err := range asked {
			is(t, "asked about", err, errCause)
		}
		unopened = nil
		use(t, w, 5)
		w.Stop()
		s.settled()
	})
}

func TestEscalateAtAFailedInitFailsTheWorker(t *testing.T) {
	t.Parallel()
	someMembers(t, func(t *testing.T, _ *actor.System, engine string, opts []task.Option) {
		s, j := newShop(t), &judge{verdict: supervisor.Escalate}
		s.broken.Store(1000)
		w := task.MustNewWorker(s.open, append(opts, j.policy())...)
		first := later(2, func(i int) (int, error) {
			return task.AskKey(context.Background(), w, fmt.Sprint(i), (*till).Add, 1).Result()
		})
		for range 2 {
			err := <-first
			if engine != "Inline" { // there the first has the error of init as it is
				is(t, "a call that waits", err, task.ErrFailed)
			}
			is(t, "its cause", err, errBoom)
		}
		synctest.Wait()
		s.broken.Store(0)
		err := failure(task.Do(context.Background(), w, (*till).Sum))
		is(t, "later", err, task.ErrFailed)
		is(t, "its cause", err, errBoom)
		is(t, "Ready", w.Ready(context.Background()), task.ErrFailed)
		for _, err := range j.heard() {
			is(t, "asked about", err, errBoom)
		}
		equal(t, "Restarts", w.Stats().Restarts, 0)
		w.Stop()
		s.settled()
	})
}

func TestEscalateAtAFailedInitIsTheParentsToDecide(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s, j := newShop(t), &judge{verdict: supervisor.Restart}
		s.broken.Store(1)
		w := task.MustNewWorker(s.open, task.System(sys), task.Supervise(supervisor.Policy{
			Decide: func(error) supervisor.Directive { return supervisor.Escalate }}))
		h := newHousehold(sys, supervisor.Policy{Decide: j.decide}.Strategy(), map[string]*proto.Props{"w": w.Props()})
		is(t, "spawn", <-h.spawns, nil)
		is(t, "call", failure(task.Do(context.Background(), w, (*till).Sum)), errBoom)
		asked := j.heard()
		equal(t, "questions to the parent", len(asked), 1)
		is(t, "asked about", errors.Join(asked...), errBoom)
		equal(t, "after the restart", result(t, task.Ask(context.Background(), w, (*till).Add, 1)), 1)
		sys.ActorSystem().Root.Stop(h.pid)
		synctest.Wait()
		s.settled()
		w.Stop()
	})
}

// singles are ways to run one member.
func singles() map[string][]task.Option {
	return map[string][]task.Option{
		"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}, "Priority": {task.Priority(func(any) int { return 1 })},
		"Queue": {task.Queue(10)}, "Timeout": {task.Timeout(time.Hour)}, "interleave": {task.Concurrent(3)},
	}
}

func TestBackoffDelaysTheTriesOfAFailingInit(t *testing.T) {
	t.Parallel()
	for name, opts := range singles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				var tries []time.Duration
				start := time.Now()
				s.onOpen = func(context.Context, *till) error {
					tries = append(tries, time.Since(start))
					if len(tries) <= 3 {
						return errBoom
					}
					return nil
				}
				w := task.MustNewWorker(s.open, append(opts, task.System(sys), task.Supervise(supervisor.Policy{
					Within: time.Hour, Backoff: supervisor.Backoff{Initial: time.Second, Max: time.Minute}}))...)
				for round, after := range []time.Duration{0, 1, 3} { // seconds
					var fs []*task.Future[int]
					for i := range 3 {
						fs = append(fs, task.AskKey(context.Background(), w, fmt.Sprint(i), (*till).Add, 1))
						if round > 0 {
							time.Sleep(time.Millisecond) // submitted while the member may not be tried
						}
					}
					for i, f := range fs {
						what := fmt.Sprintf("call %d of round %d", i, round)
						if err := failure(f); round > 0 || i == 0 {
							is(t, what, err, errBoom)
						}
						if round > 0 {
							equal(t, what+" ends after", time.Since(start), after*time.Second)
						}
					}
					synctest.Wait()
				}
				a, b := task.Ask(context.Background(), w, (*till).Add, 1), task.AskKey(context.Background(), w, "b", (*till).Add, 1)
				ready := make(chan error, 1)
				go func() { ready <- w.Ready(context.Background()) }()
				equal(t, "sums", result(t, a)+result(t, b), 3)
				is(t, "Ready", <-ready, nil)
				equal(t, "served after", time.Since(start), 7*time.Second)
				equalSlices(t, "tries", tries, []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second})
				equal(t, "Restarts", w.Stats().Restarts, 3)
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestStopEndsTheWaitForAnotherTryOfInit(t *testing.T) {
	t.Parallel()
	for name, opts := range singles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				before := registered(sys)
				s := newShop(t)
				s.broken.Store(1)
				w := task.MustNewWorker(s.open, append(opts, task.System(sys), task.Supervise(supervisor.Policy{
					Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}))...)
				is(t, "call", failure(task.Do(context.Background(), w, (*till).Sum)), errBoom)
				synctest.Wait()
				f := task.Do(context.Background(), w, (*till).Sum)
				brief := task.Do(context.Background(), w.With(task.QueueTimeout(time.Minute)), (*till).Sum)
				start := time.Now()
				equal(t, "Kind", as[*task.TimeoutError](t, "QueueTimeout", failure(brief)).Kind, task.QueueWait)
				equal(t, "NeverStarted", w.Stop().NeverStarted, 1)
				isStopped(t, "the call that waits", failure(f), false)
				equal(t, "it took", time.Since(start), time.Minute)
				equal(t, "states", s.opened.Load(), 0)
				equal(t, "registry entries beyond those before", registered(sys), before)
			})
		})
	}
}

func TestDrainWaitsForAnotherTryOfInit(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		s.broken.Store(1)
		w := task.MustNewWorker(s.open, task.System(sys), task.Supervise(supervisor.Policy{
			Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}))
		start := time.Now()
		is(t, "call", failure(task.Do(context.Background(), w, (*till).Sum)), errBoom)
		synctest.Wait()
		f := task.Do(context.Background(), w, (*till).Sum)
		r, err := w.Drain(context.Background())
		is(t, "Drain", err, nil)
		equal(t, "report", r, task.Report{Finished: 1})
		equal(t, "it took", time.Since(start), time.Hour)
		equal(t, "call", result(t, f), 0)
		s.settled()
	})
}

func TestAllMembersSpendOneBudget(t *testing.T) {
	t.Parallel()
	for _, balance := range []task.Balancing{task.Shared, task.RoundRobin} {
		for _, scope := range []supervisor.Scope{supervisor.OneForOne, supervisor.OneForAll, supervisor.RestForOne} {
			t.Run(fmt.Sprint(balance, " ", scope), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					s := newShop(t)
					w := task.MustNewWorker(s.open, task.System(sys), task.Workers(4), task.Balance(balance),
						task.Supervise(supervisor.Policy{Scope: scope, MaxRestarts: 3, Within: time.Minute}))
					keys := map[string]string{}
					for i, place := range homes(t, w, 40) {
						keys[place] = fmt.Sprint("key", i)
					}
					equal(t, "members with keys", len(keys), 4)
					is(t, "Ready", w.Ready(context.Background()), nil)
					for i := range 3 { // a failure of one member each
						is(t, "panic", crashOf(w, keys[fmt.Sprint(i)]), errBoom)
						synctest.Wait()
						is(t, "Ready", w.Ready(context.Background()), nil)
					}
					is(t, "the last panic", crashOf(w, keys["3"]), task.ErrPanicked)
					synctest.Wait()
					is(t, "after it", failure(task.AskKey(context.Background(), w, keys["0"], (*till).Add, 1)), task.ErrFailed)
					synctest.Wait()
					s.settled()
					w.Stop()
				})
			})
		}
	}
}

func TestFailedInitsAndPanicsSpendOneBudget(t *testing.T) {
	t.Parallel()
	for name, opts := range singles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, append(opts, task.System(sys), task.Supervise(supervisor.Policy{MaxRestarts: 3, Within: time.Minute}))...)
				for range 2 { // rounds, a minute apart
					is(t, "panic", crashOf(w, "a"), errBoom)
					synctest.Wait()
					use(t, w, 1)
					s.broken.Store(1)
					is(t, "panic", crashOf(w, "a"), errBoom)
					synctest.Wait()
					_, _ = task.Do(context.Background(), w, (*till).Sum).Result() // the third, if the member did not try before
					synctest.Wait()
					use(t, w, 1)
					equal(t, "inits that were to fail", s.broken.Load() < 0, true)
					time.Sleep(time.Minute)
				}
				equal(t, "Restarts", w.Stats().Restarts, 6)
				for range 3 {
					is(t, "panic", crashOf(w, "a"), errBoom)
					use(t, w, 1)
				}
				is(t, "panic", crashOf(w, "a"), errBoom)
				is(t, "after the last", failure(task.Do(context.Background(), w, (*till).Sum)), task.ErrFailed)
				w.Stop()
				s.settled()
			})
		})
	}
}

// places gives a key to each member of w.
func places(t *testing.T, w *task.Worker[*till], members int) (keys []string) {
	t.Helper()
	keys = make([]string, members)
	for i, place := range homes(t, w, 20*members) {
		var n int
		if _, err := fmt.Sscan(place, &n); err != nil {
			t.Fatal(err)
		}
		keys[n] = fmt.Sprint("key", i)
	}
	return keys
}

func TestACircleOfThreeMembersIsToldSoOnce(t *testing.T) {
	t.Parallel()
	for _, balance := range []task.Balancing{task.Shared, task.RoundRobin} {
		for members := 3; members <= 5; members++ {
			t.Run(fmt.Sprint(balance, " ", members), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					s := newShop(t)
					w := task.MustNewWorker(s.open, task.System(sys), task.Workers(members), task.Balance(balance))
					keys := places(t, w, members)
					inside, go1 := make(chan int, members), make(chan struct{})
					cross := func(_ *till, ctx context.Context, i int) (int, error) {
						inside <- i
						<-go1
						return task.AskKey(ctx, w, keys[(i+1)%members], (*till).Add, 1).Await(ctx)
					}
					for round := range 3 {
						var fs []*task.Future[int]
						for i := range members {
							fs = append(fs, task.AskKey(context.Background(), w, keys[i], cross, i))
							<-inside
						}
						for range members {
							go1 <- struct{}{}
						}
						told := 0
						for i, f := range fs {
							if err := failure(f); err != nil {
								is(t, fmt.Sprintf("round %d, member %d", round, i), err, task.ErrWouldDeadlock)
								told++
							}
						}
						equal(t, "calls that were told", told, 1)
					}
					equal(t, "Restarts", w.Stats().Restarts, 0)
					equal(t, "Queued", w.Stats().Queued, 0)
					w.Stop()
					s.settled()
				})
			})
		}
	}
}

func TestAChainThroughThreeMembersAndBackIsServed(t *testing.T) {
	t.Parallel()
	for _, balance := range []task.Balancing{task.Shared, task.RoundRobin} {
		t.Run(balance.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, task.System(sys), task.Workers(3), task.Balance(balance))
				keys := places(t, w, 3)
				var path []string
				var hop func(k *till, ctx context.Context, n int) (int, error)
				hop = func(_ *till, ctx context.Context, n int) (int, error) {
					path = append(path, where(ctx))
					if n == 9 {
						return n, nil
					}
					return task.AskKey(ctx, w, keys[(n+1)%3], hop, n+1).Await(ctx)
				}
				equal(t, "result", result(t, task.AskKey(context.Background(), w, keys[0], hop, 0)), 9)
				equal(t, "path", fmt.Sprint(path[:3]), "[0 1 2]")
				equal(t, "hops", len(path), 10)
				use(t, w, 9)
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestHaltedTasksFinishWhatRunsAndKeepWhatWaits(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"plain": {task.Workers(1)}, "RoundRobin": {task.Workers(1), task.Balance(task.RoundRobin)}, "record": {task.Workers(1), task.Timeout(time.Hour)},
		"on demand": {task.OnDemand()}, "capped": {task.OnDemand(), task.Workers(1)}, "Queue": {task.Workers(1), task.Queue(5)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				before := registered(sys)
				g := newGate()
				p := task.MustNew(g.pass, append(opts, task.System(sys))...)
				h := halter(t, sys, p.Name())
				for round := range 3 {
					g.open = make(chan struct{})
					running := p.Submit(context.Background(), 1)
					<-g.started
					n := halt(h)
					waiting := p.Submit(context.Background(), 2)
					tried, ok := p.TrySubmit(context.Background(), 3)
					equal(t, "TrySubmit", ok, true)
					gone := p.Submit(context.Background(), 4)
					gone.Cancel()
					synctest.Wait()
					equal(t, "done while a call runs", n.Load(), 0)
					equal(t, "calls that began", len(g.started), 0)
					equal(t, "Queued", p.Stats().Queued, 2)
					close(g.open)
					equal(t, "running", result(t, running), 1)
					synctest.Wait()
					equal(t, "done", n.Load(), 1)
					equal(t, "Workers", p.Stats().Workers, 0)
					equal(t, "calls that began", len(g.started), 0)
					time.Sleep(time.Hour)
					equal(t, "waiting is done", done(waiting), false)
					h.Continue()
					equal(t, "waiting", result(t, waiting), 2)
					equal(t, "waiting", result(t, tried), 3)
					is(t, "cancelled", failure(gone), context.Canceled)
					equalSlices(t, fmt.Sprint("began in round ", round), g.ran(), []int{2, 3})
				}
				n := halt(h)
				last := p.Submit(context.Background(), 5)
				synctest.Wait()
				equal(t, "done", n.Load(), 1)
				equal(t, "NeverStarted", p.Stop().NeverStarted, 1)
				isStopped(t, "a call that waits for Continue", failure(last), false)
				h.Continue()
				synctest.Wait()
				equal(t, "registry entries beyond those before", registered(sys), before)
			})
		})
	}
}
