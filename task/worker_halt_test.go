package task_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/host"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// halter is how the pool looks to a supervision tree.
func halter(t *testing.T, sys *actor.System, name string) host.Halter {
	t.Helper()
	h, ok := sys.Units().Lookup(name).(host.Halter)
	if !ok {
		t.Fatalf("%s is no Halter", name)
	}
	return h
}

// halt halts h and counts how often it says that it is done.
func halt(h host.Halter) *atomic.Int32 {
	n := &atomic.Int32{}
	h.Halt(func() { n.Add(1) })
	return n
}

// later makes calls on a goroutine each, as Inline needs it.
func later(n int, fn func(i int) (int, error)) chan error {
	errs := make(chan error, n)
	for i := range n {
		go func() { _, err := fn(i); errs <- err }()
	}
	return errs
}

func TestHaltClosesStatesAndKeepsWhatWaits(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, sys *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		use(t, w, 10)
		h := halter(t, sys, w.Name())
		for range 3 {
			n := halt(h)
			synctest.Wait()
			equal(t, "done", n.Load(), 1)
			s.settled()
			ended := later(3, func(i int) (int, error) {
				return task.AskKey(context.Background(), w.With(), fmt.Sprint(i), (*till).Add, 1).Result()
			})
			synctest.Wait()
			equal(t, "calls that ended meanwhile", len(ended), 0)
			s.settled()
			h.Continue()
			h.Continue()
			for range 3 {
				is(t, "call", <-ended, nil)
			}
			use(t, w, 5)
		}
		w.Stop()
		s.settled()
	})
}

func TestHaltBeforeTheFirstCallHoldsThatToo(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, sys *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		h := halter(t, sys, w.Name())
		n := halt(h)
		synctest.Wait()
		equal(t, "done", n.Load(), 1)
		ended := later(1, func(int) (int, error) { return task.Do(context.Background(), w, (*till).Sum).Result() })
		synctest.Wait()
		equal(t, "states", s.opened.Load(), 0)
		h.Continue()
		is(t, "call", <-ended, nil)
		w.Stop()
		s.settled()
	})
}

func TestHaltWaitsForCallsInHand(t *testing.T) {
	t.Parallel()
	for _, also := range []string{"", "Halt", "Resize", "Stop", "Continue", "guest"} {
		t.Run(also, func(t *testing.T) {
			t.Parallel()
			eachMember(t, func(t *testing.T, sys *actor.System, _ string, opts []task.Option) {
				s := newShop(t)
				s.most = 3
				w := task.MustNewWorker(s.open, opts...)
				use(t, w, 10)
				ended := later(1, func(int) (int, error) {
					return task.AskKey(context.Background(), w, "a", func(k *till, ctx context.Context, _ int) (int, error) {
						defer k.enter()()
						if also == "guest" {
							return task.AskKey(ctx, w, "a", (*till).Pass, 1).Await(ctx)
						}
						return k.shop.gate.pass(ctx, 1)
					}, 0).Result()
				})
				<-s.gate.started
				h := halter(t, sys, w.Name())
				n := halt(h)
				synctest.Wait()
				equal(t, "done while a call runs", n.Load(), 0)
				switch also {
				case "Halt":
					again := halt(h)
					defer func() { equal(t, "done of the second", again.Load(), 1) }()
				case "Resize":
					_ = w.Resize(5)
				case "Continue":
					h.Continue()
				case "Stop":
					w.Stop()
					isStopped(t, "the call", <-ended, true)
					synctest.Wait()
					equal(t, "done after Stop", n.Load(), 1)
					s.settled()
					return
				}
				close(s.gate.open)
				is(t, "the call", <-ended, nil)
				synctest.Wait()
				equal(t, "done", n.Load(), 1)
				if also != "Continue" {
					s.settled()
					h.Continue()
				}
				use(t, w, 5)
				w.Stop()
				s.settled()
			})
		})
	}
}

func TestHaltedTasksKeepWhatWaits(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		if name == "inline" || name == "on demand" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := task.MustNew(sq, append(opts, task.System(sys))...)
				result(t, p.Submit(context.Background(), 1))
				h := halter(t, sys, p.Name())
				n := halt(h)
				synctest.Wait()
				equal(t, "done", n.Load(), 1)
				equal(t, "Workers", p.Stats().Workers, 0)
				f := p.Submit(context.Background(), 3)
				synctest.Wait()
				equal(t, "done", done(f), false)
				h.Continue()
				equal(t, "result", result(t, f), 9)
				p.Stop()
			})
		})
	}
}

func TestResizeDoesNotBringBackAMemberThatIsHalted(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, sys *actor.System, engine string, opts []task.Option) {
		if engine == "Inline" {
			return
		}
		s := newShop(t)
		s.onOpen = func(context.Context, *till) error { <-s.gate.open; return nil }
		w := task.MustNewWorker(s.open, opts...)
		f := task.Do(context.Background(), w, (*till).Sum)
		synctest.Wait()
		h := halter(t, sys, w.Name())
		n := halt(h)
		_ = w.Resize(5)
		close(s.gate.open)
		synctest.Wait()
		equal(t, "done", n.Load(), 1)
		s.settled()
		h.Continue()
		result(t, f)
		w.Stop()
		s.settled()
	})
}

func TestACallBelowIsServedWhileItsWorkerIsHalted(t *testing.T) {
	t.Parallel()
	eachMember(t, func(t *testing.T, sys *actor.System, engine string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		use(t, w, 10)
		over := later(1, func(int) (int, error) {
			return task.Do(context.Background(), w, func(k *till, ctx context.Context) (int, error) {
				_, err := k.shop.gate.pass(ctx, 1)
				if err != nil {
					return 0, err
				}
				return task.Do(ctx, w, (*till).Sum).Await(ctx)
			}).Result()
		})
		<-s.gate.started
		h := halter(t, sys, w.Name())
		n := halt(h)
		synctest.Wait()
		close(s.gate.open)
		is(t, "call", <-over, nil)
		synctest.Wait()
		equal(t, "done", n.Load(), 1)
		h.Continue()
		use(t, w, 3)
		w.Stop()
		s.settled()
	})
}

func TestHaltDoesNotLeaveACallBelowWithoutAWorker(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys), task.Workers(2), task.Supervise(supervisor.Policy{
			Backoff: supervisor.Backoff{Initial: time.Hour, Max: time.Hour}}))
		f := task.Do(context.Background(), w, func(k *till, ctx context.Context) (int, error) {
			if _, err := k.shop.gate.pass(ctx, 1); err != nil {
				return 0, err
			}
			return task.Do(ctx, w, (*till).Sum).Await(ctx)
		})
		<-s.gate.started
		s.broken.Store(1) // the other member cannot open its state, and waits for an hour
		behind := task.Do(context.Background(), w, (*till).Sum)
		synctest.Wait()
		close(s.gate.open)
		synctest.Wait()
		n := halt(halter(t, sys, w.Name()))
		synctest.Wait()
		equal(t, "done", n.Load(), 1)
		equal(t, "call is done", done(f), true)
		halter(t, sys, w.Name()).Continue()
		result(t, behind)
		w.Stop()
		s.settled()
	})
}
