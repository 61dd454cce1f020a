package limits_test

import (
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
)

// asker is an actor that asks for a permit without naming a holder, and ignores
// the answer; it blocks while it handles a channel, until that is closed.
func asker(sys *actor.System) *actor.PID {
	return sys.ActorSystem().Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		switch m := ctx.Message().(type) {
		case *actor.PID:
			ctx.Request(m, limits.AcquireMsg{})
		case chan struct{}:
			<-m
		}
	}))
}

// heirs counts what the actors of Sets have left in the engine.
func heirs(sys *actor.System) (n int) {
	for _, bucket := range sys.ActorSystem().ProcessRegistry.LocalPIDs.LocalPIDs {
		for _, id := range bucket.Keys() {
			if strings.HasPrefix(id, "limits/heir/") {
				n++
			}
		}
	}
	return n
}

func TestPermitInTheMailboxOfAnAskerThatStopsComesBack(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("r", 1))
		held := acquire(t, set, nil)
		root, pid := sys.ActorSystem().Root, asker(sys)
		busy := make(chan struct{})
		root.Send(pid, set.PID(sys))
		root.Send(pid, busy)
		synctest.Wait()
		held.Release()
		synctest.Wait()
		if st := stat(t, set, "r"); st.Granted != 2 || st.Used != 1 {
			t.Fatalf("got %+v, want the permit on its way", st)
		}
		root.Stop(pid)
		close(busy)
		synctest.Wait()
		if st := stat(t, set, "r"); st.Used != 0 {
			t.Errorf("got %+v, want it back", st)
		}
	})
}

func TestHoldersAreWatchedAfterTheActorHasStopped(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("r", 5))
		root := sys.ActorSystem().Root
		permits := make(chan actor.Result[*limits.Permit], 3)
		one, two, done, gone := client(sys, permits), asker(sys), client(sys, permits), asker(sys)
		root.Send(done, set.PID(sys))
		(<-permits).Value.Release()
		for _, pid := range []*actor.PID{one, two, gone} {
			root.Send(pid, set.PID(sys))
		}
		synctest.Wait()
		if err := sys.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := stat(t, set, "r"); st.Used != 3 || heirs(sys) != 1 {
			t.Errorf("got %+v, %d heirs, want the permits held on", st, heirs(sys))
		}
		root.Send(two, set.PID(sys)) // of another actor
		synctest.Wait()
		for i, pid := range []*actor.PID{gone, one, two} {
			root.Stop(pid)
			synctest.Wait()
			if st, want := stat(t, set, "r"), []int{3, 2, 0}[i]; st.Used != want {
				t.Errorf("got %+v, want %d held", st, want)
			}
		}
		if got := heirs(sys); got != 0 {
			t.Errorf("%d heirs are left", got)
		}
		root.Stop(done)
	})
}

// TestNothingIsLostWhenGrantsMeetTheStop runs in real time, so that they do.
func TestNothingIsLostWhenGrantsMeetTheStop(t *testing.T) {
	for range 100 {
		sys := actor.NewSystem(actor.Logger(slog.New(slog.NewTextHandler(io.Discard, nil))))
		root := sys.ActorSystem().Root
		set := limits.MustNew(limits.Resource("r", 2))
		held := acquire(t, set, limits.Request{"r": 2})
		pids := []*actor.PID{asker(sys), asker(sys)}
		for _, pid := range pids {
			root.Send(pid, set.PID(sys))
		}
		f := ask[*limits.Permit](sys, set.PID(sys), limits.AcquireMsg{})
		for stat(t, set, "r").Waiting < 3 {
			yield()
		}
		var all sync.WaitGroup
		all.Go(held.Release)
		all.Go(func() {
			if err := sys.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if p, err := f.Await(t.Context()); err == nil {
			p.Release()
		}
		for _, pid := range pids {
			if err := root.StopFuture(pid).Wait(); err != nil {
				t.Error(err)
			}
		}
		// Who was granted and then stopped has told its watcher before this.
		if st := stat(t, set, "r"); st.Used != 0 || st.Waiting != 0 {
			t.Fatalf("got %+v, want nothing held", st)
		}
	}
}

func TestAnAskerThatDawdlesDelaysOnlyAnswers(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("r", 2))
		held := acquire(t, set, limits.Request{"r": 2})
		dawdle := make(chan struct{})
		f := ask[*limits.Permit](sys, set.PID(sys), limits.AcquireMsg{})
		f.OnDone(func(*limits.Permit, error) { <-dawdle })
		synctest.Wait()
		next := inBackground(t.Context(), set, nil)
		synctest.Wait()
		held.Release() // does not wait for the callback
		granted(t, next).permit.Release()

		// The actor is busy still; another takes its place at once.
		old := set.PID(sys)
		sys.ActorSystem().Root.Stop(old)
		set.Close()
		if now := set.PID(sys); now.Equal(old) {
			t.Error("got the PID of an actor that was told to stop")
		}
		if _, err := ask[*limits.Permit](sys, set.PID(sys), limits.AcquireMsg{}).Await(t.Context()); err != limits.ErrClosed {
			t.Errorf("got %v, want ErrClosed", err)
		}
		close(dawdle)
		if p, err := f.Await(t.Context()); err != nil {
			t.Error(err)
		} else {
			p.Release()
		}
	})
}

func TestGoexitInACallbackLeavesTheActorAlive(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("r", 2))
		goexit := func() *actor.Future[*limits.Permit] {
			f := ask[*limits.Permit](sys, set.PID(sys), limits.AcquireMsg{})
			f.OnDone(func(*limits.Permit, error) { runtime.Goexit() })
			return f
		}
		held := acquire(t, set, limits.Request{"r": 2})
		a := goexit()
		b := ask[*limits.Permit](sys, set.PID(sys), limits.AcquireMsg{})
		synctest.Wait()
		held.Release() // both are to be told
		for _, f := range []*actor.Future[*limits.Permit]{a, b} {
			p, err := f.Await(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Release()
		}
		// The same in the answers of its stop.
		waiting := []*actor.Future[*limits.Permit]{goexit(), goexit(), goexit()}
		synctest.Wait()
		if err := sys.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, f := range waiting {
			if _, err := f.Await(t.Context()); err == nil {
				t.Error("got a permit of an actor that had stopped")
			}
		}
		if got := stat(t, set, "r"); got.Waiting != 0 || got.Used != 2 {
			t.Errorf("got %+v, want none waiting", got)
		}
	})
}

func TestActorIsSpawnedBehindTheBackOfSpawnMiddleware(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		spawned := 0
		sys.ActorSystem().Root.WithSpawnMiddleware(func(next proto.SpawnFunc) proto.SpawnFunc {
			return func(as *proto.ActorSystem, id string, props *proto.Props, parent proto.SpawnerContext) (*proto.PID, error) {
				spawned++
				return next(as, id, props, parent)
			}
		})
		limits.MustNew().PID(sys)
		if spawned != 0 {
			t.Error("the program's spawn middleware saw the actor")
		}
		sys.ActorSystem().Root.Stop(asker(sys))
		if spawned != 1 {
			t.Errorf("it saw %d spawns, want that of its own actor", spawned)
		}
	})
}
