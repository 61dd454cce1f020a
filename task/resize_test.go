package task_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestResizeRefusesWhatIsNoSize(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq)
	defer p.Stop()
	for _, n := range []int{0, -1} {
		if err := p.Resize(n); err == nil || !strings.Contains(err.Error(), "Resize") {
			t.Errorf("Resize(%d): got error %v, want one that names it", n, err)
		}
	}
	inline := task.MustNew(sq, task.Inline())
	defer inline.Stop()
	if err := inline.Resize(2); err == nil || !strings.Contains(err.Error(), "Inline") {
		t.Errorf("Resize of an Inline task: got error %v", err)
	}
}

func TestResizeBeforeTheFirstUseSetsTheSize(t *testing.T) {
	t.Parallel()
	for _, b := range []task.Balancing{task.Shared, task.RoundRobin} {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := task.MustNew(sq, task.System(sys), task.Workers(1), task.Balance(b))
				if err := p.Resize(3); err != nil {
					t.Fatal(err)
				}
				equal(t, "Workers before the first use", p.Stats().Workers, 0)
				if err := p.Ready(context.Background()); err != nil {
					t.Fatal(err)
				}
				equal(t, "Workers", p.Stats().Workers, 3)
				p.Stop()
			})
		})
	}
}

func TestResizeUpLetsMoreCallsRun(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}, "OnDemand": {task.OnDemand()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				g := newGate()
				p := task.MustNew(g.pass, append(opts, task.System(sys), task.Workers(1))...)
				for i := range 3 {
					p.Submit(context.Background(), i)
				}
				synctest.Wait()
				equal(t, "Busy", p.Stats().Busy, 1)
				if err := p.Resize(3); err != nil {
					t.Fatal(err)
				}
				for i := range 3 {
					p.Submit(context.Background(), 10+i)
				}
				synctest.Wait()
				equal(t, "Busy", p.Stats().Busy, 3)
				equal(t, "Workers", p.Stats().Workers, 3)
				close(g.open)
				if _, err := p.Drain(context.Background()); err != nil {
					t.Fatal(err)
				}
				addsUp(t, p)
			})
		})
	}
}

func TestResizeDownLetsSurplusWorkersFinish(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}, "LeastActive": {task.Balance(task.LeastActive)}, "OnDemand": {task.OnDemand()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				g := newGate()
				p := task.MustNew(g.pass, append(opts, task.System(sys), task.Workers(4))...)
				var fs []*task.Future[int]
				for i := range 12 {
					fs = append(fs, p.Submit(context.Background(), i))
				}
				synctest.Wait()
				equal(t, "Busy", p.Stats().Busy, 4)
				if err := p.Resize(1); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				equal(t, "Busy", p.Stats().Busy, 4)
				for range 4 { // these end; of the rest one at a time may run
					g.open <- struct{}{}
				}
				synctest.Wait()
				equal(t, "Busy", p.Stats().Busy, 1)
				equal(t, "Workers", p.Stats().Workers, 1)
				for range 3 {
					g.open <- struct{}{}
					synctest.Wait()
					equal(t, "Busy", p.Stats().Busy, 1)
				}
				close(g.open)
				for i, f := range fs {
					equal(t, "result", result(t, f), i)
				}
				addsUp(t, p)
				p.Stop()
			})
		})
	}
}

func TestResizeDownEndsIdleWorkersAtOnce(t *testing.T) {
	t.Parallel()
	for _, b := range []task.Balancing{task.Shared, task.RoundRobin} {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := task.MustNew(sq, task.System(sys), task.Workers(5), task.Balance(b))
				if err := p.Ready(context.Background()); err != nil {
					t.Fatal(err)
				}
				entries := registered(sys)
				for _, n := range []int{2, 4, 3, 5} {
					if err := p.Resize(n); err != nil {
						t.Fatal(err)
					}
					if err := p.Ready(context.Background()); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					equal(t, "Workers", p.Stats().Workers, n)
					equal(t, "registry entries less than at first", entries-registered(sys), 5-n)
					for i := range 10 {
						equal(t, "result", result(t, p.Submit(context.Background(), i)), i*i)
					}
				}
				p.Stop()
			})
		})
	}
}

// A retry that waits while its member is let go must find another one.
func TestRetryOutlivesTheMemberItBelongsTo(t *testing.T) {
	t.Parallel()
	for _, busy := range []bool{false, true} {
		t.Run(fmt.Sprintf("member busy %v", busy), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				g := newGate()
				p := task.MustNew(func(ctx context.Context, x int) (string, error) {
					switch {
					case x == 1 && task.Info(ctx).Attempt == 1:
						return "", errBoom
					case x == 3:
						_, err := g.pass(ctx, x)
						return "", err
					}
					return where(ctx), nil
				}, task.System(sys), task.Workers(2), task.Balance(task.RoundRobin),
					task.Retries(task.RetryPolicy{Max: 1, Backoff: task.Constant(time.Second).NoJitter()}))
				p.Submit(context.Background(), 0)
				f := p.Submit(context.Background(), 1) // of worker 1
				if busy {
					p.Submit(context.Background(), 2)
					p.Submit(context.Background(), 3) // keeps worker 1 busy
				}
				synctest.Wait()
				if err := p.Resize(1); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) // the retry is due
				close(g.open)
				synctest.Wait()
				if !done(f) {
					t.Fatal("the call is lost")
				}
				equal(t, "worker of the retry", result(t, f), "0")
				addsUp(t, p)
				equalSlices(t, "Active", []int{p.Stats().PerWorker[0].Active}, []int{0})
				p.Stop()
			})
		})
	}
}

func TestResizeWhileCallsStreamThroughLosesNone(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}, "LeastActive": {task.Balance(task.LeastActive)},
		"OnDemand": {task.OnDemand()}, "retries": {task.Balance(task.RoundRobin), task.Retries(task.RetryPolicy{Max: 50, Backoff: task.Constant(50 * time.Microsecond)})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			p := task.MustNew(func(_ context.Context, x int) (int, error) {
				if name == "retries" && n.Add(1)%3 == 0 {
					return 0, errBoom
				}
				return x, nil
			}, append(opts, task.Workers(1))...)
			var callers sync.WaitGroup
			for range 4 {
				callers.Go(func() {
					for i := range 250 {
						f, g := p.Submit(context.Background(), i), p.Submit(context.Background(), i)
						if err := p.Resize(1 + i*5%7); err != nil {
							t.Error(err)
						}
						for _, f := range []*task.Future[int]{f, g} {
							if v, err := f.Result(); v != i || err != nil {
								t.Errorf("got %v, %v", v, err)
							}
						}
					}
				})
			}
			callers.Wait()
			if _, err := p.Drain(context.Background()); err != nil {
				t.Fatal(err)
			}
			addsUp(t, p)
			equal(t, "Finished", p.Stats().Finished, 2000)
		})
	}
}

func TestReadyReturnsWhenAllWorkersLive(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{"Shared": nil, "RoundRobin": {task.Balance(task.RoundRobin)}, "restarting": {task.IdleTimeout(time.Hour)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p := task.MustNew(sq, append(opts, task.System(sys), task.Workers(7))...)
				var all sync.WaitGroup
				for range 3 {
					all.Go(func() {
						if err := p.Ready(context.Background()); err != nil {
							t.Error(err)
						}
						equal(t, "Workers", p.Stats().Workers, 7)
					})
				}
				all.Wait()
				if err := p.Ready(context.Background()); err != nil {
					t.Error("again: ", err)
				}
				equal(t, "PerWorker", len(p.Stats().PerWorker), 7)
				p.Stop()
			})
		})
	}
	t.Run("OnDemand has none to start", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T, sys *actor.System) {
			p := task.MustNew(sq, task.System(sys), task.OnDemand())
			if err := p.Ready(context.Background()); err != nil {
				t.Error(err)
			}
			equal(t, "Workers", p.Stats().Workers, 0)
			p.Stop()
		})
	})
	t.Run("Inline", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T, sys *actor.System) {
			p := task.MustNew(sq, task.System(sys), task.Inline())
			if err := p.Ready(context.Background()); err != nil {
				t.Error(err)
			}
			equal(t, "Workers", p.Stats().Workers, 0)
			p.Stop()
		})
	})
}

func TestReadyEndsWithItsCtx(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errCause)
	p := task.MustNew(sq, task.Workers(3))
	defer p.Stop()
	// It may be quicker than it looks at ctx, and be done.
	if err := p.Ready(ctx); err != nil && err != errCause {
		t.Errorf("got error %v, want %v", err, errCause)
	}
	if err := p.Ready(context.Background()); err != nil {
		t.Error(err)
	}
}
