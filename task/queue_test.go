package task_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// bounded lists options beside which a Queue bound has to hold.
func bounded() map[string][]task.Option {
	return map[string][]task.Option{
		"plain":       nil,
		"ranked":      {task.Priority(func(int) int { return 0 })},
		"round robin": {task.Balance(task.RoundRobin)},
		"on demand":   {task.OnDemand()},
		"record":      {task.Timeout(24 * time.Hour)},
	}
}

func TestQueueHoldsItsBoundAndNoCallLess(t *testing.T) {
	t.Parallel()
	for name, opts := range bounded() {
		for _, bound := range []int{1, 2, 7} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					bg := context.Background()
					g := newGate()
					p := task.MustNew(g.ignore, append(opts, task.System(sys), task.Workers(2), task.Queue(bound))...)
					fs := []*task.Future[int]{p.Submit(bg, 0)}
					synctest.Wait()
					fs = append(fs, p.Submit(bg, 1))
					synctest.Wait() // both workers are busy: these do not count
					for i := range bound {
						f, ok := p.TrySubmit(bg, 2+i)
						if !ok {
							t.Fatalf("call %d of %d finds the queue full", i+1, bound)
						}
						fs = append(fs, f)
					}
					if f, ok := p.TrySubmit(bg, 99); ok || f != nil {
						t.Fatal("the queue takes more than its bound")
					}
					equal(t, "Queued", p.Stats().Queued, bound)
					accepted := false
					go func() {
						fs = append(fs, p.Submit(bg, 2+bound))
						accepted = true
					}()
					synctest.Wait()
					equal(t, "Submit returned from a full queue", accepted, false)
					g.open <- struct{}{} // one function returns, one place becomes free
					synctest.Wait()
					equal(t, "Submit returned when there is room", accepted, true)
					_, ok := p.TrySubmit(bg, 98)
					equal(t, "there is room for one more", ok, false)
					close(g.open)
					for i, f := range fs {
						equal(t, "result", result(t, f), i)
					}
					s := p.Stats()
					equal(t, "Submitted", s.Submitted, uint64(len(fs)))
					equal(t, "Rejected", s.Rejected, 2)
					equal(t, "Queued", s.Queued, 0)
					p.Stop()
				})
			})
		}
	}
}

func TestRejectFailsAtOnceWhenTheQueueIsFull(t *testing.T) {
	t.Parallel()
	for name, opts := range bounded() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				bg := context.Background()
				p, g, first := stuck(t, sys, append(opts, task.Queue(1), task.Reject())...)
				queued := p.Submit(bg, 1)
				f := p.Submit(bg, 2)
				equal(t, "done at once", done(f), true)
				is(t, "Submit", failure(f), task.ErrQueueFull)
				_, err := p.Call(bg, 2)
				is(t, "Call", err, task.ErrQueueFull)
				if errors.Is(err, task.ErrStopped) || errors.Is(err, context.Canceled) {
					t.Errorf("%v is also something else", err)
				}
				f, ok := p.TrySubmit(bg, 2)
				if ok || f != nil {
					t.Error("TrySubmit does not report a full queue")
				}
				is(t, "SubmitFuture", failure(p.SubmitFuture(bg, actor.Completed(2, nil))), task.ErrQueueFull)
				equal(t, "Rejected", p.Stats().Rejected, 4)
				close(g.open)
				equal(t, "running", result(t, first), -1)
				equal(t, "queued", result(t, queued), 1)
				equal(t, "later", result(t, p.Submit(bg, 3)), 3)
				equal(t, "Submitted", p.Stats().Submitted, 3)
				p.Stop()
			})
		})
	}
}

func TestBlockedSubmitEndsWithItsCtx(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p, g, _ := stuck(t, sys, task.Queue(1))
		queued := p.Submit(context.Background(), 1)
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Minute, errCause)
		defer cancel()
		start := time.Now()
		equal(t, "outcome", failure(p.Submit(ctx, 2)), errCause)
		equal(t, "after", time.Since(start), time.Minute)
		equal(t, "Queued", p.Stats().Queued, 1)
		close(g.open)
		equal(t, "queued", result(t, queued), 1)
		equalSlices(t, "run", g.ran(), []int{1})
		addsUp(t, p)
		p.Stop()
	})
}

// addsUp fails the test unless every submitted call is counted in one end.
func addsUp[In, Out any](t *testing.T, p *task.Task[In, Out]) {
	t.Helper()
	s := p.Stats()
	if ends := s.Finished + s.Failed + s.Panicked + s.Cancelled + s.TimedOut; s.Submitted != ends || s.Queued != 0 {
		t.Errorf("%d calls submitted, %d queued, %d ended: %+v", s.Submitted, s.Queued, ends, s)
	}
}

func TestBlockedSubmittersAreAdmittedInTheirOrder(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p, g, _ := stuck(t, sys, task.Queue(2))
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		var want []int
		for i := range 20 {
			all.Go(func() {
				if i%5 == 4 {
					p.Submit(ctx, i)
				} else {
					p.Submit(context.Background(), i)
				}
			})
			synctest.Wait()
			if i%5 != 4 {
				want = append(want, i)
			}
		}
		cancel()
		synctest.Wait()
		close(g.open)
		all.Wait()
		if _, err := p.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		equalSlices(t, "run", g.ran(), want)
	})
}

func TestEndOfAWaitingCallFreesItsPlace(t *testing.T) {
	t.Parallel()
	for name, opts := range bounded() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				bg := context.Background()
				p, g, _ := stuck(t, sys, append(opts, task.Queue(2))...)
				ctx, cancel := context.WithCancel(bg)
				a, b := p.Submit(bg, 1), p.Submit(ctx, 2)
				var c, d *task.Future[int]
				var all sync.WaitGroup
				all.Go(func() { c = p.Submit(bg, 3) })
				all.Go(func() { d = p.Submit(bg, 3) })
				synctest.Wait()
				a.Cancel()
				synctest.Wait()
				equal(t, "Queued", p.Stats().Queued, 2)
				cancel()
				all.Wait()
				equal(t, "Queued", p.Stats().Queued, 2)
				_, ok := p.TrySubmit(bg, 4)
				equal(t, "room for one more", ok, false)
				view := p.With(task.QueueTimeout(time.Second))
				c.Cancel()
				e, ok := view.TrySubmit(bg, 5)
				equal(t, "room in the place of a cancelled one", ok, true)
				time.Sleep(time.Second)
				is(t, "outcome", failure(e), context.DeadlineExceeded)
				e, ok = p.TrySubmit(bg, 6)
				equal(t, "room in the place of one that waited too long", ok, true)
				close(g.open)
				equal(t, "result", result(t, d), 3)
				equal(t, "result", result(t, e), 6)
				is(t, "outcome", failure(b), context.Canceled)
				equalSlices(t, "run", g.ran(), []int{3, 6})
				addsUp(t, p)
				p.Stop()
			})
		})
	}
}

func TestCancelledCallsDoNotPileUpBehindAStuckWorker(t *testing.T) {
	t.Parallel()
	for name, opts := range bounded() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, behind := range []int{0, 100} {
				g := newGate()
				p := task.MustNew(g.ignore, append(opts, task.Workers(1))...)
				bg := context.Background()
				first := p.Submit(bg, -1)
				<-g.started
				var waiting []*task.Future[int]
				for i := range behind {
					waiting = append(waiting, p.Submit(bg, i))
				}
				var collected atomic.Int32
				calls, group := 10_000, 100
				if name == "plain" && behind == 0 {
					calls, group = 100_000, 1000
				}
				for i := range calls {
					f := p.Submit(bg, behind+i)
					if i%group == 0 {
						runtime.AddCleanup(f, func(int) { collected.Add(1) }, 0)
					}
					if !f.Cancel() {
						t.Fatal("a waiting call cannot be cancelled")
					}
				}
				for range 5 {
					runtime.GC()
				}
				if got := collected.Load(); int(got) < calls/group-5 {
					t.Errorf("behind %d that wait: of %d cancelled calls looked at %d were collected", behind, calls/group, got)
				}
				equal(t, "Queued", p.Stats().Queued, behind)
				close(g.open)
				equal(t, "result of the first", result(t, first), -1)
				for i, f := range waiting {
					equal(t, "result of one that waited", result(t, f), i)
				}
				equal(t, "Finished", p.Stats().Finished, uint64(behind+1))
				equal(t, "report", p.Stop(), task.Report{})
			}
		})
	}
}

func TestBlockedSubmittersThatGiveUpDoNotPileUp(t *testing.T) {
	t.Parallel()
	g := newGate()
	p := task.MustNew(g.ignore, task.Workers(1), task.Queue(1))
	bg := context.Background()
	p.Submit(bg, -1)
	<-g.started
	p.Submit(bg, 0)
	view := p.With(task.QueueTimeout(time.Nanosecond))
	var collected atomic.Int32
	const calls = 1000
	for range calls {
		f := view.Submit(bg, 1)
		is(t, "outcome", failure(f), context.DeadlineExceeded)
		runtime.AddCleanup(f, func(int) { collected.Add(1) }, 0)
	}
	for range 5 {
		runtime.GC()
	}
	if got := collected.Load(); got < calls-10 {
		t.Errorf("of %d calls that gave up %d were collected", calls, got)
	}
	close(g.open)
	if _, err := p.Drain(bg); err != nil {
		t.Fatal(err)
	}
	addsUp(t, p)
}

func TestHigherPriorityGoesFirstAndLevelsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	for _, b := range []task.Balancing{task.Shared, task.RoundRobin} {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				// The level is the hundreds of the argument.
				level := func(x int) int {
					switch x / 100 {
					case 8:
						return math.MaxInt
					case 9:
						return math.MinInt
					}
					return x / 100
				}
				p, g, _ := stuck(t, sys, task.Priority(level), task.Balance(b))
				for _, x := range []int{101, 301, 901, 102, 201, 302, 801, -101, 103, 202, 303, 802, 1, -201} {
					p.Submit(context.Background(), x)
				}
				close(g.open)
				if _, err := p.Drain(context.Background()); err != nil {
					t.Fatal(err)
				}
				equalSlices(t, "order", g.ran(), []int{801, 802, 301, 302, 303, 201, 202, 101, 102, 103, 1, -101, -201, 901})
			})
		})
	}
}

func TestWaitingCallRisesOneLevelASecond(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		after time.Duration // the call of level 5 comes so much later than that of level 0
		want  []int
	}{
		{0, []int{5, 0}},
		{4 * time.Second, []int{5, 0}},
		{5*time.Second - 1, []int{5, 0}},
		{5 * time.Second, []int{0, 5}}, // equal now: in order of submission
		{6 * time.Second, []int{0, 5}},
	} {
		t.Run(tt.after.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				p, g, _ := stuck(t, sys, task.Priority(func(x int) int { return x }))
				p.Submit(context.Background(), 0)
				time.Sleep(tt.after)
				p.Submit(context.Background(), 5)
				close(g.open)
				if _, err := p.Drain(context.Background()); err != nil {
					t.Fatal(err)
				}
				equalSlices(t, "order", g.ran(), tt.want)
			})
		})
	}
}

func TestNoCallStarvesUnderAStreamOfHigherOnes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			time.Sleep(time.Second)
			return x, nil
		}, task.System(sys), task.Workers(1), task.Priority(func(x int) int { return x }))
		start := time.Now()
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			for ctx.Err() == nil { // as many as the worker can do
				p.Submit(ctx, 10)
				time.Sleep(time.Second)
			}
		}()
		p.Submit(ctx, 10)
		low := p.Submit(ctx, 0)
		equal(t, "result", result(t, low), 0)
		if waited := time.Since(start); waited < 10*time.Second || waited > 14*time.Second {
			t.Errorf("a call ten levels below waited %v, want about 10s", waited)
		}
		cancel()
		p.Stop()
	})
}

func TestPriorityIsAskedOnceForEachCall(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		asked := make(map[int]int)
		var mu sync.Mutex
		p := task.MustNew(func(_ context.Context, x int) (int, error) {
			if x == 1 {
				return 0, errBoom
			}
			return x, nil
		}, task.System(sys), task.Priority(func(x int) int {
			mu.Lock()
			defer mu.Unlock()
			asked[x]++
			return x
		}), task.Retries(task.RetryPolicy{Max: 3}))
		p.Submit(context.Background(), 1).Result()
		p.Submit(context.Background(), 2).Result()
		equal(t, "asked for the retried call", asked[1], 1)
		equal(t, "asked for the other call", asked[2], 1)
		p.Stop()
	})
}

func TestManySubmittersOfASmallQueueAllGetThrough(t *testing.T) {
	t.Parallel()
	for name, opts := range bounded() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const callers, each, bound = 20, 100, 3
			p := task.MustNew(sq, append(opts, task.Workers(2), task.Queue(bound))...)
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for i := range each {
						if q := p.Stats().Queued; q > bound+2 { // and what workers have in hand
							t.Errorf("%d calls wait, want at most %d", q, bound)
						}
						if i%7 == 0 {
							p.Submit(context.Background(), i).Cancel()
						}
						if v, err := p.Call(context.Background(), i); v != i*i || err != nil {
							t.Errorf("got %v, %v", v, err)
						}
					}
				})
			}
			all.Wait()
			if _, err := p.Drain(context.Background()); err != nil {
				t.Fatal(err)
			}
			addsUp(t, p)
		})
	}
}
