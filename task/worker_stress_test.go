package task_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/internal/host"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestWorkersSurviveEverythingAtOnce(t *testing.T) {
	t.Parallel()
	for name, opts := range memberEngines() {
		for scope := range supervisor.Scope(3) {
			t.Run(fmt.Sprint(name, " ", scope), func(t *testing.T) {
				t.Parallel()
				for round := range 3 {
					everyWorkerAtOnce(t, name, round, append(opts, task.Supervise(supervisor.Policy{Scope: scope, MaxRestarts: -1})))
				}
			})
		}
	}
}

func everyWorkerAtOnce(t *testing.T, name string, round int, opts []task.Option) {
	sys := newSystem()
	s := newShop(t)
	s.onOpen = func(context.Context, *till) error {
		if rand.IntN(20) == 0 {
			return errBoom
		}
		return nil
	}
	w := task.MustNewWorker(s.open, append(opts, task.System(sys), task.StopGrace(30*time.Second))...)
	o := &onceEach{}
	var wg sync.WaitGroup
	over := make(chan struct{})
	each := func(n int, fn func(i int)) {
		wg.Go(func() {
			for i := range n {
				fn(i)
			}
		})
	}
	nested := func(_ *till, ctx context.Context, x int) (int, error) {
		return task.Ask(ctx, w, (*till).Add, x).Await(ctx)
	}
	known := func(err error) bool {
		return err == nil || expected(err) || errors.Is(err, task.ErrWouldDeadlock)
	}
	for range 2 {
		each(150, func(i int) {
			f := task.Ask(context.Background(), w, (*till).Add, i)
			track(o, t, f)
			_, _ = f.Result()
		})
		each(100, func(i int) { track(o, t, task.AskKey(context.Background(), w, fmt.Sprint(i%7), (*till).Add, i)) })
		each(30, func(int) { track(o, t, task.Do(context.Background(), w, (*till).Crash)) })
		each(40, func(i int) {
			if name == "limits" || name == "interleave" {
				return
			}
			if _, err := task.Ask(context.Background(), w, nested, i).Result(); !known(err) {
				t.Errorf("nested: %v", err)
			}
		})
		each(60, func(i int) {
			f := task.Ask(context.Background(), w.With(task.Timeout(time.Millisecond)), (*till).Add, i)
			track(o, t, f)
			f.Cancel()
		})
	}
	each(20, func(i int) { _ = w.Resize(1 + i%4); _ = w.Stats() })
	if h, ok := sys.Units().Lookup(w.Name()).(host.Halter); ok {
		each(10, func(int) {
			done := make(chan struct{})
			h.Halt(func() { close(done) })
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				t.Error("Halt is never done")
			}
			h.Continue()
		})
	}
	go func() { wg.Wait(); close(over) }()
	if round%2 == 0 {
		time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, func() {
			if rand.IntN(2) == 0 {
				w.Stop()
			} else {
				_, _ = w.Drain(context.Background())
			}
		})
	}
	select {
	case <-over:
	case <-time.After(40 * time.Second):
		t.Fatalf("%s hangs: %+v", name, w.Stats())
	}
	equal(t, "Abandoned", w.Stop().Abandoned, 0)
	o.open.Wait()
	equal(t, "completed", o.completed.Load(), o.given.Load())
	s.settled()
	_ = sys.Stop(context.Background())
}
