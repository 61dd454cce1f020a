package task_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// isStopped fails the test unless err is that of a call that Stop refused or
// did not start; running tells that it was running then.
func isStopped(t *testing.T, what string, err error, running bool) {
	t.Helper()
	is(t, what, err, task.ErrStopped)
	if got := errors.Is(err, context.Canceled); got != running {
		t.Errorf("%s: %v is context.Canceled: %v, want %v", what, err, got, running)
	}
}

func TestStopOfATaskNeverUsed(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := task.MustNew(sq, append(opts, task.System(sys))...)
				start := time.Now()
				equal(t, "report", p.Stop(), task.Report{})
				equal(t, "again", p.Stop(), task.Report{})
				equal(t, "after", time.Since(start), 0)
				isStopped(t, "Submit", failure(p.Submit(context.Background(), 1)), false)
				f, ok := p.TrySubmit(context.Background(), 1)
				equal(t, "TrySubmit", ok, true)
				isStopped(t, "TrySubmit", failure(f), false)
				_, err := p.Call(context.Background(), 1)
				isStopped(t, "Call", err, false)
				isStopped(t, "Ready", p.Ready(context.Background()), false)
				r, err := p.Drain(context.Background())
				equal(t, "Drain", r, task.Report{})
				equal(t, "Drain", err, nil)
			})
		})
	}
}

func TestStopFailsWhatWaitsAndCancelsWhatRuns(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		if name == "inline" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				g := newGate()
				before := registered(sys)
				p := task.MustNew(g.pass, append(append([]task.Option{}, opts...), task.System(sys), task.Workers(2))...)
				var fs []*task.Future[int]
				for i := range 7 {
					fs = append(fs, p.Submit(context.Background(), i))
				}
				synctest.Wait()
				equalSlices(t, "running", slices.Sorted(slices.Values(g.ran())), []int{0, 1})
				start := time.Now()
				report := p.Stop()
				equal(t, "after", time.Since(start), 0)
				equal(t, "report", report, task.Report{Cancelled: 2, NeverStarted: 5})
				for i, f := range fs {
					equal(t, "done when Stop returns", done(f), true)
					isStopped(t, "outcome", failure(f), i < 2)
				}
				equal(t, "registry entries beyond those before", registered(sys), before)
				s := p.Stats()
				equal(t, "Cancelled", s.Cancelled, 7)
				equal(t, "Queued", s.Queued, 0)
				equal(t, "Busy", s.Busy, 0)
				equal(t, "ran later", len(g.ran()), 0)
			})
		})
	}
}

func TestFunctionSeesThatItsTaskIsStopped(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		seen := make(chan error, 1)
		p := task.MustNew(func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			seen <- context.Cause(ctx)
			return 0, nil
		}, task.System(sys), task.Name("seer"))
		f := p.Submit(context.Background(), 1)
		synctest.Wait()
		p.Stop()
		cause := <-seen
		isStopped(t, "cause", cause, true)
		isStopped(t, "outcome", failure(f), true)
	})
}

func TestStopReturnsWhenFunctionsThatObeyTakeTheirTime(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		returned := false
		p := task.MustNew(func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			time.Sleep(4 * time.Second)
			returned = true
			return 0, nil
		}, task.System(sys))
		f := p.Submit(context.Background(), 1)
		synctest.Wait()
		start := time.Now()
		go func() {
			f.Result()
			equal(t, "the call is done after", time.Since(start), 0)
		}()
		equal(t, "report", p.Stop(), task.Report{Cancelled: 1})
		equal(t, "after", time.Since(start), 4*time.Second)
		equal(t, "the function has returned", returned, true)
	})
}

func TestStopGraceBoundsTheWaitForFunctionsThatIgnoreTheirCtx(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		if name == "inline" {
			continue
		}
		for _, grace := range []time.Duration{-1, 0, time.Minute} {
			t.Run(name+" "+grace.String(), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					before := registered(sys)
					g := newGate()
					opts := append(append([]task.Option{}, opts...), task.System(sys), task.Workers(3), task.Name("stubborn"))
					want := 5 * time.Second // the default
					if grace >= 0 {
						opts, want = append(opts, task.StopGrace(grace)), grace
					}
					p := task.MustNew(func(ctx context.Context, x int) (int, error) {
						if x == 2 {
							return g.pass(ctx, x)
						}
						return g.ignore(ctx, x)
					}, opts...)
					var fs []*task.Future[int]
					for i := range 5 {
						fs = append(fs, p.Submit(context.Background(), i))
					}
					synctest.Wait()
					start := time.Now()
					report := p.Stop()
					equal(t, "after", time.Since(start), want)
					abandoned := report.Abandoned
					if grace == 0 { // the obedient one may or may not have returned
						report.Abandoned = min(report.Abandoned, 2)
					}
					equal(t, "report", report, task.Report{Cancelled: 3, NeverStarted: 2, Abandoned: 2})
					equal(t, "Abandoned in Stats", p.Stats().Abandoned, abandoned)
					for i, f := range fs {
						isStopped(t, "outcome", failure(f), i < 3)
					}
					equal(t, "registry entries beyond those before", registered(sys), before)
					// The name is free although functions still run under it.
					again := task.MustNew(sq, task.Name("stubborn"), task.System(sys))
					equal(t, "the next of that name", result(t, again.Submit(context.Background(), 3)), 9)
					equal(t, "report of the next", again.Stop(), task.Report{})
					close(g.open)
					synctest.Wait()
					equal(t, "registry entries in the end", registered(sys), before)
					equal(t, "calls run", len(g.ran()), 3)
				})
			})
		}
	}
}

func TestStopMayBeCalledTwiceAndByMany(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.ignore, task.System(sys), task.Workers(1), task.StopGrace(time.Minute))
		p.Submit(context.Background(), 1)
		p.Submit(context.Background(), 2)
		synctest.Wait()
		start := time.Now()
		var all sync.WaitGroup
		want := task.Report{Cancelled: 1, NeverStarted: 1}
		for range 10 {
			all.Go(func() {
				equal(t, "report", p.Stop(), want)
				equal(t, "after", time.Since(start), time.Second)
			})
		}
		time.Sleep(time.Second)
		close(g.open)
		all.Wait()
		equal(t, "report, once more", p.Stop(), want)
		report, err := p.Drain(context.Background())
		equal(t, "report of a later Drain", report, want)
		equal(t, "error of a later Drain", err, nil)
		if err := sys.Stop(context.Background()); err != nil {
			t.Errorf("System.Stop after it all: %v", err)
		}
	})
}

func TestStopEndsRetriesThatWait(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(context.Context, int) (int, error) { return 0, errBoom },
			task.System(sys), task.Retries(task.RetryPolicy{Max: 3, Backoff: task.Constant(time.Hour)}))
		f := p.Submit(context.Background(), 1)
		synctest.Wait()
		equal(t, "Queued: it has begun", p.Stats().Queued, 0)
		equal(t, "Busy", p.Stats().Busy, 0)
		start := time.Now()
		report := p.Stop()
		equal(t, "after", time.Since(start), 0)
		equal(t, "report", report, task.Report{Cancelled: 1})
		is(t, "outcome", failure(f), task.ErrStopped)
		equal(t, "Retries", p.Stats().Retries, 1)
	})
}

func TestStopReleasesBlockedSubmitters(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"Stop", "Drain"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				g := newGate()
				p := task.MustNew(g.ignore, task.System(sys), task.Workers(1), task.Queue(1), task.StopGrace(time.Hour))
				running, queued := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
				var all sync.WaitGroup
				for i := range 5 {
					all.Go(func() { isStopped(t, "blocked one", failure(p.Submit(context.Background(), 3+i)), false) })
				}
				synctest.Wait()
				reports := make(chan task.Report, 1)
				go func() {
					if how == "Stop" {
						reports <- p.Stop()
						return
					}
					r, err := p.Drain(context.Background())
					equal(t, "Drain", err, nil)
					reports <- r
				}()
				synctest.Wait()
				all.Wait()
				close(g.open)
				if how == "Stop" {
					isStopped(t, "running one", failure(running), true)
					isStopped(t, "queued one", failure(queued), false)
					equal(t, "report", <-reports, task.Report{Cancelled: 1, NeverStarted: 6})
				} else {
					equal(t, "running one", result(t, running), 1)
					equal(t, "queued one", result(t, queued), 2)
					equal(t, "report", <-reports, task.Report{Finished: 2, NeverStarted: 5})
				}
			})
		})
	}
}

func TestStopFromInsideTheFunctionWaitsForTheGraceOnly(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				before := registered(sys)
				reports := make(chan task.Report, 1)
				var p *task.Task[int, int]
				p = task.MustNew(func(ctx context.Context, _ int) (int, error) {
					reports <- p.Stop()
					return 1, nil
				}, append(opts, task.System(sys), task.StopGrace(time.Second))...)
				start := time.Now()
				isStopped(t, "outcome", failure(p.Submit(context.Background(), 1)), true)
				equal(t, "report", <-reports, task.Report{Cancelled: 1, Abandoned: 1})
				equal(t, "after", time.Since(start), time.Second)
				synctest.Wait()
				equal(t, "registry entries beyond those before", registered(sys), before)
			})
		})
	}
}

func TestStopFromOnDone(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		before := registered(sys)
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			time.Sleep(time.Second)
			return x, nil
		}, task.System(sys), task.Workers(1), task.StopGrace(time.Second))
		f, behind := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
		reports := make(chan task.Report, 1)
		f.OnDone(func(int, error) { reports <- p.Stop() })
		equal(t, "result", result(t, f), 1)
		report := <-reports
		equal(t, "NeverStarted", report.NeverStarted, 1)
		isStopped(t, "the one behind", failure(behind), false)
		synctest.Wait()
		equal(t, "registry entries beyond those before", registered(sys), before)
		equal(t, "report", p.Stop(), report)
	})
}

func TestStopWhileCallsRunOnTheirCallersGoroutine(t *testing.T) {
	t.Parallel()
	var block sync.Mutex
	started := make(chan struct{}, 1)
	p := task.MustNew(func(ctx context.Context, x int) (int, error) {
		if x == 1 {
			started <- struct{}{}
			<-ctx.Done()
			is(t, "cause", context.Cause(ctx), task.ErrStopped)
			block.Lock()
			defer block.Unlock()
		}
		return x, nil
	}, task.Workers(1), task.StopGrace(time.Minute))
	for range 1000 {
		if _, err := p.Call(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	block.Lock()
	go func() {
		_, err := p.Call(context.Background(), 1)
		ended <- err
	}()
	<-started
	reports := make(chan task.Report, 1)
	go func() { reports <- p.Stop() }()
	for p.Ready(context.Background()) == nil {
		runtime.Gosched()
	}
	select {
	case r := <-reports:
		t.Errorf("Stop returned %v while the function runs", r)
	default:
	}
	block.Unlock()
	isStopped(t, "outcome", <-ended, true)
	equal(t, "report", <-reports, task.Report{Cancelled: 1})
}

func TestStopDuringABackoffOfTheSupervisor(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		before := registered(sys)
		p := task.MustNew(func(context.Context, int) (int, error) { panic("bad") }, task.System(sys), task.Workers(1),
			task.Supervise(supervisor.Policy{Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}))
		is(t, "first", failure(p.Submit(context.Background(), 1)), task.ErrPanicked)
		waiting := p.Submit(context.Background(), 2)
		synctest.Wait()
		start := time.Now()
		equal(t, "report", p.Stop(), task.Report{NeverStarted: 1})
		equal(t, "after", time.Since(start), 0)
		isStopped(t, "waiting", failure(waiting), false)
		equal(t, "registry entries beyond those before", registered(sys), before)
		time.Sleep(2 * time.Hour)
		equal(t, "registry entries later", registered(sys), before)
	})
}

func TestSystemStopStopsItsTasks(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		a, b := task.MustNew(g.pass, task.System(sys)), task.MustNew(sq, task.System(sys), task.Name("b"))
		f := a.Submit(context.Background(), 1)
		synctest.Wait()
		if err := sys.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		isStopped(t, "running", failure(f), true)
		isStopped(t, "never used", failure(b.Submit(context.Background(), 1)), false)
		again := task.MustNew(sq, task.System(sys), task.Name("b"))
		equal(t, "a new task in the system", result(t, again.Submit(context.Background(), 3)), 9)
		again.Stop()
	})
}
