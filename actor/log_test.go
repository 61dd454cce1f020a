package actor_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/actor"
)

func TestTheEngineIsHeardFromWarnUp(t *testing.T) {
	var log journal
	sys := actor.NewSystem(actor.Logger(log.logger()))
	engine := sys.ActorSystem().Logger()
	engine.Debug("one")
	engine.Info("two")
	equal(t, "log", log.String(), "")
	engine.With("part", "remote").WithGroup("peer").Warn("three", "address", "a")
	engine.Error("four")
	log.has(t, `level=WARN msg=three part=remote peer.address=a`)
	log.has(t, `level=ERROR msg=four`)
	equal(t, "Info enabled", engine.Enabled(context.Background(), slog.LevelInfo), false)
}

func TestTheLoggerIsTheDefaultOfTheMomentUnlessSet(t *testing.T) {
	sys := actor.NewSystem(actor.Logger(nil))
	engine := sys.ActorSystem().Logger().With("a", 1)
	var log journal
	log.asDefault(t) // after the engine was made
	engine.Warn("hear me")
	sys.Log().Info("and me")
	log.has(t, `msg="hear me" a=1`)
	log.has(t, `msg="and me"`)
}

func TestALevelOfTheLoggerIsRespected(t *testing.T) {
	var log journal
	sys := actor.NewSystem(actor.Logger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))))
	engine := sys.ActorSystem().Logger()
	engine.Warn("no")
	engine.Error("yes")
	if got := log.String(); strings.Contains(got, "msg=no") || !strings.Contains(got, "msg=yes") {
		t.Errorf("log: got %q, want the error only", got)
	}
}
