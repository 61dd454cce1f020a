package limits_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
)

// inSystem runs test in a bubble with a System of its own, and checks that
// nothing is left of it.
func inSystem(t *testing.T, test func(t *testing.T, sys *actor.System)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sys := actor.NewSystem(actor.Logger(slog.New(slog.NewTextHandler(io.Discard, nil))))
		test(t, sys)
		if err := sys.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if got := sys.Units().Units(); len(got) != 0 {
			t.Errorf("units left: %v", got)
		}
		time.Sleep(time.Minute) // the engine's throttle of dead letters ends by itself
	})
}

// ask requests m of pid and returns the future of the answer.
func ask[T any](sys *actor.System, pid *actor.PID, m any) *actor.Future[T] {
	f, _ := actor.NewFuture[T]()
	sys.ActorSystem().Root.RequestWithCustomSender(pid, m, f.PID(sys))
	return f
}

func TestSetIsAskedByMessage(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("r", 1), limits.Rate("k", 10, time.Hour))
		pid := set.PID(sys)
		if set.PID(sys) != pid || !strings.HasPrefix(pid.Id, "limits/") {
			t.Errorf("got the PID %v, want one named limits/N", pid)
		}
		req := limits.AcquireMsg{Request: limits.Request{"k": 4}}
		p, err := ask[*limits.Permit](sys, pid, req).Await(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		try := limits.AcquireMsg{Request: req.Request, Try: true}
		if _, err := ask[*limits.Permit](sys, pid, &try).Await(t.Context()); err != limits.ErrUnavailable {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		second := ask[*limits.Permit](sys, pid, req)
		synctest.Wait()
		third := inBackground(t.Context(), set, limits.Request{"k": 1}) // the same queue
		synctest.Wait()
		stats, err := ask[[]limits.Stat](sys, pid, limits.StatsMsg{}).Await(t.Context())
		if err != nil || len(stats) != 2 || stats[0].Waiting != 2 || stats[1].Used != 4 {
			t.Errorf("got %+v, %v, want two waiting and 4 used", stats, err)
		}
		release := limits.ReleaseMsg{Permit: p, Used: limits.Request{"k": 1}}
		if _, err := ask[struct{}](sys, pid, release).Await(t.Context()); err != nil {
			t.Error(err)
		}
		q, err := second.Await(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		q.Release()
		granted(t, third).permit.Release()
		if st := stat(t, set, "k"); st.Used != 6 {
			t.Errorf("got %+v, want 1+4+1 used", st)
		}
	})
}

func TestSetAnswersWrongMessagesWithAnError(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("r", 1))
		pid := set.PID(sys)
		_, err := ask[*limits.Permit](sys, pid, limits.AcquireMsg{Request: limits.Request{"x": 1}}).Await(t.Context())
		requestError(t, err, "x")
		var wrong *actor.MessageError
		if _, err := ask[struct{}](sys, pid, "hello").Await(t.Context()); !errors.As(err, &wrong) {
			t.Errorf("got %v, want a *MessageError", err)
		}
		if _, err := ask[struct{}](sys, pid, limits.ReleaseMsg{}).Await(t.Context()); err == nil {
			t.Error("want an error for the release of nothing")
		}
		p := acquire(t, set, nil)
		wrongUse := limits.ReleaseMsg{Permit: p, Used: limits.Request{"x": 1, "r": 1}}
		_, err = ask[struct{}](sys, pid, wrongUse).Await(t.Context())
		if err == nil || !strings.Contains(err.Error(), `"x"`) || !strings.Contains(err.Error(), `"r"`) {
			t.Errorf("got %v, want both errors", err)
		}
		sys.ActorSystem().Root.Send(pid, limits.AcquireMsg{}) // to nobody: not granted
		sys.ActorSystem().Root.Send(pid, "hello")
		synctest.Wait()
		available(t, set, nil)
	})
}

func TestPermitThatReachesNobodyComesBack(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("r", 1))
		held := acquire(t, set, nil)
		f := ask[*limits.Permit](sys, set.PID(sys), limits.AcquireMsg{})
		gone := sys.ActorSystem().Root.RequestFuture(set.PID(sys), limits.AcquireMsg{}, time.Second)
		synctest.Wait()
		if st := stat(t, set, "r"); st.Waiting != 2 {
			t.Fatalf("got %+v, want 2 waiting", st)
		}
		if _, err := gone.Result(); err != proto.ErrTimeout {
			t.Fatalf("got %v, want a timeout", err)
		}
		held.Release()
		p, err := f.Await(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Release() // goes to the one who has timed out
		synctest.Wait()
		if st := stat(t, set, "r"); st.Used != 0 || st.Granted != 3 {
			t.Errorf("got %+v, want the third permit granted and back", st)
		}
	})
}

// client is an actor that passes on the permits it gets.
func client(sys *actor.System, permits chan<- actor.Result[*limits.Permit]) *actor.PID {
	return sys.ActorSystem().Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		switch m := ctx.Message().(type) {
		case *actor.PID:
			ctx.Request(m, limits.AcquireMsg{Holder: ctx.Self()})
		case actor.Result[*limits.Permit]:
			permits <- m
		}
	}))
}

func TestPermitsOfATerminatedHolderComeBack(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("r", 2))
		permits := make(chan actor.Result[*limits.Permit], 3)
		root, pid := sys.ActorSystem().Root, set.PID(sys)
		holder, other := client(sys, permits), client(sys, permits)
		for range 3 { // the third has to wait
			root.Send(holder, pid)
			synctest.Wait()
		}
		root.Send(other, pid)
		synctest.Wait()
		if st := stat(t, set, "r"); st.Used != 2 || st.Waiting != 2 {
			t.Fatalf("got %+v, want 2 held and 2 waiting", st)
		}
		root.Stop(holder)
		synctest.Wait()
		if st := stat(t, set, "r"); st.Used != 1 || st.Waiting != 0 || len(permits) != 3 {
			t.Errorf("got %+v, want only the permit of the other", st)
		}
		root.Send(other, pid)
		synctest.Wait()
		for len(permits) > 0 {
			(<-permits).Value.Release()
		}
		root.Stop(other)
		synctest.Wait()
		if st := stat(t, set, "r"); st.Used != 0 {
			t.Errorf("got %+v, want nothing held", st)
		}
		// A holder that is no more gets nothing.
		ask[*limits.Permit](sys, pid, limits.AcquireMsg{Holder: holder})
		synctest.Wait()
		available(t, set, limits.Request{"r": 2}).Release()
	})
}

func TestActorForgetsWhatItsHoldersReleased(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("r", 1))
		permits := make(chan actor.Result[*limits.Permit], 1)
		holder := client(sys, permits)
		for range 1000 {
			sys.ActorSystem().Root.Send(holder, set.PID(sys))
			(<-permits).Value.Release()
		}
		if got := limits.Remembered(set, sys); got > 32 {
			t.Errorf("remembers %d permits of which none is held", got)
		}
		sys.ActorSystem().Root.Stop(holder)
	})
}

func TestActorStopsWithItsSystemAndWithItsSet(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		set := limits.MustNew(limits.Resource("r", 1))
		held := acquire(t, set, nil)
		waiting := ask[*limits.Permit](sys, set.PID(sys), limits.AcquireMsg{})
		synctest.Wait()
		if err := sys.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p, err := waiting.Await(t.Context()); p != nil || err == nil {
			t.Errorf("got %v, %v, want an error", p, err)
		}
		held.Release()
		available(t, set, nil).Release() // the Set goes on

		again := ask[*limits.Permit](sys, set.PID(sys), limits.AcquireMsg{})
		p, err := again.Await(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		closed := ask[*limits.Permit](sys, set.PID(sys), limits.AcquireMsg{})
		synctest.Wait()
		set.Close()
		if _, err := closed.Await(t.Context()); err != limits.ErrClosed {
			t.Errorf("got %v, want ErrClosed", err)
		}
		p.Release()
		synctest.Wait()
		if got := sys.Units().Units(); len(got) != 0 {
			t.Errorf("units left: %v", got)
		}
		after := ask[*limits.Permit](sys, set.PID(sys), limits.AcquireMsg{})
		if _, err := after.Await(t.Context()); err != limits.ErrClosed {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

func TestEachSystemHasItsOwnActorOfASet(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		inner := actor.Wrap(proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
			return slog.New(slog.NewTextHandler(io.Discard, nil))
		})))
		set := limits.MustNew(limits.Resource("r", 1))
		a, b := set.PID(sys), set.PID(inner)
		if a == b {
			t.Error("two systems share a PID")
		}
		p, err := ask[*limits.Permit](sys, a, limits.AcquireMsg{}).Await(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		try := limits.AcquireMsg{Try: true}
		if _, err := ask[*limits.Permit](inner, b, try).Await(t.Context()); err != limits.ErrUnavailable {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		p.Release()
		if err := inner.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		got := sys.Snapshot().Limits
		if len(got) != 1 || !strings.HasPrefix(got[0].Name, "limits-") || got[0].PID != a.Id ||
			len(got[0].Keys) != 1 || got[0].Keys[0].Granted != 1 {
			t.Errorf("got in the snapshot %+v", got)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_ = inner.Stop(ended)
	})
}

func TestActorFindsAFreeName(t *testing.T) {
	inSystem(t, func(t *testing.T, sys *actor.System) {
		nothing := proto.PropsFromFunc(func(proto.Context) {})
		taken, err := sys.ActorSystem().Root.SpawnNamed(nothing, "limits/1")
		if err != nil {
			t.Fatal(err)
		}
		pid := limits.MustNew().PID(sys)
		if !strings.HasPrefix(pid.Id, "limits/1-") {
			t.Errorf("got %s, want a suffix to the taken name", pid.Id)
		}
		release := &limits.ReleaseMsg{Permit: acquire(t, limits.MustNew(), nil)}
		if _, err := ask[struct{}](sys, pid, release).Await(t.Context()); err != nil {
			t.Error(err)
		}
		sys.ActorSystem().Root.Stop(taken)
		defer func() {
			if recover() == nil {
				t.Error("PID in a nil System did not panic")
			}
		}()
		limits.MustNew().PID(nil)
	})
}
