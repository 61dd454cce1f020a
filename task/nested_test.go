package task_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// In these tests a hang is a deadlock of the bubble, which fails the test.

type (
	tree   = *task.Task[int, int]
	waiter func(ctx context.Context, p tree, fs ...*task.Future[int]) (int, error)
)

func sum(vs []int, err error) (total int, _ error) {
	for _, v := range vs {
		total += v
	}
	return total, err
}

func each(fs []*task.Future[int], get func(*task.Future[int]) (int, error)) (int, error) {
	total := 0
	for _, f := range fs {
		v, err := get(f)
		if err != nil {
			return 0, err
		}
		total += v
	}
	return total, nil
}

// waiters are the ways in which a function can wait for calls of its own task.
var waiters = map[string]waiter{
	"Await": func(ctx context.Context, _ tree, fs ...*task.Future[int]) (int, error) {
		return each(fs, func(f *task.Future[int]) (int, error) { return f.Await(ctx) })
	},
	"Await in a derived ctx": func(ctx context.Context, _ tree, fs ...*task.Future[int]) (int, error) {
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, anyKey{}, 1), time.Hour)
		defer cancel()
		return each(fs, func(f *task.Future[int]) (int, error) { return f.Await(ctx) })
	},
	"Await in another ctx": func(_ context.Context, _ tree, fs ...*task.Future[int]) (int, error) {
		return each(fs, func(f *task.Future[int]) (int, error) { return f.Await(context.Background()) })
	},
	"Result": func(_ context.Context, _ tree, fs ...*task.Future[int]) (int, error) {
		return each(fs, (*task.Future[int]).Result)
	},
	"Done": func(_ context.Context, _ tree, fs ...*task.Future[int]) (int, error) {
		return each(fs, func(f *task.Future[int]) (int, error) {
			<-f.Done()
			v, err, _ := f.Poll()
			return v, err
		})
	},
	"Gather": func(ctx context.Context, _ tree, fs ...*task.Future[int]) (int, error) {
		return sum(task.Gather(ctx, fs...))
	},
	"Gather in another ctx": func(_ context.Context, _ tree, fs ...*task.Future[int]) (int, error) {
		return sum(task.Gather(context.Background(), fs...))
	},
	"Settle": func(ctx context.Context, _ tree, fs ...*task.Future[int]) (int, error) {
		rs, err := task.Settle(ctx, fs...)
		total := 0
		for _, r := range rs {
			total += r.Value
			err = errors.Join(err, r.Err)
		}
		return total, err
	},
	"AsCompleted": func(ctx context.Context, _ tree, fs ...*task.Future[int]) (int, error) {
		total := 0
		for _, r := range task.AsCompleted(ctx, fs...) {
			if r.Err != nil {
				return 0, r.Err
			}
			total += r.Value
		}
		return total, nil
	},
	"Wait": func(ctx context.Context, _ tree, fs ...*task.Future[int]) (int, error) {
		finished, _, err := task.Wait(ctx, task.WaitAll, fs...)
		if err != nil {
			return 0, err
		}
		return each(finished, (*task.Future[int]).Result)
	},
	"Then": func(ctx context.Context, _ tree, fs ...*task.Future[int]) (int, error) {
		return each(fs, func(f *task.Future[int]) (int, error) {
			return task.Then(f, func(_ context.Context, x int) (int, error) { return x, nil }).Await(ctx)
		})
	},
}

// pools are kinds of task that a nested call has to cope with.
var pools = map[string][]task.Option{
	"one worker":  {task.Workers(1)},
	"two workers": {task.Workers(2)},
	"bounded":     {task.Workers(1), task.Queue(1)},
	"members":     {task.Workers(2), task.Balance(task.RoundRobin)},
	"ranked":      {task.Workers(1), task.Priority(func(x int) int { return -x })},
	"on demand":   {task.OnDemand(), task.Workers(1)},
	"record":      {task.Workers(1), task.Timeout(time.Hour), task.QueueTimeout(time.Hour)},
	"retrying":    {task.Workers(1), task.Retries(task.RetryPolicy{Max: 1, Backoff: task.Constant(time.Millisecond)})},
	"restarting":  {task.Workers(1), task.Supervise(supervisor.Policy{})},
	"inline":      {task.Inline()},
}

func fib(x int) int {
	if x < 2 {
		return x
	}
	return fib(x-1) + fib(x-2)
}

func TestFunctionsMayWaitForCallsOfTheirOwnFullPool(t *testing.T) {
	t.Parallel()
	for how, wait := range waiters {
		for name, opts := range pools {
			t.Run(how+" "+name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					var p tree
					p = task.MustNew(func(ctx context.Context, x int) (int, error) {
						if name == "retrying" && x%3 == 2 && task.Info(ctx).Attempt == 1 {
							return 0, errBoom
						}
						if x < 2 {
							return x, nil
						}
						return wait(ctx, p, p.Submit(ctx, x-1), p.Submit(ctx, x-2))
					}, append(opts, task.System(sys), task.StopGrace(time.Minute))...)
					var fs []*task.Future[int]
					for range 3 {
						if name == "inline" || name == "bounded" {
							v, err := p.Call(context.Background(), 6)
							fs = append(fs, actor.Completed(v, err))
						} else {
							fs = append(fs, p.Submit(context.Background(), 6))
						}
					}
					for _, f := range fs {
						equal(t, "result", result(t, f), fib(6))
					}
					addsUp(t, p)
					equal(t, "Abandoned", p.Stop().Abandoned, 0)
				})
			})
		}
	}
}

func TestNestedCallAndMapOfTheOwnPool(t *testing.T) {
	t.Parallel()
	for how, fork := range map[string]func(ctx context.Context, p tree, x int) (int, error){
		"Call": func(ctx context.Context, p tree, x int) (int, error) {
			a, err := p.Call(ctx, x-1)
			if err != nil {
				return 0, err
			}
			b, err := p.Call(ctx, x-2)
			return a + b, err
		},
		"MapSlice": func(ctx context.Context, p tree, x int) (int, error) {
			return sum(p.MapSlice(ctx, []int{x - 1, x - 2}))
		},
		"Map": func(ctx context.Context, p tree, x int) (total int, err error) {
			for v, err := range p.Map(ctx, slices.Values([]int{x - 1, x - 2})) {
				if err != nil {
					return 0, err
				}
				total += v
			}
			return total, nil
		},
		"unordered Map": func(ctx context.Context, p tree, x int) (total int, err error) {
			for v, err := range p.Map(ctx, slices.Values([]int{x - 1, x - 2}), task.Unordered()) {
				if err != nil {
					return 0, err
				}
				total += v
			}
			return total, nil
		},
		"SubmitFuture": func(ctx context.Context, p tree, x int) (int, error) {
			a := p.SubmitFuture(ctx, actor.Completed(x-1, nil))
			b := p.SubmitFuture(ctx, task.Then(p.Submit(ctx, 0), func(context.Context, int) (int, error) { return x - 2, nil }))
			return sum(task.Gather(ctx, a, b))
		},
		"SubmitFuture of a nested call": func(ctx context.Context, p tree, x int) (int, error) {
			zero := p.Submit(ctx, 0)
			v, err := p.SubmitFuture(ctx, zero).Result()
			return fib(x) + v, err
		},
	} {
		for name, opts := range pools {
			t.Run(how+" "+name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					var p tree
					p = task.MustNew(func(ctx context.Context, x int) (int, error) {
						if x < 2 {
							return x, nil
						}
						return fork(ctx, p, x)
					}, append(opts, task.System(sys))...)
					for range 2 {
						v, err := p.Call(context.Background(), 6)
						equal(t, "result", v, fib(6))
						equal(t, "error", err, nil)
					}
					equal(t, "Abandoned", p.Stop().Abandoned, 0)
				})
			})
		}
	}
}

// A quick pool runs calls on the goroutines of those who wait, and takes
// several at once.
func TestNestedCallsOfAQuickPool(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			t.Parallel()
			var p tree
			p = task.MustNew(func(ctx context.Context, x int) (int, error) {
				switch {
				case x < 2:
					return x, nil
				case x%2 == 0:
					return sum(task.Gather(ctx, p.Submit(ctx, x-1), p.Submit(ctx, x-2)))
				}
				a := p.Submit(ctx, x-1)
				b, err := p.Call(ctx, x-2)
				if err != nil {
					return 0, err
				}
				<-a.Done()
				v, err := a.Result()
				return v + b, err
			}, task.Workers(workers))
			for range 2000 {
				if v, err := p.Call(context.Background(), 1); v != 1 || err != nil {
					t.Fatal(v, err)
				}
			}
			for range 10 {
				if v, err := p.Call(context.Background(), 9); v != fib(9) || err != nil {
					t.Fatal(v, err)
				}
			}
			equal(t, "report", p.Stop(), task.Report{})
		})
	}
}

func TestNestedWaitForACallFromOutside(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var other *task.Future[int]
		other, p := nil, tree(nil)
		p = task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 1 {
				synctest.Wait()
				return other.Await(ctx)
			}
			return x, nil
		}, task.System(sys), task.Workers(1))
		f := p.Submit(context.Background(), 1)
		other = p.Submit(context.Background(), 42)
		equal(t, "result", result(t, f), 42)
		p.Stop()
	})
}

func TestNestedCallsThroughAnotherTask(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var a, b tree
		a = task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				return 1, nil
			}
			return b.Call(ctx, x-1)
		}, task.System(sys), task.Workers(1))
		b = task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				return 2, nil
			}
			return a.Call(ctx, x-1)
		}, task.System(sys), task.Workers(1))
		equal(t, "result", result(t, a.Submit(context.Background(), 8)), 1)
		equal(t, "result", result(t, a.Submit(context.Background(), 9)), 2)
		a.Stop()
		b.Stop()
	})
}

func TestNestedSubmitDoesNotBlockOnItsOwnFullQueue(t *testing.T) {
	t.Parallel()
	for _, reject := range []bool{false, true} {
		t.Run(fmt.Sprintf("Reject %v", reject), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				opts := []task.Option{task.System(sys), task.Workers(1), task.Queue(2)}
				if reject {
					opts = append(opts, task.Reject())
				}
				var p tree
				p = task.MustNew(func(ctx context.Context, x int) (int, error) {
					if x > 0 {
						return x, nil
					}
					var fs []*task.Future[int]
					for i := range 20 {
						fs = append(fs, p.Submit(ctx, i+1))
					}
					if _, ok := p.TrySubmit(ctx, 1); ok {
						t.Error("TrySubmit finds room in a full queue")
					}
					return sum(task.Gather(ctx, fs...))
				}, opts...)
				v, err := p.Submit(context.Background(), 0).Result()
				if reject {
					is(t, "outcome", err, task.ErrQueueFull)
				} else {
					equal(t, "error", err, nil)
					equal(t, "result", v, 210)
				}
				p.Stop()
			})
		})
	}
}

func TestNestedPanicsAndCancellation(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var p tree
		started := make(chan struct{}, 1)
		p = task.MustNew(func(ctx context.Context, x int) (int, error) {
			switch x {
			case 0:
				panic(errBoom)
			case 1:
				started <- struct{}{}
				<-ctx.Done()
				return 0, context.Cause(ctx)
			}
			return p.Call(ctx, x-2)
		}, task.System(sys), task.Workers(1), task.StopGrace(time.Minute))
		is(t, "panic three levels below", failure(p.Submit(context.Background(), 6)), errBoom)
		f := p.Submit(context.Background(), 7)
		<-started
		f.Cancel() // ends the ctx of each call below
		synctest.Wait()
		equal(t, "Busy", p.Stats().Busy, 0)
		addsUp(t, p)
		f = p.Submit(context.Background(), 7)
		<-started
		r := p.Stop()
		// The end of one may cancel the next below before Stop comes to it.
		if r.Cancelled < 1 || r.Cancelled > 4 || r.Abandoned+r.NeverStarted+r.Finished > 0 {
			t.Errorf("report: got %+v, want up to 4 cancelled and nothing else", r)
		}
		addsUp(t, p)
		is(t, "outcome", failure(f), task.ErrStopped)
	})
}

func TestNestedCallOfADrainingTaskIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		var p tree
		p = task.MustNew(func(ctx context.Context, x int) (int, error) {
			if _, err := g.pass(ctx, x); err != nil {
				return 0, err
			}
			return p.Call(ctx, x+1)
		}, task.System(sys), task.Workers(1))
		f := p.Submit(context.Background(), 1)
		synctest.Wait()
		go func() {
			synctest.Wait()
			close(g.open)
		}()
		r, err := p.Drain(context.Background())
		equal(t, "error", err, nil)
		equal(t, "report", r, task.Report{Finished: 1})
		isStopped(t, "outcome of the nested call", failure(f), false)
	})
}

type anyKey struct{}
