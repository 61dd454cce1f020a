package task_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

// queuer is a Queuer with a say after each request.
type queuer struct {
	limits.Queuer
	after func()
}

func (q *queuer) Enqueue(r limits.Request, to limits.Grantee) (*limits.Permit, limits.Ticket, error) {
	permit, ticket, err := q.Queuer.Enqueue(r, to)
	q.after()
	return permit, ticket, err
}

// bareLimiter is somebody's own Limiter, which is no Queuer.
type bareLimiter struct{ limits.Limiter }

func TestALimiterThatIsNoQueuerWorks(t *testing.T) {
	t.Parallel()
	for kind, opts := range map[string][]task.Option{
		"workers": {task.Workers(4)}, "members": {task.Workers(4), task.Balance(task.RoundRobin)},
		"on demand": {task.OnDemand(), task.Workers(4)},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				set := limits.MustNew(limits.Resource("db", 2))
				tk := task.MustNew(func(ctx context.Context, x int) (int, error) {
					time.Sleep(time.Second)
					return x, limits.PermitFrom(ctx).Update("db", 1) // no resource has a use to report
				}, append(opts, task.Limits(bareLimiter{set}), task.System(sys))...)
				start := time.Now()
				var fs []*task.Future[int]
				for i := range 10 {
					fs = append(fs, tk.Submit(context.Background(), i))
				}
				for _, f := range fs {
					as[*limits.RequestError](t, "a call", failure(f))
				}
				equal(t, "time", time.Since(start), 5*time.Second)
				free(t, set, "db")

				held := hold(t, set, "db", 2)
				cancelled, late := tk.Submit(context.Background(), 1), tk.With(task.QueueTimeout(time.Second)).Submit(context.Background(), 1)
				stopped := tk.Submit(context.Background(), 1)
				synctest.Wait()
				cancelled.Cancel()
				is(t, "late", failure(late), context.DeadlineExceeded)
				synctest.Wait()
				equal(t, "waiting", statOf(t, set, "db").Waiting, 1)
				tk.Stop()
				is(t, "stopped", failure(stopped), task.ErrStopped)
				held.Release()
				free(t, set, "db")
			})
		})
	}
}

// stubborn is a Limiter that grants when it is told to, whatever ctx says.
type stubborn struct {
	grant    chan struct{}
	released chan struct{}
}

func (s stubborn) Acquire(context.Context, limits.Request) (*limits.Permit, error) {
	<-s.grant
	return limits.NewPermit(s), nil
}

func (s stubborn) TryAcquire(limits.Request) (*limits.Permit, error) {
	return nil, limits.ErrUnavailable
}

func (s stubborn) Stats() []limits.Stat      { return nil }
func (s stubborn) Update(string, int) error  { return nil }
func (s stubborn) Release()                  { s.released <- struct{}{} }
func (s stubborn) Pause(time.Duration)       {}
func (s stubborn) Config() map[string]string { return map[string]string{"made": "by us"} }

func TestAPermitThatComesTooLateIsReleased(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		l := stubborn{grant: make(chan struct{}), released: make(chan struct{}, 10)}
		tk := task.MustNew(func(ctx context.Context, _ int) (string, error) {
			return limits.PermitFrom(ctx).Config()["made"], nil
		}, task.Limits(l), task.System(sys))
		f := tk.Submit(context.Background(), 1)
		synctest.Wait()
		f.Cancel()
		synctest.Wait()
		l.grant <- struct{}{}
		<-l.released
		f = tk.Submit(context.Background(), 1)
		l.grant <- struct{}{}
		equal(t, "config", result(t, f), "by us")
		<-l.released
		tk.Stop()
		equal(t, "released too often", len(l.released), 0)
	})
}

// broken is a Limiter of which nothing works.
type broken struct{ fail func() }

func (b broken) Acquire(context.Context, limits.Request) (*limits.Permit, error) {
	b.fail()
	return nil, nil
}

func (b broken) TryAcquire(limits.Request) (*limits.Permit, error) {
	b.fail()
	return nil, nil
}

func (b broken) Stats() []limits.Stat { return nil }

// brokenLater has to be waited for before it breaks.
type brokenLater struct{ broken }

func (b brokenLater) TryAcquire(limits.Request) (*limits.Permit, error) {
	return nil, limits.ErrUnavailable
}

// brokenQueuer breaks when it is asked for a place.
type brokenQueuer struct{ broken }

func (b brokenQueuer) Enqueue(limits.Request, limits.Grantee) (*limits.Permit, limits.Ticket, error) {
	b.fail()
	return nil, nil, nil
}

func TestABrokenLimiterFailsTheCallAndNothingElse(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]error{"panics": task.ErrPanicked, "exits": task.ErrGoexit} {
		b := broken{fail: func() { panic(errBoom) }}
		if how == "exits" {
			b.fail = runtime.Goexit
		}
		for kind, l := range map[string]limits.Limiter{"TryAcquire": b, "Acquire": brokenLater{b}, "Enqueue": brokenQueuer{b}} {
			t.Run(kind+" "+how, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					ran := false
					var tk *task.Task[int, int]
					fn := func(context.Context, int) (int, error) { ran = true; return 0, nil }
					tk = task.MustNew(fn, task.Workers(2), task.Limits(l), task.System(sys),
						task.Retries(task.RetryPolicy{Max: 3}))
					for i := range 10 {
						is(t, "the call", failure(tk.Submit(t.Context(), i)), want)
					}
					report, err := tk.Drain(t.Context())
					equal(t, "report", report, task.Report{})
					is(t, "Drain", err, nil)
					equal(t, "ran", ran, false)
					if how == "panics" {
						inline := task.MustNew(fn, task.Inline(), task.Limits(l), task.System(sys))
						is(t, "inline", failure(inline.Submit(t.Context(), 1)), want)
						inline.Stop()
					}
				})
			})
		}
	}
}

// TestALimiterIsAskedUnderNoLock fails by a deadlock: the call at the head of
// the limiter's queue ends while its worker is on its way to the gate, which
// lets another call of the same pool through.
func TestALimiterIsAskedUnderNoLock(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("db", 3))
		held := hold(t, set, "db", 2)
		large := make(chan *task.Future[int], 1)
		var second *task.Future[int]
		var tk *task.Task[int, int]
		times := 0
		l := &queuer{Queuer: set, after: func() {
			if times++; times == 1 {
				f := <-large
				second = tk.Submit(context.Background(), 1)
				for statOf(t, set, "db").Waiting < 2 {
					time.Sleep(time.Millisecond)
				}
				f.Cancel()
			}
		}}
		tk = task.MustNew(sq, task.Workers(2), task.Balance(task.RoundRobin), task.Limits(l), task.System(sys),
			task.Cost(func(x int) limits.Request { return limits.Request{"db": x} }))
		defer tk.Stop()
		f := tk.Submit(context.Background(), 3)
		large <- f
		is(t, "the large one", failure(f), context.Canceled)
		equal(t, "the other", result(t, second), 1)
		held.Release()
		free(t, set, "db")
	})
}
