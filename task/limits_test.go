package task_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

// costs takes n of key.
func costs(key string, n int) task.Option {
	return task.Cost(func(int) limits.Request { return limits.Request{key: n} })
}

// statOf returns the state of one limit.
func statOf(t *testing.T, l limits.Limiter, key string) limits.Stat {
	t.Helper()
	for _, s := range l.Stats() {
		if s.Key == key {
			return s
		}
	}
	t.Fatalf("no limit %q", key)
	return limits.Stat{}
}

// free fails the test unless all of the resource key is there and nobody waits for it.
func free(t *testing.T, l limits.Limiter, key string) {
	t.Helper()
	if s := statOf(t, l, key); s.Used != 0 || s.Available != s.Capacity || s.Waiting != 0 {
		t.Errorf("not all of %q came back: %d used, %d available, %d wait", key, s.Used, s.Available, s.Waiting)
	}
}

// hold takes n of key in the test's own name.
func hold(t *testing.T, l limits.Limiter, key string, n int) *limits.Permit {
	t.Helper()
	p, err := l.TryAcquire(limits.Request{key: n})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWrongLimitsAreErrorsOfNew(t *testing.T) {
	t.Parallel()
	rate := limits.MustNew(limits.Calls(1, time.Second), limits.Rate("tokens", 10, time.Second))
	pool, err := limits.NewPool([]*limits.Set{limits.MustNew(limits.Resource("db", 1)), rate})
	if err != nil {
		t.Fatal(err)
	}
	resource := limits.MustNew(limits.Resource("db", 1))
	stringCost := task.Cost(func(string) limits.Request { return nil })
	for want, opts := range map[string][]task.Option{
		`Limits: the Rate "tokens" needs Cost`:               {task.Limits(rate)},
		`Limits: the Rate "tokens" needs Cost, to say`:       {task.Limits(pool)},
		`Cost needs Limits`:                                  {costs("db", 1)},
		`Limits(nil)`:                                        {task.Limits(nil)},
		`Limits(nil): want a Set`:                            {task.Limits((*limits.Set)(nil))},
		`Cost(nil)`:                                          {task.Limits(resource), task.Cost[int](nil)},
		`Cost: want a func(int) limits.Request`:              {task.Limits(resource), stringCost},
		`got a func(string) limits.Request`:                  {task.Limits(rate), stringCost},
		`task: StopGrace(-1ns)`:                              {task.Limits(rate), task.StopGrace(-1)},
		`the Rate "tokens" needs Cost, to say what a call t`: {task.Limits(rate), task.StopGrace(-1)},
	} {
		if _, err := task.New(sq, opts...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q in it", err, want)
		}
	}
	limited := func(context.Context, int, limits.Limiter) (int, error) { return 0, nil }
	if _, err := task.NewLimited(limited, task.Limits(resource), costs("db", 1)); err == nil || !strings.Contains(err.Error(), "Cost") {
		t.Errorf("NewLimited with Cost: got error %v", err)
	}
	if _, err := task.NewLimited[int, int](nil); err == nil || !strings.Contains(err.Error(), "nil function") {
		t.Errorf("NewLimited(nil): got error %v", err)
	}
	for name, opts := range map[string][]task.Option{
		"resource":      {task.Limits(resource)},
		"rate and cost": {task.Limits(rate), costs("tokens", 1)},
		"calls":         {task.Limits(limits.MustNew(limits.Calls(1, time.Second)))},
	} {
		if tk, err := task.New(sq, opts...); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			tk.Stop()
		}
	}
	tk := task.MustNewLimited(limited, task.Limits(rate)) // it takes what it needs itself
	tk.Stop()
}

func TestEveryWayToCallTakesAPermit(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(ctx context.Context, tk *task.Task[int, int], sys *actor.System) (int, error){
		"Submit": func(ctx context.Context, tk *task.Task[int, int], _ *actor.System) (int, error) {
			return 1, failure(tk.Submit(ctx, 3))
		},
		"Call": func(ctx context.Context, tk *task.Task[int, int], _ *actor.System) (int, error) {
			_, err := tk.Call(ctx, 3)
			return 1, err
		},
		"TrySubmit": func(ctx context.Context, tk *task.Task[int, int], _ *actor.System) (int, error) {
			f, _ := tk.TrySubmit(ctx, 3)
			return 1, failure(f)
		},
		"SubmitFuture": func(ctx context.Context, tk *task.Task[int, int], _ *actor.System) (int, error) {
			return 1, failure(tk.SubmitFuture(ctx, actor.Completed(3, nil)))
		},
		"With": func(ctx context.Context, tk *task.Task[int, int], _ *actor.System) (int, error) {
			return 1, failure(tk.With(task.Timeout(time.Hour)).Submit(ctx, 3))
		},
		"Map": func(ctx context.Context, tk *task.Task[int, int], _ *actor.System) (n int, err error) {
			for _, e := range tk.Map(ctx, func(yield func(int) bool) {
				for i := 0; i < 50 && yield(i); i++ {
				}
			}) {
				n, err = n+1, errors.Join(err, e)
			}
			return n, err
		},
		"MapSlice": func(ctx context.Context, tk *task.Task[int, int], _ *actor.System) (int, error) {
			out, err := tk.MapSlice(ctx, make([]int, 50))
			return len(out), err
		},
		"a message": func(ctx context.Context, tk *task.Task[int, int], sys *actor.System) (int, error) {
			answer, err := sys.ActorSystem().Root.RequestFuture(tk.PID(), 3, time.Minute).Result()
			if err == nil {
				err = answer.(task.Result[int]).Err
			}
			return 1, err
		},
	} {
		for kind, opts := range map[string][]task.Option{"": nil, " inline": {task.Inline()}} {
			t.Run(name+kind, func(t *testing.T) {
				t.Parallel()
				sys := newSystem()
				set := limits.MustNew(limits.Rate("api", 1000, time.Hour), limits.Resource("db", 2))
				tk := task.MustNew(sq, append(opts, task.Limits(set), costs("api", 7), task.System(sys))...)
				defer tk.Stop()
				n, err := run(t.Context(), tk, sys)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "granted", statOf(t, set, "api").Granted, uint64(n))
				equal(t, "used", statOf(t, set, "api").Used, 7*n)
				free(t, set, "db")
			})
		}
	}
}

func TestTheFunctionFindsItsLimiterAndItsPermit(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Rate("tokens", 100, 100*time.Second)).Config(map[string]string{"region": "north"})
		tk := task.MustNew(func(ctx context.Context, used int) (string, error) {
			permit := limits.PermitFrom(ctx)
			if used > 0 {
				if err := permit.Update("tokens", used); err != nil {
					return "", err
				}
			}
			return permit.Config()["region"], nil
		}, task.Limits(set), costs("tokens", 50), task.System(sys))
		defer tk.Stop()
		for _, step := range []struct{ used, available int }{
			{10, 90}, {0, 40}, {70, -20}, // the last starts when 50 are there again, 10 s later
		} {
			equal(t, "config", result(t, tk.Submit(t.Context(), step.used)), "north")
			equal(t, "available", statOf(t, set, "tokens").Available, step.available)
		}
		start := time.Now()
		result(t, tk.Submit(t.Context(), 0))
		equal(t, "wait for the debt", time.Since(start), 70*time.Second)
	})
}

func TestFromIsTheLimiterOfTheTaskAndNeverNil(t *testing.T) {
	t.Parallel()
	set := limits.MustNew(limits.Resource("db", 1))
	from := func(ctx context.Context, _ int) (limits.Limiter, error) { return limits.From(ctx), nil }
	limited := task.MustNew(from, task.Limits(set))
	defer limited.Stop()
	if got := result(t, limited.Submit(t.Context(), 0)); got != limits.Limiter(set) {
		t.Errorf("in a task with limits: got %v", got)
	}
	plain := task.MustNew(from)
	defer plain.Stop()
	injected := task.MustNewLimited(func(_ context.Context, _ int, l limits.Limiter) (limits.Limiter, error) { return l, nil })
	defer injected.Stop()
	for name, call := range map[string]func(context.Context, int) (limits.Limiter, error){"plain": plain.Call, "injected": injected.Call} {
		l, err := call(context.Background(), 0)
		if err != nil || l == nil {
			t.Fatalf("%s: got %v, %v", name, l, err)
		}
		for range 100 {
			if _, err := l.Acquire(t.Context(), limits.Request{"anything": 1 << 40}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestACallDoesNotInheritTheLimitsOfItsCaller(t *testing.T) {
	t.Parallel()
	set := limits.MustNew(limits.Rate("api", 100, time.Hour))
	inner := task.MustNew(func(ctx context.Context, _ int) (int, error) {
		_, err := limits.From(ctx).TryAcquire(limits.Request{"other": 1000})
		return 0, errors.Join(err, limits.PermitFrom(ctx).Update("api", 77))
	})
	defer inner.Stop()
	bare := task.MustNewLimited(func(ctx context.Context, _ int, l limits.Limiter) (int, error) {
		_, err := l.TryAcquire(limits.Request{"other": 1000})
		return 0, err
	})
	defer bare.Stop()
	outer := task.MustNew(func(ctx context.Context, _ int) (int, error) {
		_, err := inner.Call(ctx, 0)
		_, err2 := bare.Call(ctx, 0)
		return 0, errors.Join(err, err2)
	}, task.Limits(set), costs("api", 5))
	defer outer.Stop()
	result(t, outer.Submit(t.Context(), 0))
	equal(t, "used", statOf(t, set, "api").Used, 5)
}

func TestOneSetIsOneBudgetForAllItsTasks(t *testing.T) {
	t.Parallel()
	set := limits.MustNew(limits.Resource("db", 3))
	var now, most atomic.Int64
	busy := func(context.Context, int) (int, error) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond)
		now.Add(-1)
		return 0, nil
	}
	var fs []*task.Future[int]
	for range 3 {
		tk := task.MustNew(busy, task.Workers(4), task.Limits(set))
		defer tk.Stop()
		for i := range 20 {
			fs = append(fs, tk.Submit(t.Context(), i))
		}
	}
	if _, err := task.Gather(t.Context(), fs...); err != nil {
		t.Fatal(err)
	}
	equal(t, "most at once", most.Load(), 3)
	free(t, set, "db")
}

func TestAPanicInCostIsTheCallsError(t *testing.T) {
	t.Parallel()
	set := limits.MustNew(limits.Resource("db", 1))
	tk := task.MustNew(sq, task.Limits(set), task.Cost(func(x int) limits.Request {
		if x < 0 {
			panic(errBoom)
		}
		return nil
	}))
	defer tk.Stop()
	err := failure(tk.Submit(t.Context(), -1))
	equal(t, "task", as[*task.PanicError](t, "the call", err).Task, tk.Name())
	is(t, "the call", err, errBoom)
	equal(t, "another call", result(t, tk.Submit(t.Context(), 3)), 9)
	free(t, set, "db")
}

func TestWhatTheLimiterRefusesForGoodEndsTheCallAtOnce(t *testing.T) {
	t.Parallel()
	for kind, opts := range map[string][]task.Option{"workers": nil, "inline": {task.Inline()}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				set := limits.MustNew(limits.Rate("api", 10, time.Second))
				asked := 0
				tk := task.MustNew(sq, append(opts, task.Limits(set), task.System(sys),
					task.Cost(func(x int) limits.Request { return limits.Request{"api": x} }),
					task.Retries(task.RetryPolicy{Max: 5, On: func(task.Attempt) bool { asked++; return true }}))...)
				defer tk.Stop()
				refused := as[*limits.RequestError](t, "too much", failure(tk.Submit(t.Context(), 11)))
				equal(t, "key", refused.Key, "api")
				equal(t, "amount", refused.Amount, 11)
				equal(t, "enough", result(t, tk.Submit(t.Context(), 10)), 100)

				var waiting *task.Future[int]
				if kind == "workers" {
					waiting = tk.Submit(t.Context(), 9)
					synctest.Wait()
					equal(t, "waiting", statOf(t, set, "api").Waiting, 1)
				}
				start := time.Now()
				if err := set.Close(); err != nil {
					t.Fatal(err)
				}
				if waiting != nil {
					is(t, "waiting", failure(waiting), limits.ErrClosed)
				}
				is(t, "afterwards", failure(tk.Submit(t.Context(), 1)), limits.ErrClosed)
				equal(t, "time", time.Since(start), 0)
				equal(t, "questions about retries", asked, 0)
				equal(t, "retries", tk.Stats().Retries, 0)
			})
		})
	}
}

func TestAPoolOfSetsGrantsFromWhereThereIsRoom(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		region := func(name string) *limits.Set {
			return limits.MustNew(limits.Rate("api", 1, time.Hour)).Config(map[string]string{"region": name})
		}
		north, south := region("north"), region("south")
		both, err := limits.NewPool([]*limits.Set{north, south})
		if err != nil {
			t.Fatal(err)
		}
		hold(t, north, "api", 1)
		time.Sleep(time.Minute)
		tk := task.MustNew(func(ctx context.Context, _ int) (string, error) {
			return limits.PermitFrom(ctx).Config()["region"], nil
		}, task.Limits(both), costs("api", 1), task.System(sys), task.Workers(1))
		defer tk.Stop()
		equal(t, "region", result(t, tk.Submit(t.Context(), 0)), "south")
		start := time.Now()
		next := tk.Submit(t.Context(), 0)
		synctest.Wait()
		equal(t, "waiting at north", statOf(t, north, "api").Waiting, 1)
		equal(t, "waiting at south", statOf(t, south, "api").Waiting, 1)
		equal(t, "region", result(t, next), "north")
		equal(t, "wait", time.Since(start), 59*time.Minute)
		equal(t, "waiting at south", statOf(t, south, "api").Waiting, 0)
	})
}

func TestTheActorOfASetLivesInTheSystemOfItsTask(t *testing.T) {
	t.Parallel()
	for kind, open := range map[string]func(set *limits.Set, sys *actor.System) *task.Task[int, int]{
		"New": func(set *limits.Set, sys *actor.System) *task.Task[int, int] {
			return task.MustNew(sq, task.Limits(set), task.System(sys))
		},
		"NewLimited": func(set *limits.Set, sys *actor.System) *task.Task[int, int] {
			return task.MustNewLimited(limitedSquare, task.Limits(set), task.System(sys))
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			sys, set := newSystem(), limits.MustNew(limits.Resource("db", 1))
			tk := open(set, sys)
			defer tk.Stop()
			there := func() bool {
				_, found := sys.ActorSystem().ProcessRegistry.GetLocal("limits/1")
				return found
			}
			equal(t, "there before the first call", there(), false)
			result(t, tk.Submit(t.Context(), 1))
			equal(t, "there after it", there(), true)
			answer, err := sys.ActorSystem().Root.RequestFuture(proto.NewPID(sys.ActorSystem().Address(), "limits/1"),
				limits.StatsMsg{}, time.Minute).Result()
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(answer.(actor.Result[[]limits.Stat]).Value); got != fmt.Sprint(set.Stats()) {
				t.Errorf("its state is %s", got)
			}
			if err := sys.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestNewLimitedIsNamedAfterItsFunction(t *testing.T) {
	t.Parallel()
	sys := newSystem()
	tk := task.MustNewLimited(limitedSquare, task.System(sys))
	defer tk.Stop()
	equal(t, "name", tk.Name(), "github.com/troupe-go/troupe/task_test.limitedSquare")
	named := task.MustNewLimited(limitedSquare, task.System(sys), task.Name("other"))
	defer named.Stop()
	equal(t, "name", named.Name(), "other")
}

func limitedSquare(_ context.Context, x int, _ limits.Limiter) (int, error) { return x * x, nil }
