package task_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// says fails the test unless err names all words.
func says(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if !containsText(err, word) {
			t.Errorf("%s: got error %v, want one that says %q", what, err, word)
		}
	}
}

// someMembers is eachMember for the ways to run members that differ most.
func someMembers(t *testing.T, body func(t *testing.T, sys *actor.System, name string, opts []task.Option)) {
	t.Helper()
	engines := memberEngines()
	for _, name := range []string{"one", "four", "RoundRobin", "interleave", "Inline"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				body(t, sys, name, append(engines[name], task.System(sys)))
				synctest.Wait()
				equal(t, "units that are left", len(sys.Units().Units()), 0)
			})
		})
	}
}

func TestUntilOfAViewChecksTheMethodsOfItsType(t *testing.T) {
	t.Parallel()
	someMembers(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		ctx := context.Background()
		picky := w.With(task.Until(func(sum int) error {
			if sum < 3 {
				return errCause
			}
			return nil
		}))
		equal(t, "a refused result", failure(task.AskKey(ctx, picky, "a", (*till).Add, 1)), errCause)
		equal(t, "a refused result", failure(task.AskKey(ctx, picky, "a", (*till).Add, 1)), errCause)
		equal(t, "the third", result(t, task.AskKey(ctx, picky, "a", (*till).Add, 1)), 3)
		for range 2 {
			err := failure(task.Do(ctx, picky, (*till).ID))
			says(t, "a method with another result", err, "Until", "int64")
		}
		patient := picky.With(task.Retries(task.RetryPolicy{Max: 5, Backoff: task.Constant(0)}))
		equal(t, "retried until it is taken", result(t, task.AskKey(ctx, patient, "fresh", func(_ *till, ctx context.Context, _ int) (int, error) {
			return task.Info(ctx).Attempt, nil
		}, 0)), 3)
		equal(t, "the worker itself has no Until", result(t, task.AskKey(ctx, w, "a", func(*till, context.Context, int) (int, error) { return 0, nil }, 0)), 0)
		st := w.Stats()
		equal(t, "calls that were made", st.Submitted, 5)
		equal(t, "Panicked", st.Panicked, 0)
		w.Stop()
		s.settled()
	})
}

func TestViewsOfAWorkerBoundAttemptsAndWaits(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"plain": nil, "RoundRobin": {task.Workers(1), task.Balance(task.RoundRobin)}, "Priority": {task.Priority(func(any) int { return 1 })}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, append(opts, task.System(sys))...)
				ctx, start := context.Background(), time.Now()
				running := task.Ask(ctx, w.With(task.Timeout(3*time.Second)), (*till).Pass, 1)
				waiting := task.Ask(ctx, w.With(task.QueueTimeout(time.Second)), (*till).Add, 1)
				keyed := task.AskKey(ctx, w.With(task.QueueTimeout(2*time.Second), task.Timeout(time.Hour)), "a", (*till).Add, 1)
				patient := task.Ask(ctx, w.With(task.Timeout(time.Second)), (*till).Add, 1)
				e := as[*task.TimeoutError](t, "QueueTimeout", failure(waiting))
				equal(t, "Kind", e.Kind, task.QueueWait)
				equal(t, "it ended after", time.Since(start), time.Second)
				e = as[*task.TimeoutError](t, "QueueTimeout of a keyed call", failure(keyed))
				equal(t, "After", e.After, 2*time.Second)
				e = as[*task.TimeoutError](t, "Timeout", failure(running))
				equal(t, "Kind", e.Kind, task.AttemptRun)
				equal(t, "it ended after", time.Since(start), 3*time.Second)
				equal(t, "a call whose own Timeout counts from its start", result(t, patient), 1)
				equal(t, "TimedOut", w.Stats().TimedOut, 3)
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestViewsOfAWorkerRetryWithTheBackoffOfTheirPolicy(t *testing.T) {
	t.Parallel()
	someMembers(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		ctx := context.Background()
		view := w.With(task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(time.Second).NoJitter()}))
		start := time.Now()
		e := as[*task.RetryError](t, "all attempts fail", failure(task.Ask(ctx, view, func(*till, context.Context, string) (int, error) { return 0, errBoom }, "in")))
		is(t, "the last error", e, errBoom)
		equal(t, "attempts", len(e.Attempts), 3)
		equal(t, "it took", time.Since(start), 2*time.Second)
		start = time.Now()
		equal(t, "an attempt after RetryAfter", result(t, task.AskKey(ctx, view, "a", func(_ *till, ctx context.Context, _ int) (int, error) {
			if n := task.Info(ctx).Attempt; n > 2 {
				return n, nil
			}
			return 0, fmt.Errorf("wrapped: %w", task.RetryAfter(errBoom, time.Minute))
		}, 0)), 3)
		equal(t, "it took", time.Since(start), 2*time.Minute)
		is(t, "Permanent", failure(task.Ask(ctx, view, func(*till, context.Context, int) (int, error) { return 0, task.Permanent(errBoom) }, 0)), errBoom)
		is(t, "RetryAfter without Retries", failure(task.Ask(ctx, w, func(*till, context.Context, int) (int, error) { return 0, task.RetryAfter(errBoom, time.Hour) }, 0)), errBoom)
		equal(t, "no wait for it", time.Since(start), 2*time.Minute)
		equal(t, "Retries", w.Stats().Retries, 4)
		w.Stop()
		s.settled()
	})
}

func TestAPanicOfARetriedMethodIsTriedOnAFreshState(t *testing.T) {
	t.Parallel()
	someMembers(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		var ids []int64
		view := w.With(task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(time.Second).NoJitter()}))
		equal(t, "result", result(t, task.AskKey(context.Background(), view, "a", func(k *till, _ context.Context, n int) (int, error) {
			defer k.enter()()
			if ids = append(ids, k.id); len(ids) < n {
				panic(errBoom)
			}
			return k.sum, nil
		}, 3)), 0)
		if len(ids) != 3 || ids[0] == ids[1] || ids[1] == ids[2] {
			t.Errorf("attempts ran on the states %v, want three different ones", ids)
		}
		equal(t, "Restarts", w.Stats().Restarts, 2)
		w.Stop()
		s.settled()
	})
}

func TestPriorityAppliesToCallsOfItsTypeOnly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opt  task.Option
		want string
	}{
		{"In", task.Priority(func(n int) int { return n }), "9 5 a 0 b -1"},
		{"any", task.Priority(func(in any) int {
			if n, ok := in.(int); ok {
				return -n
			}
			return 7
		}), "a b -1 0 5 9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, task.System(sys), tt.opt)
				ctx := context.Background()
				block := task.Do(ctx, w, func(k *till, ctx context.Context) (int, error) { return k.Pass(ctx, 1) })
				<-s.gate.started
				var order []string
				note := func(in any) { order = append(order, fmt.Sprint(in)) }
				number := func(_ *till, _ context.Context, in int) (int, error) { note(in); return in, nil }
				word := func(_ *till, _ context.Context, in string) (string, error) { note(in); return in, nil }
				task.Ask(ctx, w, number, -1)
				task.Ask(ctx, w, word, "a")
				task.Ask(ctx, w, number, 0)
				task.AskKey(ctx, w, "k", number, 9)
				task.AskKey(ctx, w, "k", word, "b")
				task.Ask(ctx, w, number, 5)
				close(s.gate.open)
				result(t, block)
				_, _ = w.Drain(ctx)
				equal(t, "order", strings.Join(order, " "), tt.want)
				s.settled()
			})
		})
	}
}

func TestCostAppliesToCallsOfItsTypeOnly(t *testing.T) {
	t.Parallel()
	ints := task.Cost(func(n int) limits.Request { return limits.Request{"x": n} })
	for name, opts := range map[string][]task.Option{
		"In": {ints},
		"any": {task.Cost(func(in any) limits.Request {
			if n, ok := in.(int); ok {
				return limits.Request{"x": n}
			}
			return nil
		})},
		"member queues": {ints, task.Balance(task.RoundRobin)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				set := limits.MustNew(limits.Resource("x", 4))
				w := task.MustNewWorker(s.open, append(opts, task.System(sys), task.Workers(4), task.Limits(set))...)
				ctx := context.Background()
				used := func(_ *till, ctx context.Context) (int, error) { return statOf(t, set, "x").Used, nil }
				equal(t, "a call that Cost is for", result(t, task.Ask(ctx, w, func(k *till, ctx context.Context, _ int) (int, error) { return used(k, ctx) }, 3)), 3)
				equal(t, "a call of another type", result(t, task.Ask(ctx, w, func(k *till, ctx context.Context, _ string) (int, error) { return used(k, ctx) }, "3")), 1)
				equal(t, "a call without argument", result(t, task.Do(ctx, w, used)), 1)
				equal(t, "a keyed call", result(t, task.AskKey(ctx, w, "k", func(k *till, ctx context.Context, _ int) (int, error) { return used(k, ctx) }, 2)), 2)
				e := as[*limits.RequestError](t, "what can never be granted", failure(task.Ask(ctx, w, (*till).Add, 5)))
				equal(t, "Amount", e.Amount, 5)
				free(t, set, "x")
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestAPanicInPriorityOrCostIsContained(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys), task.Limits(limits.MustNew(limits.Resource("x", 1))),
			task.Priority(func(int) int { panic(errCause) }),
			task.Cost(func(n int) limits.Request {
				if n < 0 {
					panic(errBoom)
				}
				return nil
			}))
		is(t, "Cost panics", failure(task.Ask(context.Background(), w, (*till).Add, -1)), errBoom)
		equal(t, "Priority panics", result(t, task.Ask(context.Background(), w, (*till).Add, 2)), 2)
		equal(t, "Restarts", w.Stats().Restarts, 0)
		w.Stop()
		s.settled()
	})
}

func TestWrongOptionsOfAWorkerAreErrorsOfNewWorker(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var none func(context.Context) (*till, error)
	rate := limits.MustNew(limits.Rate("api", 1, time.Second))
	for _, tt := range []struct {
		name string
		init func(context.Context) (*till, error)
		opts []task.Option
		want []string
	}{
		{"nil init", none, nil, []string{"nil function"}},
		{"OnDemand", s.open, []task.Option{task.OnDemand()}, []string{"OnDemand"}},
		{"Concurrent of none", s.open, []task.Option{task.Concurrent(0)}, []string{"Concurrent(0)"}},
		{"Concurrent of less", s.open, []task.Option{task.Concurrent(-2)}, []string{"Concurrent(-2)"}},
		{"Inline and Concurrent", s.open, []task.Option{task.Inline(), task.Concurrent(2)}, []string{"Inline", "Concurrent(2)"}},
		{"Inline and Workers", s.open, []task.Option{task.Inline(), task.Workers(2)}, []string{"Inline", "Workers(2)"}},
		{"Rate without Cost", s.open, []task.Option{task.Limits(rate)}, []string{`"api"`, "Cost"}},
		{"Cost without Limits", s.open, []task.Option{task.Cost(func(int) limits.Request { return nil })}, []string{"Cost", "Limits"}},
		{"Reject without Queue", s.open, []task.Option{task.Reject()}, []string{"Reject", "Queue"}},
		{"all at once", none, []task.Option{task.OnDemand(), nil, task.Concurrent(0), task.Workers(0), task.Limits(rate), task.Supervise(supervisor.Policy{MaxRestarts: -2})},
			[]string{"nil function", "OnDemand", "option 2 is nil", "Concurrent(0)", "Workers(0)", `"api"`, "MaxRestarts"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, err := task.NewWorker(tt.init, append(tt.opts, task.Name("wrong worker"))...)
			if w != nil {
				t.Error("got a worker")
			}
			says(t, "NewWorker", err, tt.want...)
			defer func() {
				got, _ := recover().(error)
				says(t, "MustNewWorker panics", got, tt.want...)
			}()
			task.MustNewWorker(tt.init, tt.opts...)
		})
	}
}

func TestOptionsThatAWorkerMayHaveAreTaken(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"Inline interleaving one":    {task.Inline(), task.Concurrent(1)},
		"Rate with Cost":             {task.Limits(limits.MustNew(limits.Rate("api", 1, time.Second))), task.Cost(func(int) limits.Request { return limits.Request{"api": 1} })},
		"Priority of any type":       {task.Priority(func(string) int { return 1 })},
		"Until of any type":          {task.Until(func(string) error { return nil })},
		"Queue, Reject, IdleTimeout": {task.Queue(1), task.Reject(), task.IdleTimeout(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				w, err := task.NewWorker(newShop(t).open, append(opts, task.System(sys))...)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "report", w.Stop(), task.Report{})
			})
		})
	}
}

func TestConcurrentIsForWorkersOnly(t *testing.T) {
	t.Parallel()
	p, err := task.New(sq, task.Concurrent(2), task.Queue(0))
	if p != nil {
		t.Error("got a task")
	}
	says(t, "New", err, "Concurrent(2)", "stateful", "Queue(0)")
}

func TestNilsAreTheErrorOfTheCall(t *testing.T) {
	t.Parallel()
	someMembers(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		var nobody *task.Worker[*till]
		var nowhere context.Context
		var nothing func(*till, context.Context, int) (int, error)
		bg := context.Background()
		for what, f := range map[string]*task.Future[int]{
			"nil context of Ask":    task.Ask(nowhere, w, (*till).Add, 1),
			"nil context of AskKey": task.AskKey(nowhere, w, "a", (*till).Add, 1),
			"nil context of Do":     task.Do(nowhere, w, (*till).Sum),
			"nil method of Ask":     task.Ask(bg, w, nothing, 1),
			"nil method of AskKey":  task.AskKey(bg, w, "a", nothing, 1),
			"nil method of Do":      task.Do[*till, int](bg, w, nil),
			"nil worker of Ask":     task.Ask(bg, nobody, (*till).Add, 1),
			"nil worker of AskKey":  task.AskKey(bg, nobody, "a", (*till).Add, 1),
			"nil worker of Do":      task.Do(bg, nobody, (*till).Sum),
		} {
			equal(t, what+": done at once", done(f), true)
			says(t, what, failure(f), what[:strings.Index(what, " of")])
		}
		says(t, "Ready", w.Ready(nowhere), "nil context")
		_, err := w.Drain(nowhere)
		says(t, "Drain", err, "nil context")
		equal(t, "Submitted", w.Stats().Submitted, 0)
		equal(t, "states", s.opened.Load(), 0)
		use(t, w, 3)
		w.Stop()
		s.settled()
	})
}

func TestWrongSettingsOfAWorkersViewAreTheErrorOfEachOfItsCalls(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys))
		bad := w.With(task.Timeout(0), nil)
		ctx := context.Background()
		for range 2 {
			says(t, "Ask", failure(task.Ask(ctx, bad, (*till).Add, 1)), "Timeout(0s)", "option 2 is nil")
			says(t, "AskKey", failure(task.AskKey(ctx, bad, "a", (*till).Add, 1)), "Timeout(0s)", "option 2 is nil")
			says(t, "Do", failure(task.Do(ctx, bad, (*till).Sum)), "Timeout(0s)")
			says(t, "a further view", failure(task.Do(ctx, bad.With(task.QueueTimeout(-1)), (*till).Sum)), "Timeout(0s)", "QueueTimeout(-1ns)")
		}
		equal(t, "states", s.opened.Load(), 0)
		equal(t, "the worker itself", result(t, task.Ask(ctx, w, (*till).Add, 1)), 1)
		equal(t, "name of the view", bad.Name(), w.Name())
		bad.Stop()
		isStopped(t, "after Stop of the view", failure(task.Do(ctx, w, (*till).Sum)), false)
		s.settled()
	})
}

func TestAWorkerHasOneMemberThatIsRestartedTenTimesByDefault(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys))
		ctx := context.Background()
		is(t, "Ready", w.Ready(ctx), nil)
		equal(t, "Workers", w.Stats().Workers, 1)
		for i := range 10 {
			is(t, "panic", failure(task.Do(ctx, w, (*till).Crash)), errBoom)
			equal(t, "state", result(t, task.Do(ctx, w, (*till).ID)), int64(i+2))
		}
		is(t, "the last panic", failure(task.Do(ctx, w, (*till).Crash)), task.ErrPanicked)
		err := failure(task.Do(ctx, w, (*till).Sum))
		is(t, "after it", err, task.ErrFailed)
		is(t, "its cause", err, errBoom)
		equal(t, "Restarts", w.Stats().Restarts, 10)
		w.Stop()
		s.settled()
	})
}

func topLevelInit(context.Context) (*till, error) { return nil, errors.New("not used") }

func TestDefaultNamesOfWorkers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		open := func(init func(context.Context) (*till, error), opts ...task.Option) *task.Worker[*till] {
			return task.MustNewWorker(init, append(opts, task.System(sys))...)
		}
		symbol := "github.com/troupe-go/troupe/task_test.topLevelInit"
		var all []*task.Worker[*till]
		for _, tt := range []struct {
			what string
			w    *task.Worker[*till]
			want string
		}{
			{"top-level init", open(topLevelInit), symbol},
			{"the same again", open(topLevelInit), symbol + "-2"},
			{"literal", open(func(context.Context) (*till, error) { return nil, errBoom }), "worker-1"},
			{"method value", open(s.open), "worker-2"},
			{"explicit", open(topLevelInit, task.Name("cash desk")), "cash desk"},
		} {
			equal(t, tt.what, tt.w.Name(), tt.want)
			equal(t, tt.what+" in Stats", tt.w.Stats().Name, tt.want)
			all = append(all, tt.w)
		}
		_, err := task.NewWorker(s.open, task.Name("cash desk"), task.System(sys))
		says(t, "a taken name", err, `Name("cash desk")`)
		_, err = task.New(sq, task.Name("cash desk"), task.System(sys))
		says(t, "a name that a worker has", err, `Name("cash desk")`)
		all[4].Stop()
		again, err := task.NewWorker(s.open, task.Name("cash desk"), task.System(sys))
		if err != nil {
			t.Fatal(err)
		}
		use := task.Do(context.Background(), again, (*till).Sum)
		synctest.Wait()
		equal(t, "the next of that name", result(t, use), 0)
		for _, w := range append(all, again) {
			w.Stop()
		}
		s.settled()
	})
}
