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
	pid := <-spawned
	equal(t, "PID", square.PID().Id, pid.Id)
	v, err := square.Call(context.Background(), 6)
	equal(t, "value", v, 36)
	equal(t, "error", err, nil)
	equal(t, "Wrap", actor.Wrap(as), sys)
	halt(t, as, parent)
	stop(t, sys)
	equal(t, "actors left", registered(as, "task/"), 0)
}
