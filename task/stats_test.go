package task_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestStatsCountEveryEndOfACall(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			switch x {
			case 1:
				return 0, errBoom
			case 2:
				panic(errBoom)
			case 3:
				runtime.Goexit()
			case 4:
				return g.pass(ctx, x)
			case 5:
				if task.Info(ctx).Attempt == 1 {
					return 0, errBoom
				}
			}
			return x, nil
		}, task.System(sys), task.Name("counted"), task.Workers(1), task.Queue(2), task.Supervise(supervisor.Policy{}))
		bg := context.Background()
		want := task.Stats{Name: "counted"}
		check := func(what string) {
			t.Helper()
			got := p.Stats()
			want.Wait, want.Run, want.PerWorker = got.Wait, got.Run, got.PerWorker
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", what, got, want)
			}
		}
		check("new")

		p.Submit(bg, 0).Result()
		synctest.Wait()
		want.Workers, want.Submitted, want.Finished = 1, 1, 1
		check("finished")

		p.Submit(bg, 1).Result()
		p.Submit(bg, 3).Result()
		synctest.Wait()
		want.Submitted, want.Failed = 3, 2
		check("failed and Goexit")

		p.Submit(bg, 2).Result()
		synctest.Wait()
		want.Submitted, want.Panicked, want.Restarts = 4, 1, 1
		check("panicked")

		running := p.Submit(bg, 4)
		synctest.Wait()
		waiting := p.Submit(bg, 0)
		p.Submit(bg, 0).Cancel()
		want.Submitted, want.Busy, want.Queued, want.Cancelled = 7, 1, 1, 1
		check("running, waiting, cancelled")

		p.Submit(bg, 0)
		p.TrySubmit(bg, 0)
		want.Submitted, want.Queued, want.Rejected = 8, 2, 1
		check("rejected")

		running.Cancel()
		synctest.Wait()
		result(t, waiting)
		synctest.Wait()
		want.Busy, want.Queued, want.Cancelled, want.Finished = 0, 0, 2, 3
		check("cancelled while running")

		p.With(task.Timeout(time.Second)).Submit(bg, 4).Result()
		synctest.Wait()
		want.Submitted, want.TimedOut = 9, 1
		check("timed out")

		p.With(task.Retries(task.RetryPolicy{Max: 1})).Submit(bg, 5).Result()
		synctest.Wait()
		want.Submitted, want.Retries, want.Finished = 10, 1, 4
		check("retried")

		ctx, cancel := context.WithCancel(bg)
		cancel()
		p.Submit(ctx, 0).Result()
		check("refused because its ctx has ended")

		p.Submit(bg, 4)
		synctest.Wait()
		p.Stop()
		p.Submit(bg, 0).Result()
		want.Workers, want.Submitted, want.Cancelled = 0, 11, 3
		check("stopped")
	})
}

func TestStatsHoldACallAsSoonAsItsOutcomeIsThere(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"plain": nil, "members": {task.Balance(task.LeastTotal)}, "record": {task.Timeout(time.Hour)}, "on demand": {task.OnDemand()},
		"inline": {task.Inline()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(func(_ context.Context, x int) (int, error) {
				switch x % 3 {
				case 1:
					return 0, errBoom
				case 2:
					panic("bad")
				}
				return x, nil
			}, opts...)
			defer p.Stop()
			for i := range 600 {
				if i%2 == 0 {
					_, _ = p.Call(context.Background(), i)
				} else {
					_, _ = p.Submit(context.Background(), i).Result()
				}
				if s := p.Stats(); s.Submitted != uint64(i+1) || s.Finished+s.Failed+s.Panicked != uint64(i+1) || s.Queued != 0 {
					t.Fatalf("after %d calls: %+v", i+1, s)
				}
			}
		})
	}
}

func TestStatsAddUpAfterAMixOfEverything(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"plain": nil, "members": {task.Balance(task.RoundRobin)}, "bounded": {task.Queue(4)}, "idle": {task.IdleTimeout(50 * time.Microsecond)},
		"retries": {task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(10 * time.Microsecond)}), task.Timeout(time.Millisecond)},
		"ranked":  {task.Priority(func(x int) int { return x })}, "on demand": {task.OnDemand()},
		"restarts": {task.Supervise(supervisor.Policy{MaxRestarts: -1, Scope: supervisor.OneForAll})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(func(ctx context.Context, x int) (int, error) {
				switch x % 7 {
				case 1:
					return 0, errBoom
				case 2:
					panic("bad")
				case 3:
					runtime.Goexit()
				case 4:
					<-ctx.Done()
				}
				return x, nil
			}, append(opts, task.Workers(3))...)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for i := range 200 {
						ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%5+1)*100*time.Microsecond)
						f := p.Submit(ctx, i)
						if i%11 == 0 {
							f.Cancel()
						}
						_, _ = f.Result()
						cancel()
					}
				})
			}
			all.Wait()
			addsUp(t, p)
			r := p.Stop()
			equal(t, "NeverStarted", r.NeverStarted, 0)
			equal(t, "Abandoned", r.Abandoned, 0)
			addsUp(t, p)
		})
	}
}

func TestQuantilesOfWaitAndRun(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			time.Sleep(time.Duration(x) * time.Millisecond)
			return x, nil
		}, task.System(sys), task.Workers(1))
		for i := range 100 { // 1 to 100 ms
			result(t, p.Submit(context.Background(), i+1))
		}
		synctest.Wait()
		s := p.Stats()
		for what, q := range map[string]struct{ got, want time.Duration }{
			"P50": {s.Run.P50, 50 * time.Millisecond}, "P90": {s.Run.P90, 90 * time.Millisecond},
			"P99": {s.Run.P99, 99 * time.Millisecond}, "Max": {s.Run.Max, 100 * time.Millisecond},
		} {
			if diff := (q.got - q.want).Abs(); diff > q.want*7/100 {
				t.Errorf("Run.%s: got %v, want %v", what, q.got, q.want)
			}
		}
		equal(t, "Run.Max", s.Run.Max, 100*time.Millisecond)
		equal(t, "Wait of calls that did not", s.Wait, task.Quantiles{})

		p.Submit(context.Background(), 1000)
		late := p.Submit(context.Background(), 1)
		result(t, late)
		synctest.Wait()
		equal(t, "Wait.Max", p.Stats().Wait.Max, time.Second)
		p.Stop()
	})
}

func TestPerWorkerStatsNameTheWorkers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.pass, task.System(sys), task.Workers(3))
		if err := p.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
		a, b := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
		synctest.Wait()
		var active, total int
		for i, w := range p.Stats().PerWorker {
			equal(t, "Name", w.Name, fmt.Sprint("worker-", i))
			active += w.Active
			total += int(w.Total)
		}
		equal(t, "Active in all", active, 2)
		equal(t, "Total in all", total, 2)
		close(g.open)
		result(t, a)
		result(t, b)
		p.Stop()
	})
}

func TestTotalsOfAllWorkersAreTheCallsThatRan(t *testing.T) {
	t.Parallel()
	for _, b := range []task.Balancing{task.Shared, task.RoundRobin} {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			p := task.MustNew(sq, task.Workers(3), task.Balance(b))
			defer p.Stop()
			for i := range 2000 {
				var err error
				if i%2 == 0 {
					_, err = p.Call(context.Background(), i)
				} else {
					_, err = p.Submit(context.Background(), i).Await(context.Background())
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			total := uint64(0)
			for _, w := range p.Stats().PerWorker {
				total += w.Total
			}
			equal(t, "Total in all", total, 2000)
		})
	}
}

func TestAbandonedFunctionsAreCounted(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p, g, f := stuck(t, sys, task.StopGrace(0))
		equal(t, "Abandoned", p.Stop().Abandoned, 1)
		equal(t, "Abandoned in Stats", p.Stats().Abandoned, 1)
		if err := failure(f); !errors.Is(err, task.ErrStopped) {
			t.Errorf("got %v", err)
		}
		close(g.open)
		synctest.Wait()
		addsUp(t, p)
	})
}
