package task_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// outer is a method that asks its own member and leaves its state alone.
func outer[Out any](w *task.Worker[*till], method func(*till, context.Context, int) (Out, error)) func(*till, context.Context, int) (Out, error) {
	return func(_ *till, ctx context.Context, x int) (Out, error) {
		return task.AskKey(ctx, w, "a", method, x).Await(ctx)
	}
}

func TestNestedCallsRunDeepAndBack(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, engine string, opts []task.Option) {
		if engine == "limits" {
			return // each level holds a permit
		}
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		double := task.MustNew(sq, task.Workers(1), opts[len(opts)-1])
		var down func(k *till, ctx context.Context, n int) (int, error)
		down = func(k *till, ctx context.Context, n int) (int, error) {
			if n == 0 {
				return double.Call(ctx, 3)
			}
			v, err := task.AskKey(ctx, w, "a", down, n-1).Await(ctx)
			return v + 1, err
		}
		for range 3 {
			equal(t, "result", result(t, task.AskKey(context.Background(), w, "a", down, 20)), 29)
		}
		double.Stop()
		w.Stop()
		s.settled()
	})
}

func TestAPanicBelowRestartsTheMemberOnceTheCallAboveIsOver(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		id := func(k *till, _ context.Context, _ int) (int64, error) { return k.id, nil }
		first := result(t, task.AskKey(context.Background(), w, "a", id, 0))
		crash := func(k *till, _ context.Context, _ int) (int64, error) { panic(errBoom) }
		_, err := task.AskKey(context.Background(), w, "a", func(k *till, ctx context.Context, _ int) (int64, error) {
			defer k.enter()()
			_, err := task.AskKey(ctx, w, "a", crash, 0).Await(ctx)
			is(t, "below", err, task.ErrPanicked)
			equal(t, "closed while the call above runs", k.closed.Load(), 0)
			return 0, err
		}, 0).Result()
		is(t, "above", err, errBoom)
		if got := result(t, task.AskKey(context.Background(), w, "a", id, 0)); got == first {
			t.Error("the state is the old one")
		}
		w.Stop()
		s.settled()
	})
}

func TestACallBelowAnAbandonedOneHasTheStateToItself(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, engine string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		over := later(1, func(int) (int, error) {
			return task.AskKey(context.Background(), w.With(task.Timeout(time.Second)), "a", outer(w, func(k *till, _ context.Context, _ int) (int, error) {
				defer k.enter()()
				time.Sleep(10 * time.Second)
				return 0, nil
			}), 0).Result()
		})
		as[*task.TimeoutError](t, "call", <-over)
		start := time.Now()
		result(t, task.AskKey(context.Background(), w, "a", (*till).Add, 1))
		if d := time.Since(start); engine != "interleave" && engine != "Inline" && d != 9*time.Second {
			t.Errorf("the next call began after %v, want 9s", d)
		}
		time.Sleep(time.Minute)
		w.Stop()
		s.settled()
	})
}

func TestWhoWaitsWithADetachedCtxAfterItsEndIsToldSo(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, engine string, opts []task.Option) {
		if engine == "interleave" || engine == "limits" {
			return // another call of the member may run
		}
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		inner := make(chan error, 1)
		over := later(1, func(int) (int, error) {
			return task.AskKey(context.Background(), w.With(task.Timeout(time.Second)), "a", func(k *till, ctx context.Context, _ int) (int, error) {
				<-ctx.Done()
				synctest.Wait()
				inner <- failure(task.AskKey(context.WithoutCancel(ctx), w, "a", (*till).Add, 1))
				return 0, nil
			}, 0).Result()
		})
		as[*task.TimeoutError](t, "call", <-over)
		is(t, "below", <-inner, task.ErrWouldDeadlock)
		use(t, w, 5)
		w.Stop()
		s.settled()
	})
}

func TestAGoroutineThatAMethodLeavesBehindTakesItsTurn(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, engine string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		go1, inner := make(chan struct{}), make(chan error, 1)
		result(t, task.AskKey(context.Background(), w, "a", func(_ *till, ctx context.Context, _ int) (int, error) {
			go func() {
				<-go1
				inner <- failure(task.AskKey(context.WithoutCancel(ctx), w, "a", (*till).Add, 1))
			}()
			return 0, nil
		}, 0))
		over := later(1, func(int) (int, error) { return task.AskKey(context.Background(), w, "a", (*till).Pass, 1).Result() })
		<-s.gate.started
		close(go1)
		synctest.Wait()
		close(s.gate.open)
		is(t, "it", <-inner, nil)
		is(t, "the other", <-over, nil)
		w.Stop()
		s.settled()
	})
}

func TestInitThatAsksItsOwnWorkerIsToldSo(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		var w *task.Worker[*till]
		told := make(chan error, 100)
		s.onOpen = func(ctx context.Context, _ *till) error {
			if len(told) == 0 {
				told <- failure(task.Do(ctx, w, (*till).Sum))
			}
			return nil
		}
		w = task.MustNewWorker(s.open, opts...)
		over := later(1, func(int) (int, error) { return task.Do(context.Background(), w, (*till).Sum).Result() })
		is(t, "call", <-over, nil)
		is(t, "inside init", <-told, task.ErrWouldDeadlock)
		w.Stop()
		s.settled()
	})
}

func TestDrainFromInsideAMethodIsRefused(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		f := task.Do(context.Background(), w, func(_ *till, ctx context.Context) (int, error) {
			_, err := w.Drain(ctx)
			return 0, err
		})
		is(t, "Drain", failure(f), task.ErrWouldDeadlock)
		w.Stop()
		s.settled()
	})
}

func TestNestedCallsAreRetriedAndCancelled(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, _ *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, append(opts, task.Supervise(supervisor.Policy{MaxRestarts: -1}))...)
		tries := 0
		retried := w.With(task.Retries(task.RetryPolicy{Max: 3, Backoff: task.Constant(time.Second).NoJitter()}))
		v, err := task.AskKey(context.Background(), w, "a", func(k *till, ctx context.Context, _ int) (int, error) {
			return task.AskKey(ctx, retried, "a", func(k *till, _ context.Context, _ int) (int, error) {
				if tries++; tries < 3 {
					return 0, errBoom
				}
				return tries, nil
			}, 0).Await(ctx)
		}, 0).Result()
		equal(t, "result", v, 3)
		is(t, "error", err, nil)
		_, err = task.AskKey(context.Background(), w, "a", func(k *till, ctx context.Context, _ int) (int, error) {
			ctx, cancel := context.WithTimeoutCause(ctx, time.Second, errCause)
			defer cancel()
			return task.AskKey(ctx, w, "a", (*till).Pass, 1).Await(ctx)
		}, 0).Result()
		if !errors.Is(err, errCause) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: got %v", err)
		}
		use(t, w, 5)
		w.Stop()
		s.settled()
	})
}
