package supervisor

import (
	"log/slog"
	"testing"
	"testing/synctest"

	proto "github.com/asynkron/protoactor-go/actor"
)

func TestProbeTellsWhoIsStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
			return slog.New(slog.DiscardHandler)
		}))
		proceed := make(chan struct{})
		pid := system.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
			if _, ok := ctx.Message().(*proto.Stopping); ok {
				<-proceed
			}
		}))
		entries := func() (n int) {
			for _, bucket := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
				n += bucket.Count()
			}
			return n
		}
		actor, before := seen(system, pid), entries()
		alive, stopping, stopped := false, false, false

		sendProbed(system, actor, &proto.ResumeMailbox{}, func() { alive = true })
		synctest.Wait()
		if got := entries(); got != before {
			t.Errorf("the registry has %d entries, want %d", got, before)
		}
		system.Root.Stop(pid)
		synctest.Wait()
		sendProbed(system, actor, &proto.ResumeMailbox{}, func() { stopping = true })
		close(proceed)
		synctest.Wait()
		sendProbed(system, actor, &proto.ResumeMailbox{}, func() { stopped = true })
		synctest.Wait()
		if alive || !stopping || !stopped {
			t.Errorf("alive %v, stopping %v, stopped %v; want false, true, true", alive, stopping, stopped)
		}
	})
}
