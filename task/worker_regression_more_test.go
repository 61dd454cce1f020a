package task_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

// The same for pools of plain tasks, whose calls a limit, a timeout or a tracer
// ends in the middle of something.

func TestAWorkerThatGoesAtTheGateDoesNotKeepThePoolWaiting(t *testing.T) {
	t.Parallel()
	const grace = 10 * time.Second
	for how, stop := range map[string]func(*task.Task[int, int], *family) error{
		"Drain": func(p *task.Task[int, int], _ *family) error { _, err := p.Drain(context.Background()); return err },
		"Stop":  func(p *task.Task[int, int], _ *family) error { p.Stop(); return nil },
		"parent": func(_ *task.Task[int, int], f *family) error {
			return f.sys.ActorSystem().Root.StopFuture(f.parent).Wait()
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				for round := range 100 {
					set := limits.MustNew(limits.Resource("x", 1))
					held := hold(t, set, "x", 1)
					p := task.MustNew(sq, task.System(sys), task.Workers(4), task.Limits(set), costs("x", 1), task.StopGrace(grace))
					var f *family
					if how == "parent" {
						f = adopt(sys, p.Props(), "pool")
					}
					fs := submitAll(context.Background(), p, 4)
					synctest.Wait() // all four at the gate
					start := time.Now()
					var wg sync.WaitGroup
					for _, f := range fs {
						wg.Go(func() { f.Cancel() })
					}
					wg.Go(func() { _ = p.Resize(1) }) // may come too late
					if round%2 == 0 {
						wg.Wait()
					}
					timer := time.AfterFunc(grace, held.Release) // frees what hangs
					if err := stop(p, f); err != nil {
						t.Error(err)
					}
					if d := time.Since(start); d >= grace {
						t.Fatalf("round %d took %v", round, d)
					}
					wg.Wait()
					if timer.Stop() {
						held.Release()
					}
					free(t, set, "x")
					p.Stop()
				}
			})
		})
	}
}

// tracers is a TracerProvider whose spans begin with start.
type tracers struct {
	embedded.TracerProvider
	start func(context.Context)
}

func (p tracers) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return startTracer{start: p.start}
}

type startTracer struct {
	embedded.Tracer
	start func(context.Context)
}

func (t startTracer) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	t.start(ctx)
	return ctx, noop.Span{}
}

func TestThePermitOfAnAttemptWhoseTracerPanicsComesBack(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				set, panics := limits.MustNew(limits.Resource("x", 1)), true
				sys := actor.NewSystem(actor.TracerProvider(tracers{start: func(context.Context) {
					if panics {
						panic(errBoom)
					}
				}}))
				p := task.MustNew(sq, append(opts, task.System(sys), task.Limits(set), costs("x", 1))...)
				for range 3 {
					is(t, "call", failure(p.Submit(context.Background(), 3)), errBoom)
				}
				synctest.Wait()
				free(t, set, "x")
				panics = false
				equal(t, "later call", result(t, p.Submit(context.Background(), 3)), 9)
				p.Stop()
				free(t, set, "x")
				time.Sleep(time.Millisecond) // see bubble
			})
		})
	}
}

// quitter is a Limiter that ends the goroutine of who asks it.
type quitter struct{ asked func() }

func (q quitter) Acquire(context.Context, limits.Request) (*limits.Permit, error) {
	return q.TryAcquire(nil)
}
func (quitter) Stats() []limits.Stat { return nil }

func (q quitter) TryAcquire(limits.Request) (*limits.Permit, error) {
	q.asked()
	runtime.Goexit()
	return nil, nil
}

func TestCancelMayMeetALimiterThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		asked := make(chan struct{}, 1)
		p := task.MustNew(sq, task.System(sys), task.Workers(2), task.Limits(quitter{asked: func() {
			select {
			case asked <- struct{}{}:
			default:
			}
		}}))
		for range 500 {
			f := p.Submit(context.Background(), 1)
			<-asked
			f.Cancel()
			if failure(f) == nil {
				t.Fatal("a call without a permit has run")
			}
			synctest.Wait()
			for len(asked) > 0 {
				<-asked
			}
		}
		p.Stop()
	})
}

// It runs in real time, since a bubble hides the race from the detector.
func TestAnAttemptThatTimedOutBeforeItBeganStillSeesItsArgument(t *testing.T) {
	t.Parallel()
	const timeout = 20 * time.Millisecond
	var slow atomic.Bool
	sys := actor.NewSystem(actor.TracerProvider(tracers{start: func(ctx context.Context) {
		if slow.CompareAndSwap(true, false) {
			<-ctx.Done() // the attempt is over when it begins
		}
	}}))
	seen := make(chan *string, 1)
	var over atomic.Pointer[chan struct{}] // closed when the call has its outcome
	p := task.MustNew(func(ctx context.Context, s *string) (int, error) {
		if ctx.Err() != nil { // shares nothing with the attempt that ends the call
			<-*over.Load() // by then the argument would be forgotten
			select {
			case seen <- s:
			default: // another was late as well
			}
			return 0, nil
		}
		return len(*s), nil
	}, task.System(sys), task.Workers(2), task.Timeout(timeout),
		task.Retries(task.RetryPolicy{Max: 10, Backoff: task.Constant(0)}))
	for i := range 10 {
		ended := make(chan struct{})
		over.Store(&ended)
		slow.Store(true)
		arg := fmt.Sprint("argument ", i)
		equal(t, "result", result(t, p.Submit(context.Background(), &arg)), len(arg))
		close(ended)
		equal(t, "the late function saw its argument", <-seen != nil, true)
	}
	p.Stop()
}
