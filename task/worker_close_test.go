package task_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// eachMember runs body for every way to run members.
func eachMember(t *testing.T, body func(t *testing.T, sys *actor.System, name string, opts []task.Option)) {
	t.Helper()
	for name, opts := range memberEngines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				before := registered(sys)
				body(t, sys, name, append(opts, task.System(sys)))
				time.Sleep(time.Second)
				kept := 0
				if name == "limits" {
					kept = 1 // the Set lives on
				}
				if n := registered(sys) - before; n > kept {
					t.Errorf("%d registry entries are left", n)
				}
				if n := len(sys.Units().Units()); n > kept {
					t.Errorf("%d units are left", n)
				}
			})
		})
	}
}

// use makes n calls, of which all members get some if they can.
func use(t *testing.T, w *task.Worker[*till], n int) {
	t.Helper()
	var fs []*task.Future[int]
	for range n {
		fs = append(fs, task.Ask(context.Background(), w, (*till).Add, 1))
	}
	for _, f := range fs {
		result(t, f)
	}
}

func TestStatesAreClosedOnceUnderEveryEnding(t *testing.T) {
	t.Parallel()
	endings := map[string]func(t *testing.T, sys *actor.System, w *task.Worker[*till]){
		"Stop":        func(_ *testing.T, _ *actor.System, w *task.Worker[*till]) { w.Stop() },
		"Stop twice":  func(_ *testing.T, _ *actor.System, w *task.Worker[*till]) { w.Stop(); w.Stop() },
		"System.Stop": func(_ *testing.T, sys *actor.System, _ *task.Worker[*till]) { _ = sys.Stop(context.Background()) },
		"Stops at once": func(_ *testing.T, sys *actor.System, w *task.Worker[*till]) {
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() { w.Stop() })
				all.Go(func() { _ = sys.Stop(context.Background()) })
				all.Go(func() { _, _ = w.Drain(context.Background()) })
			}
			all.Wait()
		},
		"Drain": func(t *testing.T, _ *actor.System, w *task.Worker[*till]) {
			if _, err := w.Drain(context.Background()); err != nil {
				t.Error(err)
			}
		},
		"Drain with an ended ctx": func(t *testing.T, _ *actor.System, w *task.Worker[*till]) {
			f := task.Ask(context.Background(), w.With(task.Timeout(time.Hour)), (*till).Add, 1)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, _ = w.Drain(ctx)
			<-f.Done()
		},
		"panic": func(t *testing.T, _ *actor.System, w *task.Worker[*till]) {
			is(t, "panic", failure(task.Do(context.Background(), w, (*till).Crash)), errBoom)
			use(t, w, 20)
			w.Stop()
		},
		"panic and Stop": func(_ *testing.T, _ *actor.System, w *task.Worker[*till]) {
			task.Do(context.Background(), w, (*till).Crash)
			w.Stop()
		},
		"panic and Drain": func(_ *testing.T, _ *actor.System, w *task.Worker[*till]) {
			f := task.Do(context.Background(), w, (*till).Crash)
			_, _ = w.Drain(context.Background())
			<-f.Done()
		},
		"Goexit": func(t *testing.T, _ *actor.System, w *task.Worker[*till]) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				f := task.Do(context.Background(), w, func(k *till, _ context.Context) (int, error) { defer k.enter()(); runtime.Goexit(); return 0, nil })
				is(t, "Goexit", failure(f), task.ErrGoexit)
			}()
			<-done
			use(t, w, 20)
			w.Stop()
		},
		"budget spent": func(t *testing.T, _ *actor.System, w *task.Worker[*till]) {
			for range 11 {
				<-task.Do(context.Background(), w, (*till).Crash).Done()
				synctest.Wait()
			}
			is(t, "after it", failure(task.Do(context.Background(), w, (*till).Sum)), task.ErrFailed)
			w.Stop()
		},
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachMember(t, func(t *testing.T, sys *actor.System, engine string, opts []task.Option) {
				s := newShop(t)
				w := task.MustNewWorker(s.open, opts...)
				use(t, w, 20)
				end(t, sys, w)
				s.settled()
				if err := failure(task.Do(context.Background(), w, (*till).Sum)); !errors.Is(err, task.ErrStopped) && !errors.Is(err, task.ErrFailed) {
					t.Errorf("afterwards: got %v", err)
				}
				if n := w.Stats().Workers; n != 0 && engine != "Inline" {
					t.Errorf("%d workers are left", n)
				}
			})
		})
	}
}

func TestResizeAndIdlenessCloseStates(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, engine string, opts []task.Option) {
		if engine == "Inline" {
			return
		}
		s := newShop(t)
		w := task.MustNewWorker(s.open, append(opts, task.IdleTimeout(time.Minute))...)
		for _, n := range []int{5, 1, 4, 2} {
			if err := w.Resize(n); err != nil {
				t.Fatal(err)
			}
			if err := w.Ready(context.Background()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			equal(t, "states that are open", s.opened.Load()-s.closed.Load(), int64(n))
		}
		time.Sleep(2 * time.Minute)
		s.settled()
		use(t, w, 5)
		w.Stop()
		s.settled()
	})
}

func TestAWorkerThatIsStoppedByPolicyClosesItsState(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, append(opts, task.Supervise(supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Stop }}))...)
		use(t, w, 10)
		n := max(1, w.Stats().Workers)
		for i := range n {
			opened := s.closed.Load()
			is(t, "panic", failure(task.Do(context.Background(), w, (*till).Crash)), errBoom)
			synctest.Wait()
			if s.closed.Load() == opened {
				t.Errorf("panic %d closed no state", i)
			}
		}
		for range 4 { // those that were not alive before
			<-task.Do(context.Background(), w, (*till).Crash).Done()
			synctest.Wait()
		}
		is(t, "after the last", failure(task.Do(context.Background(), w, (*till).Sum)), task.ErrFailed)
		w.Stop()
		s.settled()
	})
}

func TestFaultsInCloseAreContained(t *testing.T) {
	t.Parallel()
	for what, fault := range map[string]func(*till) error{
		"error":  func(*till) error { return errBoom },
		"panic":  func(*till) error { panic(errBoom) },
		"Goexit": func(*till) error { runtime.Goexit(); return nil },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
				s := newShop(t)
				s.onClose = fault
				w := task.MustNewWorker(s.open, opts...)
				for range 3 {
					use(t, w, 5)
					is(t, "panic", failure(task.Do(context.Background(), w, (*till).Crash)), errBoom)
				}
				use(t, w, 5)
				start := time.Now()
				equal(t, "report", w.Stop(), task.Report{})
				equal(t, "Stop took", time.Since(start), 0)
				s.settled()
			})
		})
	}
}

func TestFaultsInInitFailTheCallThatWaits(t *testing.T) {
	t.Parallel()
	for what, fault := range map[string]struct {
		fn   func()
		want error
	}{
		"panic":  {func() { panic(errBoom) }, task.ErrPanicked},
		"Goexit": {runtime.Goexit, task.ErrGoexit},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
				s := newShop(t)
				bad := true
				s.onOpen = func(context.Context, *till) error {
					if bad {
						fault.fn()
					}
					return nil
				}
				w := task.MustNewWorker(s.open, opts...)
				is(t, "Ready", w.Ready(context.Background()), fault.want)
				synctest.Wait()
				is(t, "call", failure(task.Do(context.Background(), w, (*till).Sum)), fault.want)
				synctest.Wait()
				is(t, "keyed call", failure(task.AskKey(context.Background(), w, "a", (*till).Add, 1)), fault.want)
				synctest.Wait()
				bad = false
				use(t, w, 5)
				w.Stop()
				s.settled()
			})
		})
	}
}
