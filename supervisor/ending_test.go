package supervisor_test

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/supervisor"
)

var endingSystem = sync.OnceValue(func() *proto.ActorSystem { return quietSystem(slog.DiscardHandler) })

// fragile is the Props of an actor that panics at what panics selects, and has
// children of its own.
func (f *family) fragile(panics func(message any) bool, children ...*proto.Props) *proto.Props {
	return proto.PropsFromFunc(func(ctx proto.Context) {
		if panics(ctx.Message()) {
			panic(errBoom)
		}
		switch ctx.Message().(type) {
		case *proto.Started:
			for _, props := range children {
				ctx.Spawn(props)
			}
			f.events <- "+fragile"
		case *proto.Stopped:
			f.events <- "-fragile"
		}
	}, with(supervisor.Policy{}))
}

func is[T any](message any) bool { _, ok := message.(T); return ok }

// In the engine, such an actor comes back to life, or stays half stopped, and
// the stop of its parent never ends.
func TestStopEndsAlthoughAChildPanicsAtIt(t *testing.T) {
	restart := supervisor.Policy{MaxRestarts: -1}
	resume := supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Resume }}
	for name, panics := range map[string]func(any) bool{
		"Stopping":   is[*proto.Stopping],
		"Stopped":    is[*proto.Stopped],
		"Terminated": is[*proto.Terminated],
		"all":        func(m any) bool { return !is[*proto.Started](m) },
	} {
		for policy, p := range map[string]supervisor.Policy{"Restart": restart, "Resume": resume} {
			for nested := range 3 {
				t.Run(fmt.Sprint(name, "/", policy, "/", nested, "/parent stopped"), func(t *testing.T) {
					f, _ := fragileFamily(t, p, panics, nested)
					f.stop(f.parent)
					f.expectEnd()
				})
				t.Run(fmt.Sprint(name, "/", policy, "/", nested, "/child stopped"), func(t *testing.T) {
					f, child := fragileFamily(t, p, panics, nested)
					f.system.Root.Stop(child)
					f.awaitChildren(0)
					f.stop(f.parent)
					f.expectEnd()
				})
			}
		}
	}
}

// fragileFamily has one fragile child with children.
func fragileFamily(t *testing.T, p supervisor.Policy, panics func(any) bool, nested int) (f *family, child *proto.PID) {
	f = newFamily(t, endingSystem(), with(p))
	var children []*proto.Props
	for range nested {
		children = append(children, f.child("a"))
	}
	f.inside(f.parent, func(ctx proto.Context) { child = ctx.Spawn(f.fragile(panics, children...)) })
	f.expect(append(slices.Repeat([]string{"+a"}, nested), "+fragile")...)
	return f, child
}

// expectEnd checks that the whole family has ended, each at most once.
func (f *family) expectEnd() {
	f.t.Helper()
	ended := map[string]int{}
	for len(f.events) > 0 {
		ended[(<-f.events)[1:]]++
	}
	if ended["supervisor"] != 1 {
		f.t.Errorf("the supervisor ended %d times", ended["supervisor"])
	}
	if left := f.left(f.parent); len(left) > 0 {
		f.t.Errorf("still there: %q", left)
	}
}

func TestWatchersHearOfAStopThatPanicked(t *testing.T) {
	f := newFamily(t, endingSystem(), with(supervisor.Policy{}))
	var pid *proto.PID
	f.inside(f.parent, func(ctx proto.Context) { pid = ctx.Spawn(f.fragile(is[*proto.Stopping])) })
	f.expect("+fragile")
	f.stop(pid) // returns when a watcher has heard of it
	f.expect("-fragile")
	f.stop(f.parent)
}

func TestRootActorUnderAGuardianEndsItsStop(t *testing.T) {
	f := emptyFamily(t, endingSystem())
	guarded := f.fragile(is[*proto.Stopping]).Configure(proto.WithGuardian(supervisor.Policy{}.Strategy()))
	pid := f.system.Root.Spawn(guarded)
	f.expect("+fragile")
	f.stop(pid)
	f.expect("-fragile")
}

// The strategy of a half-way supervisor that is not ours may hand up the
// failed stop of its own child: then the message says Stop, but not the child's.
func TestFailedStopHandedUpEndsInAStop(t *testing.T) {
	escalating := proto.WithSupervisor(proto.NewOneForOneStrategy(1, 0, func(any) proto.Directive { return proto.EscalateDirective }))
	f := newFamily(t, endingSystem(), with(supervisor.Policy{}))
	middle := f.spawnSupervisor(escalating)
	var pid *proto.PID
	f.inside(middle, func(ctx proto.Context) { pid = ctx.Spawn(f.fragile(is[*proto.Stopping])) })
	f.expect("+fragile")
	f.system.Root.Stop(pid)
	f.expect("-fragile", "-supervisor")
	f.stop(f.parent)
}

// Restarts, stops and crashes at once: whatever wins, nothing stays behind.
func TestStrategySurvivesCrashesDuringStops(t *testing.T) {
	for scope := supervisor.OneForOne; scope <= supervisor.RestForOne; scope++ {
		t.Run(scope.String(), func(t *testing.T) {
			p := supervisor.Policy{Scope: scope, MaxRestarts: -1, Backoff: supervisor.Backoff{Initial: 1, Max: 1000_000, Jitter: 1}}
			for range 5 {
				f := newFamily(t, endingSystem(), p.Option())
				var pids []*proto.PID
				for range 10 {
					f.inside(f.parent, func(ctx proto.Context) { pids = append(pids, ctx.Spawn(f.crasher())) })
				}
				var wg sync.WaitGroup
				for _, pid := range pids {
					wg.Go(func() {
						for range 10 {
							f.crash(pid, errBoom)
						}
					})
				}
				wg.Go(func() { f.stop(f.parent) })
				wg.Wait()
				f.expect("-supervisor")
				if left := f.left(f.parent); len(left) > 0 {
					t.Errorf("still there: %q", left)
				}
			}
		})
	}
}

// crasher is the Props of a child that reports nothing and panics at half of
// what it is told, also when it stops.
func (f *family) crasher() *proto.Props {
	var told atomic.Int32
	return proto.PropsFromFunc(func(ctx proto.Context) {
		if _, started := ctx.Message().(*proto.Started); !started && told.Add(1)%2 == 0 {
			panic(errBoom)
		}
	})
}
