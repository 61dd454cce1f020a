package supervisor_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/supervisor"
)

var strategySystem = sync.OnceValue(func() *proto.ActorSystem { return quietSystem(slog.DiscardHandler) })

func with(p supervisor.Policy) proto.PropsOption { return proto.WithSupervisor(p.Strategy()) }

func TestOneForOneRestartsTheFailedChildAlone(t *testing.T) {
	f := newFamily(t, strategySystem(), with(supervisor.Policy{}))
	pids := f.spawn("a", "b")
	f.system.Root.Send(pids[1], count{})
	f.expect("b 1")
	f.crash(pids[0], errBoom)
	f.expect("-a", "+a")
	for _, pid := range pids {
		f.system.Root.Send(pid, count{})
	}
	f.expect("a 1", "b 2")
	f.stop(f.parent)
}

func TestOneForAllRestartsAll(t *testing.T) {
	f := newFamily(t, strategySystem(), with(supervisor.Policy{Scope: supervisor.OneForAll, MaxRestarts: 2}))
	pids := f.spawn("a", "b", "c")
	for _, failed := range pids[:2] {
		f.crash(failed, errBoom)
		f.expect("-a", "+a", "-b", "+b", "-c", "+c") // and spends one restart, not three
	}
	for _, pid := range pids {
		f.system.Root.Send(pid, count{})
	}
	f.expect("a 1", "b 1", "c 1")
	f.stop(f.parent)
}

func TestRestForOneRestartsThoseStartedLater(t *testing.T) {
	for name, option := range map[string]func(supervisor.Policy) proto.PropsOption{
		"Strategy": with, "Option": supervisor.Policy.Option,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFamily(t, strategySystem(), option(supervisor.Policy{Scope: supervisor.RestForOne}))
			pids := f.spawn("a", "b", "c", "d")
			f.crash(pids[2], errBoom)
			f.expect("-c", "+c", "-d", "+d")
			f.crash(pids[3], errBoom)
			f.expect("-d", "+d")
			f.crash(pids[0], errBoom)
			f.expect("-a", "+a", "-b", "+b", "-c", "+c", "-d", "+d")
			f.stop(f.parent)
		})
	}
}

// The engine's set of children reads d, b, c after the first has stopped.
func TestRestForOneKeepsOrderWhenChildrenStop(t *testing.T) {
	f := newFamily(t, strategySystem(), supervisor.Policy{Scope: supervisor.RestForOne, MaxRestarts: -1}.Option())
	pids := f.spawn("a", "b", "c", "d")
	f.stop(pids[0])
	f.expect("-a")
	f.crash(pids[1], errBoom)
	f.expect("-b", "+b", "-c", "+c", "-d", "+d")
	f.crash(pids[3], errBoom)
	f.expect("-d", "+d")

	f.stop(pids[1]) // its name comes again, as the last one
	f.expect("-b")
	f.awaitChildren(2)
	pids[1] = f.spawn("b")[0]
	f.crash(pids[3], errBoom)
	f.expect("-d", "+d", "-b", "+b")
	f.crash(pids[1], errBoom)
	f.expect("-b", "+b")
	f.stop(f.parent)
}

func TestResumeKeepsTheStateOfTheChild(t *testing.T) {
	p := supervisor.Policy{Scope: supervisor.OneForAll, MaxRestarts: 1, Decide: func(error) supervisor.Directive { return supervisor.Resume }}
	f := newFamily(t, strategySystem(), with(p))
	a := f.spawn("a", "b")[0]
	for i := range 5 {
		f.crash(a, errBoom)
		f.system.Root.Send(a, count{})
		f.expect(fmt.Sprint("a ", i+1))
	}
	f.stop(f.parent)
}

func TestStopEndsTheScope(t *testing.T) {
	stop := func(error) supervisor.Directive { return supervisor.Stop }
	for scope, want := range map[supervisor.Scope][]string{
		supervisor.OneForOne:  {"-b"},
		supervisor.RestForOne: {"-b", "-c"},
		supervisor.OneForAll:  {"-a", "-b", "-c"},
	} {
		t.Run(scope.String(), func(t *testing.T) {
			f := newFamily(t, strategySystem(), supervisor.Policy{Scope: scope, Decide: stop}.Option())
			f.crash(f.spawn("a", "b", "c")[1], errBoom)
			f.expect(want...)
			f.stop(f.parent)
		})
	}
}

func TestDecideSeesThePanicAsAnError(t *testing.T) {
	seen := make(chan error, 1)
	f := newFamily(t, strategySystem(), with(supervisor.Policy{Decide: func(err error) supervisor.Directive {
		seen <- err
		return supervisor.Resume
	}}))
	a := f.spawn("a")[0]
	f.crash(a, errBoom)
	if err := <-seen; err != errBoom {
		t.Errorf("got %v, want the very error", err)
	}
	f.crash(a, "no error")
	if err := <-seen; err == nil || !strings.HasSuffix(err.Error(), "panicked: no error") {
		t.Errorf("got %v, want the value in words", err)
	}
	f.stop(f.parent)
}

func TestFailuresArePublished(t *testing.T) {
	f := newFamily(t, strategySystem(), with(supervisor.Policy{MaxRestarts: 1}))
	published := f.watchEvents()
	a := f.spawn("a")[0]
	f.crash(a, "first")
	f.expect("-a", "+a")
	f.crash(a, "second")
	f.expect("-a")
	want := []string{
		"RestartDirective a: first",
		"StopDirective a: supervisor: gave up restarting after 1 restart in 10s: supervisor: actor panicked: second",
	}
	if got := published(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	f.stop(f.parent)
}

func TestSpentBudgetGoesToTheParent(t *testing.T) {
	heard := make(chan error, 10)
	top := supervisor.Policy{Decide: func(err error) supervisor.Directive {
		heard <- err
		return supervisor.Restart
	}}
	f := newFamily(t, strategySystem(), with(top))
	middle := f.spawnSupervisor(with(supervisor.Policy{MaxRestarts: 2}))
	for range 3 { // the restarted supervisor begins with a new budget
		a := f.spawnUnder(middle, "a")
		for range 2 {
			f.crash(a, errBoom)
			f.expect("-a", "+a")
		}
		f.crash(a, errBoom)
		if err := <-heard; !errors.Is(err, supervisor.ErrFailed) || !errors.Is(err, errBoom) {
			t.Errorf("the parent heard %v, want ErrFailed and the cause", err)
		}
		f.expect("-a", "+supervisor")
	}
	f.stop(f.parent)
	f.expect("-supervisor", "-supervisor")
	f.quiet()
}

func TestEscalateHandsUpTheOriginalReason(t *testing.T) {
	escalate := supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Escalate }}
	reasons := make(chan any, 1)
	f := newFamily(t, strategySystem(), proto.WithSupervisor(proto.NewOneForOneStrategy(1, 0, func(reason any) proto.Directive {
		reasons <- reason
		return proto.StopDirective
	})))
	middle := f.spawnSupervisor(with(escalate))
	f.crash(f.spawnUnder(middle, "a"), "plain text")
	if got := <-reasons; got != "plain text" {
		t.Errorf("got %#v", got)
	}
	f.expect("-a", "-supervisor")
	f.stop(f.parent)
}

func TestSharedStrategyCountsForEachSupervisor(t *testing.T) {
	shared := with(supervisor.Policy{MaxRestarts: 1})
	families := []*family{newFamily(t, strategySystem(), shared), newFamily(t, strategySystem(), shared)}
	for _, f := range families {
		a := f.spawn("a")[0]
		f.crash(a, errBoom)
		f.expect("-a", "+a")
		f.crash(a, errBoom)
		f.expect("-a")
		f.stop(f.parent)
	}
}

func TestPanickingSubscriberIsContained(t *testing.T) {
	f := emptyFamily(t, quietSystem(slog.DiscardHandler))
	f.system.EventStream.Subscribe(func(e any) {
		if _, ok := e.(*proto.SupervisorEvent); ok {
			panic("subscriber")
		}
	})
	a := f.system.Root.Spawn(f.child("a", proto.WithGuardian(supervisor.Policy{}.Strategy())))
	f.expect("+a")
	f.crash(a, errBoom)
	f.expect("-a", "+a")
	f.stop(a)
}

// spawnSupervisor starts a supervisor below the one of f.
func (f *family) spawnSupervisor(opts ...proto.PropsOption) (pid *proto.PID) {
	f.t.Helper()
	f.inside(f.parent, func(ctx proto.Context) { pid = ctx.Spawn(f.supervisor(opts...)) })
	f.expect("+supervisor")
	return pid
}

// spawnUnder starts a child below any supervisor.
func (f *family) spawnUnder(parent *proto.PID, name string) (pid *proto.PID) {
	f.t.Helper()
	f.inside(parent, func(ctx proto.Context) { pid = ctx.Spawn(f.child(name)) })
	f.expect("+" + name)
	return pid
}
