package task_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// Guarantee 1: every Future completes exactly once.
func TestFutureCompletesExactlyOnceWhoeverEndsIt(t *testing.T) {
	t.Parallel()
	const rounds = 300
	for name, opts := range map[string][]task.Option{
		"plain":    nil,
		"record":   {task.Timeout(50 * time.Microsecond), task.QueueTimeout(100 * time.Microsecond)},
		"retries":  {task.Retries(task.RetryPolicy{Max: 2, Backoff: task.Constant(20 * time.Microsecond)})},
		"members":  {task.Balance(task.LeastActive)},
		"bounded":  {task.Queue(1)},
		"restarts": {task.Supervise(supervisor.Policy{MaxRestarts: -1})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sys := newSystem()
			for round := range rounds {
				p := task.MustNew(func(ctx context.Context, x int) (int, error) {
					switch x % 5 {
					case 0:
						panic(x)
					case 1:
						return 0, errBoom
					case 2:
						<-ctx.Done()
						return 0, ctx.Err()
					}
					return x, nil
				}, append(opts, task.Workers(2), task.System(sys))...)
				ctx, cancel := context.WithCancel(context.Background())
				var completions [10]atomic.Int32
				var fs [10]*task.Future[int]
				var all sync.WaitGroup
				submitted := make(chan struct{}, len(fs))
				for i := range fs {
					all.Add(1)
					// Not in a row: with a bound, Submit may wait for what comes later.
					all.Go(func() {
						fs[i] = p.Submit(ctx, i)
						fs[i].OnDone(func(int, error) { completions[i].Add(1); all.Done() })
						submitted <- struct{}{}
						if i%5 == 2 || i%3 == round%3 {
							fs[i].Cancel()
						}
					})
				}
				all.Go(func() {
					for range round % 4 {
						<-submitted
					}
					switch round % 3 { // else the calls end by themselves
					case 1:
						p.Stop()
					case 2:
						cancel()
					}
				})
				all.Wait()
				p.Stop()
				for i, f := range fs {
					if n := completions[i].Load(); n != 1 {
						t.Fatalf("round %d: call %d completed %d times", round, i, n)
					}
					v, err := f.Result()
					if v2, err2 := f.Result(); v2 != v || err2 != err {
						t.Fatalf("round %d: call %d: outcome %v, %v became %v, %v", round, i, v, err, v2, err2)
					}
				}
				cancel()
			}
		})
	}
}

// Guarantee 1: who comes too late with another end changes nothing.
func TestFirstEndOfACallIsItsOnlyOne(t *testing.T) {
	t.Parallel()
	returns := map[string]func() (int, error){
		"value":  func() (int, error) { return 7, nil },
		"error":  func() (int, error) { return 7, errBoom },
		"panic":  func() (int, error) { panic(errBoom) },
		"Goexit": func() (int, error) { runtime.Goexit(); return 7, nil },
	}
	for _, how := range []string{"Cancel", "ctx", "Timeout", "Stop"} {
		for what, fn := range returns {
			for name, opts := range engines() {
				if name == "inline" {
					continue
				}
				t.Run(how+", then "+what+" "+name, func(t *testing.T) {
					t.Parallel()
					bubble(t, func(t *testing.T, sys *actor.System) {
						open := make(chan struct{})
						p := task.MustNew(func(context.Context, int) (int, error) { <-open; return fn() },
							append(opts, task.System(sys), task.StopGrace(time.Hour))...)
						view := p
						if how == "Timeout" {
							view = p.With(task.Timeout(time.Minute))
						}
						ctx, cancel := context.WithCancelCause(context.Background())
						defer cancel(nil)
						f := view.Submit(ctx, 1)
						times := 0
						f.OnDone(func(int, error) { times++ })
						synctest.Wait()
						switch how {
						case "Cancel":
							equal(t, "Cancel", f.Cancel(), true)
						case "ctx":
							cancel(errCause)
						case "Timeout":
							time.Sleep(time.Minute)
						case "Stop":
							go p.Stop()
						}
						synctest.Wait()
						v, err, ok := f.Poll()
						if v != 0 || err == nil || !ok {
							t.Fatalf("after %s: got %v, %v, %v", how, v, err, ok)
						}
						equal(t, "a later Cancel", f.Cancel(), false)
						close(open)
						synctest.Wait()
						v2, err2, _ := f.Poll()
						if v2 != v || err2 != err {
							t.Errorf("the outcome %v, %v became %v, %v when the function returned", v, err, v2, err2)
						}
						equal(t, "completions", times, 1)
						addsUp(t, p)
						p.Stop()
					})
				})
			}
		}
	}
}

// Guarantee 2: no call is run twice.
func TestNoCallIsRunTwice(t *testing.T) {
	t.Parallel()
	const calls = 6_000
	for name, opts := range map[string][]task.Option{
		"plain":   nil,
		"members": {task.Balance(task.RoundRobin)},
		"ranked":  {task.Priority(func(x int) int { return x % 7 })},
		"bounded": {task.Queue(16)},
		"record":  {task.QueueTimeout(200 * time.Microsecond)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var runs [calls]atomic.Int32
			p := task.MustNew(func(ctx context.Context, x int) (int, error) {
				runs[x].Add(1)
				if x%1000 == 0 {
					runtime.Gosched() // make others steal what waits behind
				}
				return x, nil
			}, append(opts, task.Workers(4))...)
			fs := make([]*task.Future[int], calls)
			for i := range fs {
				fs[i] = p.Submit(context.Background(), i)
				if i%3 == 0 {
					fs[i/2].Cancel()
				}
			}
			for i, f := range fs {
				_, err := f.Result()
				if n := runs[i].Load(); n > 1 || err == nil && n != 1 {
					t.Fatalf("call %d with outcome %v: run %d times", i, err, n)
				}
			}
			p.Stop()
		})
	}
}

// Guarantee 2: no call is run after its Future was completed by Stop, Cancel or
// QueueTimeout.
func TestNoCallIsRunAfterItsEnd(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"plain":   nil,
		"quick":   {task.Name("quick")},
		"members": {task.Balance(task.RoundRobin)},
		"ranked":  {task.Priority(func(x int) int { return x % 7 })},
		"bounded": {task.Queue(1000)},
		"record":  {task.Timeout(time.Hour)},
	} {
		for _, how := range []string{"Cancel", "ctx", "QueueTimeout", "Stop"} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					open := make(chan struct{})
					var run []int
					p := task.MustNew(func(_ context.Context, x int) (int, error) {
						run = append(run, x)
						if x == -1 {
							<-open
						}
						return x, nil
					}, append(opts, task.Workers(1), task.System(sys), task.StopGrace(time.Hour))...)
					bg := context.Background()
					if name == "quick" { // so that workers take several calls at once
						for range 1000 {
							p.Submit(bg, 0)
						}
						synctest.Wait()
						run = nil
					}
					ctx, cancel := context.WithCancel(bg)
					defer cancel()
					view := p
					if how == "QueueTimeout" {
						view = p.With(task.QueueTimeout(time.Minute))
					}
					p.Submit(bg, -1)
					if name == "ranked" { // else others would go first
						synctest.Wait()
					}
					var fs []*task.Future[int]
					for i := range 200 {
						fs = append(fs, view.Submit(ctx, i))
					}
					synctest.Wait()
					switch how {
					case "Cancel":
						for _, f := range fs {
							f.Cancel()
						}
					case "ctx":
						cancel()
					case "QueueTimeout":
						time.Sleep(time.Minute)
					case "Stop":
						go p.Stop()
					}
					synctest.Wait()
					for i, f := range fs {
						if !done(f) {
							t.Fatalf("call %d is not done at once", i)
						}
					}
					close(open)
					if how == "Stop" {
						p.Stop()
					} else if v, err := p.Call(bg, 1000); v != 1000 || err != nil {
						t.Fatal(v, err)
					}
					synctest.Wait()
					if len(run) > 2 || run[0] != -1 {
						t.Errorf("%d calls were run, want that of the stuck worker and one more", len(run))
					}
					p.Stop()
				})
			})
		}
	}
}

// Guarantee 4: user code never runs under a lock of ours.
func TestCallbacksMayUseTheTask(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		var p *task.Task[int, int]
		use := func() {
			p.Stats()
			f, _ := p.TrySubmit(context.Background(), 100)
			f.Cancel()
			_ = p.Resize(2)
			p.PID()
			p.Name()
		}
		ends := make(chan string, 100)
		p = task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 1 {
				use()
				return 0, errBoom
			}
			if x == 2 {
				<-ctx.Done()
			}
			if x == 3 {
				panic("bad")
			}
			return x, nil
		}, task.System(sys),
			task.Priority(func(x int) int {
				if x < 100 {
					use()
				}
				return x
			}),
			task.Until(func(x int) error {
				if x < 100 {
					use()
				}
				return nil
			}),
			task.Retries(task.RetryPolicy{Max: 1, Backoff: task.Constant(0), On: func(a task.Attempt) bool {
				if a.In.(int) < 100 {
					use()
				}
				return true
			}}),
			task.Supervise(supervisor.Policy{Decide: func(error) supervisor.Directive { use(); return supervisor.Resume }}))
		bg := context.Background()
		for i := range 4 {
			f := p.Submit(bg, i)
			f.OnDone(func(int, error) { use(); ends <- "OnDone" })
			synctest.Wait()
			f.Cancel()
			<-ends
		}
		waiting := p.Submit(bg, 2)
		synctest.Wait()
		waiting.OnDone(func(int, error) { use(); ends <- "stopped" })
		p.Stop()
		<-ends
	})
}

// Guarantee 4: a panic in a callback is contained.
func TestPanicInACallbackIsContained(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		p := task.MustNew(func(ctx context.Context, x int) (int, error) {
			if x == 100 {
				<-ctx.Done()
			}
			return x, nil
		},
			task.System(sys), task.Workers(1), task.Priority(func(x int) int {
				if x == 5 {
					panic("in Priority")
				}
				return 0
			}))
		bg := context.Background()
		watched := func(f *task.Future[int]) (called chan struct{}) {
			called = make(chan struct{})
			f.OnDone(func(int, error) { panic("in OnDone") })
			f.OnDone(func(int, error) { close(called) })
			return called
		}
		for i := range 10 {
			f := p.Submit(bg, i)
			<-watched(f)
			equal(t, "result", result(t, f), i)
			f.OnDone(func(int, error) { panic("at once") })
		}
		// On the goroutines of those who end a call otherwise.
		f := p.Submit(bg, 100)
		called := watched(f)
		f.Cancel()
		<-called
		ctx, cancel := context.WithCancel(bg)
		called = watched(p.Submit(ctx, 100))
		cancel()
		<-called
		<-watched(p.With(task.Timeout(time.Second)).Submit(bg, 100))
		f, complete := actor.NewFuture[int]()
		called = watched(f)
		complete(1, nil)
		<-called
		called = watched(p.Submit(bg, 100))
		synctest.Wait()
		equal(t, "report", p.Stop(), task.Report{Cancelled: 1})
		<-called
	})
}

// Guarantee 5: fire and forget. A Future that nobody awaits holds no goroutine.
func TestUnawaitedFuturesHoldNoGoroutine(t *testing.T) {
	// Not parallel: it counts goroutines.
	var n atomic.Int32
	p := task.MustNew(func(_ context.Context, x int) (int, error) { n.Add(1); return x, nil }, task.Workers(2), task.Timeout(time.Hour))
	g := newGate()
	slow := task.MustNew(g.ignore, task.Workers(1))
	first := slow.Submit(context.Background(), 0)
	<-g.started
	ctx, cancel := context.WithCancel(context.Background())
	before := runtime.NumGoroutine()
	var last *task.Future[int]
	for i := range 1000 {
		p.Submit(context.Background(), i)
		slow.Submit(ctx, i)
		f, _ := actor.NewFuture[int]()
		p.SubmitFuture(ctx, f)
		last = slow.With(task.QueueTimeout(time.Hour)).Submit(ctx, i)
	}
	if after := runtime.NumGoroutine(); after > before+10 {
		t.Errorf("%d calls that nobody awaits hold %d goroutines", 4000, after-before)
	}
	cancel()
	is(t, "cancelled", failure(last), context.Canceled)
	close(g.open)
	result(t, first)
	if _, err := p.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	equal(t, "calls run", n.Load(), 1000)
	slow.Stop()
}

// Guarantee 6: submitted order is kept with one worker.
func TestOneWorkerKeepsTheOrderOfSubmission(t *testing.T) {
	t.Parallel()
	const calls = 6_000
	for name, opts := range map[string][]task.Option{
		"plain":      nil,
		"members":    {task.Balance(task.RoundRobin)},
		"same level": {task.Priority(func(int) int { return 3 })},
		"bounded":    {task.Queue(7)},
		"on demand":  {task.OnDemand()},
		"record":     {task.Timeout(time.Hour)},
		"idle":       {task.IdleTimeout(time.Microsecond)},
		"restarts":   {task.Supervise(supervisor.Policy{MaxRestarts: -1})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := 0
			p := task.MustNew(func(_ context.Context, x int) (int, error) {
				if x != next {
					t.Errorf("call %d ran in place of %d", x, next)
				}
				next = x + 1
				switch {
				case x%1001 == 1000:
					panic(x)
				case x%1501 == 1500:
					runtime.Goexit()
				}
				return x, nil
			}, append(opts, task.Workers(1), task.System(newSystem()))...)
			fs := make([]*task.Future[int], calls)
			for i := range fs {
				fs[i] = p.Submit(context.Background(), i)
			}
			if _, err := p.Drain(context.Background()); err != nil {
				t.Fatal(err)
			}
			equal(t, "calls run", next, calls)
		})
	}
}

func TestOrderIsKeptWhenTheCallerLendsAHand(t *testing.T) {
	t.Parallel()
	next := 0
	p := task.MustNew(func(_ context.Context, x int) (int, error) {
		if x != next {
			t.Errorf("call %d ran in place of %d", x, next)
		}
		next = x + 1
		return x, nil
	}, task.Workers(1))
	defer p.Stop()
	bg := context.Background()
	for i := 0; i < 30_000; i += 3 {
		p.Submit(bg, i)
		f := p.Submit(bg, i+1)
		switch i % 2 {
		case 0:
			f.Await(bg)
		case 1:
			f.Poll()
		}
		if v, err := p.Call(bg, i+2); v != i+2 || err != nil {
			t.Fatal(v, err)
		}
	}
}
