package task_test

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestTimeoutEndsAnAttemptAtOnceAndKeepsItsWorker(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		if name == "inline" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				seen := make(chan error, 1)
				fn := func(ctx context.Context, x int) (int, error) {
					if x == 1 {
						<-ctx.Done()
						seen <- context.Cause(ctx)
						time.Sleep(time.Second)
					}
					return x, nil
				}
				p := task.MustNew(fn, append(append([]task.Option{}, opts...), task.System(sys), task.Workers(1), task.Timeout(time.Minute))...)
				start := time.Now()
				f, behind := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
				err := failure(f)
				equal(t, "after", time.Since(start), time.Minute)
				e := as[*task.TimeoutError](t, "outcome", err)
				equal(t, "outcome", *e, task.TimeoutError{Kind: task.AttemptRun, After: time.Minute})
				is(t, "outcome", err, context.DeadlineExceeded)
				equal(t, "Timeout()", e.Timeout(), true)
				is(t, "cause that the function sees", <-seen, err)
				equal(t, "the one behind", result(t, behind), 2)
				equal(t, "the one behind begins", time.Since(start), time.Minute+time.Second)
				s := p.Stats()
				equal(t, "TimedOut", s.TimedOut, 1)
				equal(t, "Finished", s.Finished, 1)
				p.Stop()
			})
		})
	}
}

func TestTimeoutCountsFromTheStartOfTheAttempt(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			time.Sleep(40 * time.Second)
			return x, nil
		}, task.System(sys), task.Workers(1), task.Timeout(time.Minute))
		a, b := p.Submit(context.Background(), 1), p.Submit(context.Background(), 2)
		equal(t, "first", result(t, a), 1)
		equal(t, "second, which waited", result(t, b), 2)
		p.Stop()
	})
}

func TestQueueTimeoutEndsACallThatWaitsAndNoOther(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"plain": nil, "ranked": {task.Priority(func(x int) int { return 0 })}, "on demand": {task.OnDemand()},
		"round robin": {task.Balance(task.RoundRobin)}, "bounded": {task.Queue(2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p, g, first := stuck(t, sys, append(opts, task.QueueTimeout(time.Minute))...)
				start := time.Now()
				bg := context.Background()
				waits := p.Submit(bg, 1)
				err := failure(waits)
				equal(t, "after", time.Since(start), time.Minute)
				e := as[*task.TimeoutError](t, "outcome", err)
				equal(t, "outcome", *e, task.TimeoutError{Kind: task.QueueWait, After: time.Minute})
				is(t, "outcome", err, context.DeadlineExceeded)
				equal(t, "Queued", p.Stats().Queued, 0)
				time.Sleep(time.Hour) // does not concern the one that runs
				equal(t, "the running one is done", done(first), false)
				late := p.Submit(bg, 2)
				time.Sleep(time.Minute - 1)
				close(g.open)
				equal(t, "the running one", result(t, first), -1)
				equal(t, "one that waited nearly too long", result(t, late), 2)
				equalSlices(t, "ran beside the first", g.ran(), []int{2})
				equal(t, "TimedOut", p.Stats().TimedOut, 1)
				p.Stop()
			})
		})
	}
}

func TestQueueTimeoutBoundsTheWaitForRoomToo(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p, g, _ := stuck(t, sys, task.Queue(1))
		full := p.Submit(context.Background(), 1)
		start := time.Now()
		f := p.With(task.QueueTimeout(time.Minute)).Submit(context.Background(), 2)
		equal(t, "Submit blocked for", time.Since(start), time.Minute)
		e := as[*task.TimeoutError](t, "outcome", failure(f))
		equal(t, "kind", e.Kind, task.QueueWait)
		close(g.open)
		equal(t, "the one in the queue", result(t, full), 1)
		equalSlices(t, "ran", g.ran(), []int{1})
		p.Stop()
	})
}
