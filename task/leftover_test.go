package task_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestStopOfAnIdleTaskLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				before := registered(sys)
				p := task.MustNew(sq, append(opts, task.System(sys))...)
				for i := range 10 {
					equal(t, "result", result(t, p.Submit(context.Background(), i)), i*i)
				}
				p.PID()
				synctest.Wait()
				equal(t, "report", p.Stop(), task.Report{})
				equal(t, "registry entries beyond those before", registered(sys), before)
				s := p.Stats()
				equal(t, "Workers", s.Workers, 0)
				equal(t, "Busy", s.Busy, 0)
				equal(t, "Finished", s.Finished, 10)
				isStopped(t, "Submit", failure(p.Submit(context.Background(), 1)), false)
				isStopped(t, "Resize", resize(p), false)
				if names := p.Stats().PerWorker; len(names) != 0 {
					t.Errorf("workers after Stop: %v", names)
				}
			})
		})
	}
}

func resize(p *task.Task[int, int]) error {
	if err := p.Resize(3); err != nil && !errors.Is(err, task.ErrStopped) {
		return task.ErrStopped // an Inline task has no workers
	} else {
		return err
	}
}

// registered counts the processes in the system's registry.
func registered(sys *actor.System) (n int) {
	for _, bucket := range sys.ActorSystem().ProcessRegistry.LocalPIDs.LocalPIDs {
		n += bucket.Count()
	}
	return n
}

// Guarantee 3: after Stop no goroutine, timer or registry entry is left. The
// bubble finds goroutines; a timer would keep what the task is made of from
// being collected.
func TestNothingIsLeftAfterStopInAnyPhase(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		if name == "bounded" || name == "with record" {
			continue // as plain
		}
		for _, phase := range []string{"new", "ready", "busy", "crowded", "retrying", "cancelled", "failed"} {
			t.Run(name+" "+phase, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					before := registered(sys)
					trace := stopInPhase(t, sys, phase, name == "inline", opts)
					equal(t, "registry entries beyond those before", registered(sys), before)
					again, err := task.New(sq, task.System(sys), task.Name("leftover"))
					if err != nil {
						t.Fatalf("the name is not free: %v", err)
					}
					again.Stop()
					for range 200 { // a goroutine that is ending may hold it for a while
						runtime.GC()
						if trace.Value() == nil {
							return
						}
						time.Sleep(time.Nanosecond) // stopped timers are forgotten when time goes on
					}
					t.Error("something holds the function after Stop")
				})
			})
		}
	}
}

// stopInPhase stops a task in a phase of its life, and returns a trace of what
// its function holds.
func stopInPhase(t *testing.T, sys *actor.System, phase string, inline bool, opts []task.Option) weak.Pointer[gate] {
	g := newGate()
	fn := func(ctx context.Context, x int) (int, error) {
		switch {
		case x < 0:
			return 0, errBoom
		case x > 100:
			panic("bad")
		}
		return g.pass(ctx, x)
	}
	opts = append(append([]task.Option{}, opts...), task.System(sys), task.Name("leftover"), task.StopGrace(time.Hour))
	if phase == "failed" {
		opts = append(opts, task.Supervise(supervisor.Policy{Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}))
	}
	p := task.MustNew(fn, opts...)
	view := p.With(task.Timeout(time.Hour), task.QueueTimeout(time.Hour),
		task.Retries(task.RetryPolicy{Max: 100, Backoff: task.Constant(time.Hour)}))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	submit := func(x int) {
		if inline { // it blocks
			go view.Submit(ctx, x)
		} else {
			view.Submit(ctx, x)
		}
	}
	switch phase {
	case "ready":
		if err := p.Ready(ctx); err != nil {
			t.Error(err)
		}
	case "busy":
		submit(1)
		p.PID()
	case "crowded", "cancelled":
		for i := range 50 {
			submit(i)
		}
	case "retrying":
		submit(-1)
	case "failed":
		is(t, "a call before", failure(p.Submit(ctx, 1000)), task.ErrPanicked)
		submit(1)
	}
	synctest.Wait()
	if phase == "cancelled" {
		cancel()
	}
	equal(t, "Abandoned", p.Stop().Abandoned, 0)
	return weak.Make(g)
}
