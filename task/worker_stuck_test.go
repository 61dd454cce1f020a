package task_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestStopDoesNotWaitForeverForClose(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		free := make(chan struct{})
		s.onClose = func(*till) error { <-free; return nil }
		w := task.MustNewWorker(s.open, append(opts, task.StopGrace(time.Second))...)
		use(t, w, 5)
		start := time.Now()
		w.Stop()
		if d := time.Since(start); d < time.Second || d > 3*time.Second {
			t.Errorf("Stop took %v, want about the grace of 1s", d)
		}
		close(free)
		synctest.Wait()
		s.settled()
	})
}

func TestStopEndsTheCtxOfInit(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		s.onOpen = func(ctx context.Context, _ *till) error { <-ctx.Done(); return context.Cause(ctx) }
		w := task.MustNewWorker(s.open, opts...)
		calls := make(chan error, 2)
		go func() { calls <- failure(task.Do(context.Background(), w, (*till).Sum)) }()
		go func() { calls <- w.Ready(context.Background()) }()
		synctest.Wait()
		start := time.Now()
		w.Stop()
		equal(t, "Stop took", time.Since(start), 0)
		is(t, "call or Ready", <-calls, task.ErrStopped)
		is(t, "call or Ready", <-calls, task.ErrStopped)
		s.settled()
	})
}

func TestAnInitThatIgnoresItsCtxIsAbandoned(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"a call", "Ready"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
				s := newShop(t)
				free := make(chan struct{})
				s.onOpen = func(context.Context, *till) error { <-free; return nil }
				w := task.MustNewWorker(s.open, append(opts, task.StopGrace(time.Second))...)
				over := make(chan error, 1)
				go func() {
					if by == "Ready" {
						over <- w.Ready(context.Background())
					} else {
						over <- failure(task.Do(context.Background(), w, (*till).Sum))
					}
				}()
				synctest.Wait()
				start := time.Now()
				w.Stop()
				if d := time.Since(start); d < time.Second || d > 3*time.Second {
					t.Errorf("Stop took %v, want about the grace of 1s", d)
				}
				close(free)
				synctest.Wait()
				select {
				case err := <-over:
					is(t, by, err, task.ErrStopped)
				default:
					t.Error(by + " has not ended")
				}
				s.settled()
			})
		})
	}
}

func TestAnAbandonedMethodKeepsItsStateUntilItReturns(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, engine string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, append(opts, task.StopGrace(time.Second))...)
		stuck := func(k *till, ctx context.Context, x int) (int, error) {
			defer k.enter()()
			return k.shop.gate.ignore(ctx, x)
		}
		over := make(chan error, 1)
		go func() { over <- failure(task.Ask(context.Background(), w, stuck, 1)) }()
		<-s.gate.started
		start := time.Now()
		equal(t, "Abandoned", w.Stop().Abandoned, 1)
		if d := time.Since(start); d < time.Second || d > 3*time.Second {
			t.Errorf("Stop took %v, want about the grace of 1s", d)
		}
		time.Sleep(time.Minute)
		if s.closed.Load() == s.opened.Load() {
			t.Error("the state is closed while its method runs")
		}
		close(s.gate.open)
		isStopped(t, "the call", <-over, true)
		synctest.Wait()
		s.settled()
	})
}

func TestATimedOutMethodHasItsStateToItself(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, engine string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		short := w.With(task.Timeout(time.Second))
		stuck := func(k *till, _ context.Context, d time.Duration) (int, error) {
			defer k.enter()()
			time.Sleep(d)
			return 0, nil
		}
		over := make(chan error, 4)
		for range 4 {
			go func() { over <- failure(task.Ask(context.Background(), short, stuck, 10*time.Second)) }()
		}
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		done := make(chan struct{})
		go func() {
			defer close(done)
			use(t, w, 5)
		}()
		for range 4 {
			as[*task.TimeoutError](t, "call", <-over)
		}
		<-done
		time.Sleep(time.Minute) // members that interleave were not waited for
		w.Stop()
		s.settled()
	})
}

func TestReadyObeysItsCtx(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		s.onOpen = func(ctx context.Context, _ *till) error {
			select {
			case <-time.After(time.Hour):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		w := task.MustNewWorker(s.open, opts...)
		go func() { _, _ = task.Do(context.Background(), w, (*till).Sum).Result() }()
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, errCause)
		defer cancel()
		is(t, "Ready", w.Ready(ctx), errCause)
		w.Stop()
		s.settled()
	})
}
