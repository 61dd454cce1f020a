package task_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// Each of these has once hung, opened states for nothing, used a state twice at
// once or told the wrong thing.

// balances are the two kinds of members: with one queue or with one each.
func balances() map[string]task.Option {
	return map[string]task.Option{
		"Shared":     task.Balance(task.Shared),
		"RoundRobin": task.Balance(task.RoundRobin),
	}
}

// eachBalance runs body in a bubble for each of balances.
func eachBalance(t *testing.T, body func(t *testing.T, sys *actor.System, balance task.Option)) {
	for name, balance := range balances() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) { body(t, sys, balance) })
		})
	}
}

// soon ends after an hour, so that what hangs fails.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	t.Cleanup(cancel)
	return ctx
}

// at tells which member runs a call.
func at(_ *till, ctx context.Context, _ int) (string, error) { return where(ctx), nil }

// stay uses the state for a while.
func stay(k *till, _ context.Context, d time.Duration) (time.Duration, error) {
	defer k.enter()()
	time.Sleep(d)
	return d, nil
}

func TestACallWhoseKeyMovesToTheMemberThatWaitsForItRunsThere(t *testing.T) {
	t.Parallel()
	stop := supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Stop }}
	for _, how := range []string{"Resize", "Stop"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			eachBalance(t, func(t *testing.T, sys *actor.System, balance task.Option) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, task.System(sys), task.Workers(2), balance, task.Supervise(stop))
				keys, ctx := places(t, w, 2), soon(t)
				block := task.AskKey(ctx, w, keys[1], func(k *till, ctx context.Context, x int) (int, error) {
					if _, err := k.Pass(ctx, x); err != nil || how == "Resize" {
						return x, err
					}
					panic(errBoom)
				}, 1)
				waits := task.AskKey(ctx, w, keys[0], func(_ *till, ctx context.Context, _ int) (string, error) {
					return task.AskKey(ctx, w, keys[1], at, 0).Await(ctx)
				}, 0)
				synctest.Wait()
				if how == "Resize" {
					if err := w.Resize(1); err != nil {
						t.Error(err)
					}
				}
				close(s.gate.open)
				equal(t, "member", result(t, waits), "0")
				equal(t, "the call before it failed", failure(block) != nil, how == "Stop")
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestACallIsNotLeftToAMemberThatComesToWaitItself(t *testing.T) {
	t.Parallel()
	for range 5 { // one is not sure to meet it
		bubble(t, func(t *testing.T, sys *actor.System) {
			s := newShop(t)
			opened := make(chan struct{})
			s.onOpen = func(_ context.Context, k *till) error {
				if k.id == 2 {
					<-opened
				}
				return nil
			}
			w := task.MustNewWorker(s.open, task.System(sys), task.Workers(2))
			ctx := soon(t)
			var second *task.Future[int]
			first := task.AskKey(ctx, w, "a", func(_ *till, inner context.Context, _ int) (string, error) {
				second = task.Ask(ctx, w, func(_ *till, inner context.Context, _ int) (int, error) {
					return task.AskKey(inner, w, "a", (*till).Add, 1).Await(inner)
				}, 0)
				return task.Ask(inner, w, at, 0).Await(inner) // which the other member can take, it seems
			}, 0)
			synctest.Wait()
			close(opened)
			result(t, first)
			equal(t, "sum", result(t, second), 1)
			w.Stop()
			s.settled()
		})
	}
}

func TestAWaitingCallThatAMemberWillServeDoesNotOpenStatesAgainAndAgain(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]supervisor.Policy{
		"Restart": {},
		"Resume":  {Decide: func(error) supervisor.Directive { return supervisor.Resume }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				tries := atomic.Int32{}
				s.onOpen = func(context.Context, *till) error {
					if tries.Add(1) > 1 {
						return errBoom
					}
					return nil
				}
				w := task.MustNewWorker(s.open, task.System(sys), task.Workers(2), task.Supervise(policy))
				ctx := soon(t)
				long := task.Ask(ctx, w, stay, time.Minute)
				synctest.Wait()
				waiting := task.Ask(ctx, w, (*till).Add, 1)
				time.Sleep(time.Second)
				if n := tries.Load(); n > 5 { // not one for each time that it looks
					t.Errorf("one waiting call has tried %d times to open a state", n-1)
				}
				equal(t, "long", result(t, long), time.Minute)
				equal(t, "waiting", result(t, waiting), 1)
				equal(t, "later", result(t, task.Ask(ctx, w, (*till).Add, 1)), 2)
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestNoStateIsOpenedWithoutACall(t *testing.T) {
	t.Parallel()
	eachBalance(t, func(t *testing.T, sys *actor.System, balance task.Option) {
		s := newShop(t)
		tries := atomic.Int32{}
		s.onOpen = func(context.Context, *till) error { tries.Add(1); return errBoom }
		w := task.MustNewWorker(s.open, task.System(sys), task.Workers(2), balance,
			task.Supervise(supervisor.Policy{Backoff: supervisor.Backoff{Initial: time.Millisecond}}))
		for i := range int32(2) {
			is(t, "call", failure(task.Ask(soon(t), w, (*till).Add, 1)), errBoom)
			time.Sleep(time.Minute)
			equal(t, "openings", tries.Load(), i+1)
		}
		w.Stop()
	})
}

func TestGuestsOfOneCallDoNotUseTheStateAtTheSameTime(t *testing.T) {
	t.Parallel()
	type futures = []*task.Future[time.Duration]
	for name, wait := range map[string]func(ctx context.Context, fs futures){
		"Done": func(_ context.Context, fs futures) {
			first, second := fs[0].Done(), fs[1].Done()
			<-first
			<-second
		},
		"goroutines": func(ctx context.Context, fs futures) {
			var wg sync.WaitGroup
			for _, f := range fs {
				wg.Go(func() { _, _ = f.Await(ctx) })
			}
			wg.Wait()
		},
		"Gather": func(ctx context.Context, fs futures) { _, _ = task.Gather(ctx, fs...) },
		"AsCompleted": func(ctx context.Context, fs futures) {
			for range task.AsCompleted(ctx, fs...) {
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for engine, opts := range memberEngines() {
				if engine == "Inline" { // runs them where they are waited for
					continue
				}
				t.Run(engine, func(t *testing.T) {
					t.Parallel()
					bubble(t, func(t *testing.T, sys *actor.System) {
						s := newShop(t)
						w := task.MustNewWorker(s.open, append(opts, task.System(sys))...)
						f := task.AskKey(soon(t), w, "a", func(k *till, ctx context.Context, _ int) (int, error) {
							fs := futures{task.AskKey(ctx, w, "a", stay, time.Second), task.AskKey(ctx, w, "a", stay, time.Second)}
							wait(ctx, fs)
							for i, f := range fs {
								equal(t, fmt.Sprint("done ", i), done(f), true)
							}
							return k.Sum(ctx) // nobody else uses it now
						}, 0)
						equal(t, "sum", result(t, f), 0)
						w.Stop()
						s.settled()
					})
				})
			}
		})
	}
}

func TestAWaitThatWasGivenUpIsNoPartOfACircle(t *testing.T) {
	t.Parallel()
	eachBalance(t, func(t *testing.T, sys *actor.System, balance task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys), task.Workers(2), balance)
		keys, ctx := places(t, w, 2), soon(t)
		gaveUp := make(chan struct{})
		patient := task.AskKey(ctx, w, keys[1], func(_ *till, ctx context.Context, _ int) (int, error) {
			<-gaveUp
			return task.AskKey(ctx, w, keys[0], (*till).Add, 1).Await(ctx)
		}, 0)
		hasty := task.AskKey(ctx, w, keys[0], func(_ *till, ctx context.Context, _ int) (int, error) {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := task.AskKey(ctx, w, keys[1], (*till).Add, 1).Await(short)
			close(gaveUp)
			time.Sleep(time.Second) // does something else
			return 0, err
		}, 0)
		is(t, "hasty", failure(hasty), context.DeadlineExceeded)
		equal(t, "patient", result(t, patient), 1)
		w.Stop()
		s.settled()
	})
}

func TestABoundedQueueDoesNotRefuseACallWhoseMemberIsFree(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys), task.Workers(4), task.Queue(1), task.Reject())
		keys, ctx := places(t, w, 4), soon(t)
		for range 20 {
			var fs []*task.Future[time.Duration]
			for _, k := range keys {
				fs = append(fs, task.AskKey(ctx, w, k, stay, time.Second))
			}
			for _, f := range fs {
				result(t, f)
			}
		}
		running := task.AskKey(ctx, w, keys[0], stay, time.Minute)
		synctest.Wait()
		waiting := task.AskKey(ctx, w, keys[0], (*till).Add, 1)
		synctest.Wait()
		equal(t, "another member's", result(t, task.AskKey(ctx, w, keys[1], (*till).Add, 1)), 1)
		result(t, task.Ask(ctx, w, (*till).Add, 1))
		is(t, "one more of the busy member", failure(task.AskKey(ctx, w, keys[0], (*till).Add, 1)), task.ErrQueueFull)
		result(t, running)
		equal(t, "waiting", result(t, waiting) >= 1, true)
		w.Stop()
		s.settled()
	})
}

func TestRetriesOfOneMemberComeBackInOrder(t *testing.T) {
	t.Parallel()
	for members := 1; members <= 2; members++ {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			t.Parallel()
			eachBalance(t, func(t *testing.T, sys *actor.System, balance task.Option) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, task.System(sys), task.Workers(members), balance)
				again := w.With(task.Retries(task.RetryPolicy{Max: 3, Backoff: task.Constant(time.Second).NoJitter()}))
				ctx := soon(t)
				var order []int // of the one state
				tried := map[int]bool{}
				var fs []*task.Future[int]
				for i := range 5 {
					fs = append(fs, task.AskKey(ctx, again, "a", func(_ *till, _ context.Context, i int) (int, error) {
						if !tried[i] {
							tried[i] = true
							return 0, errBoom
						}
						order = append(order, i)
						return 0, nil
					}, i))
				}
				synctest.Wait()
				busy := task.AskKey(ctx, w, "a", stay, time.Minute)
				synctest.Wait()
				after := task.AskKey(ctx, w, "a", func(*till, context.Context, int) (int, error) {
					order = append(order, 5)
					return 0, nil
				}, 0)
				result(t, busy)
				for _, f := range append(fs, after) {
					result(t, f)
				}
				equalSlices(t, "order", order, []int{0, 1, 2, 3, 4, 5})
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestReadyWaitsForTheStateThatARestartOpens(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"one", "four", "RoundRobin", "interleave", "Queue"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, append(memberEngines()[engine], task.System(sys),
					task.Supervise(supervisor.Policy{Backoff: supervisor.Backoff{Initial: time.Second}}))...)
				ctx := soon(t)
				if err := w.Ready(ctx); err != nil {
					t.Fatal(err)
				}
				is(t, "crash", failure(task.Do(ctx, w, (*till).Crash)), task.ErrPanicked)
				synctest.Wait() // until the member has heard of it
				start := time.Now()
				if err := w.Ready(ctx); err != nil {
					t.Error(err)
				}
				equal(t, "states", s.opened.Load()-s.closed.Load(), int64(w.Stats().Workers))
				equal(t, "Ready has waited", time.Since(start) >= time.Second, true)
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestAPanicBesideACallThatItsCallerRunsRestartsTheMember(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		s.most = 2
		w := task.MustNewWorker(s.open, task.System(sys), task.Concurrent(2))
		ctx := context.Background() // under one that can end they are not run so
		for range 1000 {            // until the pool knows that they are quick
			if _, err := task.Ask(ctx, w, (*till).Add, 1).Await(ctx); err != nil {
				t.Fatal(err)
			}
		}
		started, now := make(chan struct{}), make(chan struct{})
		bad := task.Ask(ctx, w, func(*till, context.Context, int) (int, error) {
			close(started)
			<-now
			panic(errBoom)
		}, 0)
		<-started
		_, err := task.Ask(ctx, w, func(*till, context.Context, int) (int, error) {
			close(now)
			<-bad.Done()
			time.Sleep(time.Second)
			return 0, nil
		}, 0).Await(ctx)
		if err != nil {
			t.Error(err)
		}
		is(t, "panic", failure(bad), errBoom)
		synctest.Wait()
		equal(t, "restarts", w.Stats().Restarts, 1)
		equal(t, "sum of a fresh state", result(t, task.Ask(ctx, w, (*till).Add, 1)), 1)
		w.Stop()
		s.settled()
	})
}

func TestCallsOfAKeyKeepTheirOrderWhenMembersAreAdded(t *testing.T) {
	t.Parallel()
	eachBalance(t, func(t *testing.T, sys *actor.System, balance task.Option) {
		const keys, calls = 6, 24
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys), balance)
		ctx := soon(t)
		busy := task.Ask(ctx, w, stay, time.Second)
		synctest.Wait()
		var mu sync.Mutex
		got := map[string][]int{}
		members := map[string]map[int64]bool{}
		var fs []*task.Future[int]
		submit := func(i int) {
			key := fmt.Sprint(i % keys)
			fs = append(fs, task.AskKey(ctx, w, key, func(k *till, _ context.Context, i int) (int, error) {
				defer k.enter()()
				time.Sleep(time.Duration(calls-i) * time.Millisecond) // the sooner the longer
				mu.Lock()
				defer mu.Unlock()
				got[key] = append(got[key], i)
				if members[key] == nil {
					members[key] = map[int64]bool{}
				}
				members[key][k.id] = true
				return i, nil
			}, i))
		}
		for i := range calls / 2 {
			submit(i)
		}
		if err := w.Resize(4); err != nil {
			t.Fatal(err)
		}
		for i := calls / 2; i < calls; i++ {
			submit(i)
		}
		result(t, busy)
		for i, f := range fs {
			equal(t, "result", result(t, f), i)
		}
		for i := range keys {
			key := fmt.Sprint(i)
			equalSlices(t, "key "+key, got[key], []int{i, i + keys, i + 2*keys, i + 3*keys})
			equal(t, "members of key "+key, len(members[key]), 1)
		}
		w.Stop()
		s.settled()
	})
}

func TestTheCtxOfAnAbandonedInitStaysEndedInThePoolsNextLife(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		first := true
		abandoned := make(chan error, 2)
		s.onOpen = func(ctx context.Context, _ *till) error {
			if first {
				first = false
				<-ctx.Done()
				abandoned <- ctx.Err()
				time.Sleep(time.Minute) // ignores it
				abandoned <- ctx.Err()
			}
			return nil
		}
		w := task.MustNewWorker(s.open, task.System(sys), task.StopGrace(time.Second))
		ctx := soon(t)
		root := sys.ActorSystem().Root
		before := adopt(sys, w.Props(), "pool")
		lost := task.Ask(ctx, w, (*till).Add, 1)
		synctest.Wait()
		if err := root.StopFuture(before.parent).Wait(); err != nil {
			t.Error(err)
		}
		equal(t, "the call before failed", failure(lost) != nil, true)
		after := adopt(sys, w.Props(), "pool")
		equal(t, "the call after", result(t, task.Ask(ctx, w, (*till).Add, 1)), 1)
		equal(t, "the ctx had ended", errors.Is(<-abandoned, context.Canceled), true)
		is(t, "the ctx in the next life", <-abandoned, context.Canceled)
		synctest.Wait()
		if err := root.StopFuture(after.parent).Wait(); err != nil {
			t.Error(err)
		}
		w.Stop()
		s.settled()
	})
}
