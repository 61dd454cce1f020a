package task_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestDrainFinishesEverythingAndRefusesWhatIsNew(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		if name == "inline" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				before := registered(sys)
				p := task.MustNew(func(_ context.Context, x int) (int, error) {
					time.Sleep(time.Second)
					if x == 3 {
						return x, errBoom
					}
					return x, nil
				}, append(append([]task.Option{}, opts...), task.System(sys), task.Workers(2))...)
				first := p.Submit(context.Background(), 0)
				equal(t, "a call before", result(t, first), 0)
				var fs []*task.Future[int]
				for i := range 6 {
					fs = append(fs, p.Submit(context.Background(), i))
				}
				fs[5].Cancel()
				start := time.Now()
				reports := make(chan task.Report, 2)
				for range 2 {
					go func() {
						r, err := p.Drain(context.Background())
						equal(t, "error of Drain", err, nil)
						reports <- r
					}()
				}
				synctest.Wait()
				isStopped(t, "a call after Drain", failure(p.Submit(context.Background(), 9)), false)
				isStopped(t, "Ready after Drain", p.Ready(context.Background()), false)
				isStopped(t, "Resize after Drain", p.Resize(4), false)
				equal(t, "report", <-reports, task.Report{Finished: 5})
				equal(t, "report of the second", <-reports, task.Report{Finished: 5})
				equal(t, "after", time.Since(start), 3*time.Second)
				for i, f := range fs[:5] {
					v, err, ok := f.Poll()
					if v != i || !ok || (err != nil) != (i == 3) {
						t.Errorf("call %d: got %v, %v, %v", i, v, err, ok)
					}
				}
				equal(t, "registry entries beyond those before", registered(sys), before)
			})
		})
	}
}

func TestDrainFinishesRetriesToo(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if task.Info(ctx).Attempt < 3 {
				return 0, errBoom
			}
			return x, nil
		}, task.System(sys), task.Retries(task.RetryPolicy{Max: 5, Backoff: task.Constant(time.Minute).NoJitter()}))
		a := p.Submit(context.Background(), 1)
		start := time.Now()
		r, err := p.Drain(context.Background())
		equal(t, "error", err, nil)
		equal(t, "report", r, task.Report{Finished: 1})
		equal(t, "after", time.Since(start), 2*time.Minute)
		equal(t, "result", result(t, a), 1)
	})
}

func TestDrainStopsWhenItsCtxEnds(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(g.pass, task.System(sys), task.Workers(1))
		running, waiting := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Minute, errCause)
		defer cancel()
		start := time.Now()
		r, err := p.Drain(ctx)
		equal(t, "error", err, errCause)
		equal(t, "report", r, task.Report{Cancelled: 1, NeverStarted: 1})
		equal(t, "after", time.Since(start), time.Minute)
		isStopped(t, "running", failure(running), true)
		isStopped(t, "waiting", failure(waiting), false)
	})
}

func TestStopEndsADrain(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"Stop", "a Drain with a shorter ctx"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				g := newGate()
				p := task.MustNew(g.pass, task.System(sys), task.Workers(1))
				running, waiting := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
				drained := make(chan task.Report, 1)
				go func() {
					r, err := p.Drain(context.Background())
					equal(t, "error of Drain", err, nil)
					drained <- r
				}()
				synctest.Wait()
				want := task.Report{Cancelled: 1, NeverStarted: 1}
				if how == "Stop" {
					equal(t, "report of Stop", p.Stop(), want)
				} else {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					r, err := p.Drain(ctx)
					equal(t, "report of the second Drain", r, want)
					equal(t, "error of the second Drain", err, context.DeadlineExceeded)
				}
				synctest.Wait()
				select {
				case r := <-drained:
					equal(t, "report of Drain", r, want)
				default:
					t.Fatal("Drain still waits after the task was stopped")
				}
				isStopped(t, "running", failure(running), true)
				isStopped(t, "waiting", failure(waiting), false)
			})
		})
	}
}

func TestReportOfStopAfterDrainCountsFromTheDrainOn(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		g := newGate()
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x < 10 {
				return x, nil
			}
			return g.pass(ctx, x)
		}, task.System(sys), task.Workers(1))
		result(t, p.Submit(context.Background(), 1))
		fs := []*task.Future[int]{p.Submit(context.Background(), 10), p.Submit(context.Background(), 2), p.Submit(context.Background(), 11)}
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(context.Background())
		go func() {
			synctest.Wait()
			g.open <- struct{}{} // ends the first of them only
			synctest.Wait()
			cancel(errCause)
		}()
		r, err := p.Drain(ctx)
		equal(t, "error", err, errCause)
		equal(t, "report", r, task.Report{Finished: 2, Cancelled: 1})
		equal(t, "result", result(t, fs[0]), 10)
		isStopped(t, "the last", failure(fs[2]), true)
	})
}
