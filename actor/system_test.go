package actor_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	proto "github.com/asynkron/protoactor-go/actor"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

func TestASystemIsMadeWhenItIsNeeded(t *testing.T) {
	sys := newSystem()
	equal(t, "address before", sys.Snapshot().Address, "")
	square := task.MustNew(sq, task.System(sys))
	equal(t, "address with an unused task", sys.Snapshot().Address, "")
	var systems [8]*proto.ActorSystem
	var fs []func()
	for i := range systems {
		fs = append(fs, func() { systems[i] = sys.ActorSystem() })
	}
	race(fs...)
	for _, as := range systems {
		equal(t, "ActorSystem", as, systems[0])
	}
	equal(t, "address", sys.Snapshot().Address, "nonhost")
	if v, err := square.Call(context.Background(), 3); v != 9 || err != nil {
		t.Errorf("got %v, %v, want 9", v, err)
	}
	stop(t, sys)
}

func TestDefaultIsOneForTheProcess(t *testing.T) {
	equal(t, "Default", actor.Default(), actor.Default())
	equal(t, "name", actor.Default().Snapshot().Name, "default")
	equal(t, "name of others", actor.NewSystem(nil).Snapshot().Name, "troupe")
	equal(t, "name if given", actor.NewSystem(actor.Name("mine")).Snapshot().Name, "mine")
}

func TestOptionsReachWhoAsks(t *testing.T) {
	meters, tracers := noopmetric.NewMeterProvider(), nooptrace.NewTracerProvider()
	sys := newSystem(actor.MeterProvider(meters), actor.TracerProvider(tracers))
	m, tr := sys.Telemetry()
	equal[any](t, "meters", m, meters)
	equal[any](t, "tracers", tr, tracers)
	m, tr = newSystem().Telemetry()
	equal(t, "meters by default", m, nil)
	equal(t, "tracers by default", tr, nil)
}

func TestWrapGivesTheSameSystem(t *testing.T) {
	as := newEngine()
	var systems [8]*actor.System
	var fs []func()
	for i := range systems {
		fs = append(fs, func() { systems[i] = actor.Wrap(as) })
	}
	race(fs...)
	for _, sys := range systems {
		equal(t, "System", sys, systems[0])
		equal(t, "ActorSystem", sys.ActorSystem(), as)
	}
	stop(t, systems[0])
	equal(t, "after Stop", actor.Wrap(as), systems[0])

	made := newSystem()
	equal(t, "Wrap of what a System has made", actor.Wrap(made.ActorSystem()), made)
	if actor.Wrap(newEngine()) == systems[0] {
		t.Error("two ActorSystems share a System")
	}
}

func TestWrapLogsOptionsThatDiffer(t *testing.T) {
	var log journal
	as, logger := newEngine(), log.logger()
	first := actor.Wrap(as, actor.Logger(logger), actor.Name("mine"), actor.MeterProvider(noopmetric.NewMeterProvider()))
	actor.Wrap(as)
	actor.Wrap(as, nil, actor.Logger(logger), actor.Name("mine"), actor.MeterProvider(noopmetric.NewMeterProvider()))
	equal(t, "log", log.String(), "")
	for name, opt := range map[string]actor.SystemOption{
		"name":    actor.Name("other"),
		"logger":  actor.Logger(slog.Default()),
		"meters":  actor.MeterProvider(bulky{}),
		"tracers": actor.TracerProvider(nooptrace.NewTracerProvider()),
	} {
		before := len(log.String())
		equal(t, "System", actor.Wrap(as, opt), first)
		if got := log.String()[before:]; !strings.Contains(got, "level=WARN") || !strings.Contains(got, "mine") {
			t.Errorf("log for a different %s: got %q, want a warning", name, got)
		}
	}
	equal(t, "name", first.Snapshot().Name, "mine")
}

// bulky is a provider whose values cannot be compared.
type bulky struct {
	noopmetric.MeterProvider
	_ []int
}

func TestWrapOfNilPanics(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "Wrap") {
			t.Errorf("got panic %v, want one that names Wrap", r)
		}
	}()
	actor.Wrap(nil)
}

func TestStopEndsTasksAndNotTheActorSystem(t *testing.T) {
	for name, sys := range map[string]*actor.System{"own": newSystem(), "wrapped": actor.Wrap(newEngine())} {
		t.Run(name, func(t *testing.T) {
			as := sys.ActorSystem()
			bystander, in := inbox(t, as)
			square := task.MustNew(sq, task.System(sys), task.Name("square"))
			square.PID()
			stop(t, sys)
			_, err := square.Call(context.Background(), 1)
			is(t, "a call afterwards", err, task.ErrStopped)
			equal(t, "actors of the task left", registered(as, "task/"), 0)
			equal(t, "ActorSystem stopped", as.IsStopped(), false)
			as.Root.Send(bystander, "still there?")
			equal(t, "answer", <-in, any("still there?"))
			stop(t, sys)

			// The System can be used again, the name too.
			again := task.MustNew(sq, task.System(sys), task.Name("square"))
			v, err := again.Call(context.Background(), 4)
			equal(t, "value", v, 16)
			equal(t, "error", err, nil)
			stop(t, sys)
		})
	}
}

func TestStopEndsTheNewestFirst(t *testing.T) {
	sys := newSystem()
	var order []int
	for i := range 3 {
		_, _ = sys.Units().Add("", "unit", false, &fake{registry: sys, onStop: func() { order = append(order, i) }})
	}
	stop(t, sys)
	if len(order) != 3 || order[0] != 2 || order[2] != 0 {
		t.Errorf("order: got %v, want 2 1 0", order)
	}
}

// fake is a unit of a System.
type fake struct {
	registry *actor.System
	onStop   func()
	err      error
	describe any
}

func (f *fake) Stop(context.Context) error {
	if f.onStop != nil {
		f.onStop()
	}
	if f.err == nil {
		for n := 1; n < 10; n++ {
			f.registry.Units().Remove("unit-"+string(rune('0'+n)), f)
		}
	}
	return f.err
}
func (f *fake) Describe() any { return f.describe }

func TestStopReportsWhatItCouldNotEnd(t *testing.T) {
	sys := newSystem()
	_, _ = sys.Units().Add("", "unit", false, &fake{registry: sys, err: errOwn})
	_, _ = sys.Units().Add("", "unit", false, &fake{registry: sys, err: errCause})
	err := sys.Stop(context.Background())
	is(t, "Stop", err, errOwn)
	is(t, "Stop", err, errCause)
}

func TestStopIsBoundByCtx(t *testing.T) {
	sys := newSystem()
	started, open := make(chan struct{}), make(chan struct{})
	stuck := task.MustNew(func(context.Context, int) (int, error) {
		close(started)
		<-open
		return 0, nil
	}, task.System(sys), task.Name("stuck"))
	stuck.Submit(context.Background(), 1)
	<-started
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errCause)
	err := sys.Stop(ctx)
	is(t, "Stop", err, errCause)
	if err == nil || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("Stop: got %v, want the name of what still runs", err)
	}
	close(open)
	stop(t, sys)
}

func TestStopNamesAbandonedFunctions(t *testing.T) {
	sys := newSystem()
	started, open := make(chan struct{}), make(chan struct{})
	defer close(open)
	stuck := task.MustNew(func(context.Context, int) (int, error) {
		close(started)
		<-open
		return 0, nil
	}, task.System(sys), task.Name("stuck"), task.StopGrace(0))
	stuck.Submit(context.Background(), 1)
	<-started
	if err := sys.Stop(context.Background()); err == nil || !strings.Contains(err.Error(), `"stuck"`) {
		t.Errorf("Stop: got %v, want an error that names the task", err)
	}
}

func TestStopGivesUpOnASystemThatIsUsedAllTheTime(t *testing.T) {
	sys := newSystem()
	ctx, cancel := context.WithCancelCause(context.Background())
	rounds := 0
	var replace func()
	replace = func() {
		if rounds++; rounds == 5 {
			cancel(errCause)
		}
		_, _ = sys.Units().Add("", "unit", false, &fake{registry: sys, onStop: replace})
	}
	replace()
	is(t, "Stop", sys.Stop(ctx), errCause)
}

func TestStopMayBeCalledFromManyGoroutines(t *testing.T) {
	sys := newSystem()
	for range 20 {
		square := task.MustNew(sq, task.System(sys), task.Workers(2))
		race(
			func() { stop(t, sys) },
			func() { square.PID() },
			func() { _, _ = square.Call(context.Background(), 2) },
			func() { stop(t, sys) },
		)
	}
	stop(t, sys)
	equal(t, "actors left", registered(sys.ActorSystem(), "task/"), 0)
	var none context.Context
	if err := sys.Stop(none); err == nil {
		t.Error("Stop(nil): got no error")
	}
}

func TestTwoSystemsInOneProcessDoNotDisturbEachOther(t *testing.T) {
	a, b := actor.Wrap(newEngine()), actor.Wrap(newEngine())
	inA := task.MustNew(sq, task.System(a), task.Name("same"))
	inB := task.MustNew(sq, task.System(b), task.Name("same"))
	inA.PID()
	inB.PID()
	stop(t, a)
	if v, err := inB.Call(context.Background(), 5); v != 25 || err != nil {
		t.Errorf("call in the other system: got %v, %v", v, err)
	}
	equal(t, "in a", registered(a.ActorSystem(), "task/"), 0)
	stop(t, b)
}

func TestASystemIsForgottenWithItsActorSystem(t *testing.T) {
	gone := make(chan struct{})
	func() {
		sys := actor.Wrap(newEngine())
		sys.ActorSystem()
		runtime.AddCleanup(sys, func(ch chan struct{}) { close(ch) }, gone)
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-gone:
			return
		default:
			runtime.Gosched()
		}
	}
	t.Error("a wrapped System that nobody holds is kept in memory")
}

func TestPropsInASystemsOwnEngineStayInThatSystem(t *testing.T) {
	sys := newSystem(actor.Name("mine"))
	as := sys.ActorSystem()
	square := task.MustNew(sq, task.System(sys))
	spawned := make(chan *actor.PID, 1)
	parent := as.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		if _, ok := ctx.Message().(*proto.Started); ok {
			spawned <- ctx.Spawn(square.Props())
		}
	}))
	equal(t, "PID", square.PID().Id, (<-spawned).Id)
	v, err := square.Call(context.Background(), 6)
	equal(t, "value", v, 36)
	equal(t, "error", err, nil)
	equal(t, "Wrap", actor.Wrap(as), sys)
	halt(t, as, parent)
	stop(t, sys)
	equal(t, "actors left", registered(as, "task/"), 0)
}
