package supervisor_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/supervisor"
)

// One test for each defect of the engine's own supervision.

func TestEngineDefectLinearBackoffIsNotOurs(t *testing.T) {
	fake(t, func(r *rig) {
		p := supervisor.Policy{MaxRestarts: 6, Within: time.Hour, Backoff: supervisor.Backoff{Initial: time.Second}}
		tree := r.grow("t", p, r.players("a")...)
		for delay := time.Second; delay <= 32*time.Second; delay *= 2 {
			r.send("t/a", errBoom)
			r.sleep(delay - 1)
			r.expectDone()
			r.sleep(1)
			r.expectDone("-a", "+a")
		}
		r.send("t/a", errBoom) // and it ends
		if err := tree.Wait(context.Background()); !isFailed(err) {
			r.t.Error(err)
		}
	})
}

func TestEngineDefectProcessExitUnderAGuardianIsNotOurs(t *testing.T) {
	guardian := proto.NewAllForOneStrategy(1, time.Second, func(any) proto.Directive { return proto.EscalateDirective })
	for scope := supervisor.OneForOne; scope <= supervisor.RestForOne; scope++ {
		t.Run(scope.String(), func(t *testing.T) {
			fake(t, func(r *rig) {
				tree := r.tree("t", supervisor.Policy{Scope: scope, Decide: byText}, r.players("a", "b")...)
				pid, err := r.sys.ActorSystem().Root.SpawnNamed(tree.Props().Configure(proto.WithGuardian(guardian)), "guarded")
				if err != nil {
					r.t.Fatal(err)
				}
				synctest.Wait()
				r.sys.ActorSystem().Root.Send(r.sys.ActorSystem().NewLocalPID(pid.Id+"/a"), errEscalate)
				if err := tree.Wait(context.Background()); !isFailed(err) || !errors.Is(err, errEscalate) {
					r.t.Errorf("got %v, want a reported failure", err)
				}
				r.expectSet("+a +b -b -a")
			})
		})
	}
}

// fragile panics when it comes to a message that panics accepts.
func (r *rig) fragile(name string, panics func(any) bool) supervisor.Child {
	return supervisor.Actor(name, proto.PropsFromFunc(func(ctx proto.Context) {
		if _, started := ctx.Message().(*proto.Started); started {
			r.note("+" + name)
		}
		if panics(ctx.Message()) {
			panic(errBoom)
		}
	}))
}

func TestEngineDefectResurrectionInStoppingIsNotOurs(t *testing.T) {
	for where, panics := range map[string]func(any) bool{"Stopping": is[*proto.Stopping], "Stopped": is[*proto.Stopped]} {
		for scope := supervisor.OneForOne; scope <= supervisor.RestForOne; scope++ {
			t.Run(where+"/"+scope.String(), func(t *testing.T) {
				fake(t, func(r *rig) {
					tree := r.grow("t", supervisor.Policy{Scope: scope}, r.fragile("f", panics), r.player("a"))
					r.sys.ActorSystem().Root.Stop(r.pid("t/f")) // by somebody else
					r.expectDone()
					r.expectTree(tree, `t running [f stopped "boom", a running]`)
					if err := tree.Restart(context.Background(), "f"); err != nil {
						r.t.Error(err)
					}
					if err := tree.Remove(context.Background(), "f"); err != nil {
						r.t.Error(err)
					}
					r.expectDone("+f")
					r.expectTree(tree, `t running [a running]`)
				})
			})
		}
	}
}

func TestEngineDefectHangingParentStopIsNotOurs(t *testing.T) {
	for where, panics := range map[string]func(any) bool{
		"Stopping": is[*proto.Stopping], "Stopped": is[*proto.Stopped],
		"all but Started": func(m any) bool { return !is[*proto.Started](m) },
	} {
		t.Run(where, func(t *testing.T) {
			fake(t, func(r *rig) {
				low := r.tree("low", supervisor.Policy{}, r.fragile("x", panics), r.fragile("y", panics))
				tree := r.grow("t", supervisor.Policy{}, r.player("a"), low, r.fragile("f", panics))
				start := time.Now()
				r.stop(tree)
				if took := time.Since(start); took > 0 {
					r.t.Errorf("Stop took %v", took)
				}
				r.expectTree(tree, `t stopped [a stopped, low stopped [x stopped "boom", y stopped "boom"], f stopped "boom"]`)

				again := r.grow("t", supervisor.Policy{Decide: byText}, r.player("a"), r.fragile("f", panics), r.player("b"))
				r.send("t/b", errEscalate)
				if err := again.Wait(context.Background()); !isFailed(err) || time.Since(start) > 0 {
					r.t.Errorf("got %v after %v", err, time.Since(start))
				}
			})
		})
	}
}

func TestEngineDefectUnprunedFailuresAreNotOurs(t *testing.T) {
	fake(t, func(r *rig) {
		var seen failureWatch
		tree := r.tree("t", supervisor.Policy{MaxRestarts: -1}, r.players("a")...)
		pid, err := r.sys.ActorSystem().Root.SpawnNamed(tree.Props().Configure(proto.WithMailbox(proto.Unbounded(&seen))), "tree/t")
		if err != nil {
			r.t.Fatal(err)
		}
		synctest.Wait()
		for range 100 {
			r.send("t/a", errBoom)
		}
		synctest.Wait()
		if seen.failures != 100 || seen.most != 0 {
			r.t.Errorf("after %d failures the engine remembers %d of %v", seen.failures, seen.most, pid)
		}
	})
}

// failureWatch is a mailbox middleware that looks at what the engine keeps.
type failureWatch struct{ failures, most int }

func (*failureWatch) MailboxStarted()   {}
func (*failureWatch) MessagePosted(any) {}
func (*failureWatch) MailboxEmpty()     {}

func (w *failureWatch) MessageReceived(message any) {
	if f, ok := message.(*proto.Failure); ok {
		w.failures++
		w.most = max(w.most, f.RestartStats.FailureCount())
	}
}

func TestSubscriberOrLogHandlerMayEndItsGoroutine(t *testing.T) {
	for name, end := range map[string]func(){"Goexit": runtime.Goexit, "panic": func() { panic(errBoom) }} {
		t.Run(name, func(t *testing.T) {
			fake(t, func(r *rig) {
				r.log.Store(ending{Handler: slog.DiscardHandler, end: end})
				r.sys.ActorSystem().EventStream.Subscribe(func(e any) {
					switch e.(type) {
					case supervisor.Event, *proto.SupervisorEvent:
						end()
					}
				})
				tree := r.grow("t", supervisor.Policy{}, r.players("a", "b")...)
				r.send("t/a", errBoom)
				r.expectDone("-a", "+a")
				r.stop(tree)
				r.expectDone("-b", "-a")
			})
		})
	}
}

// ending is a log handler that returns from nothing.
type ending struct {
	slog.Handler
	end func()
}

func (ending) Enabled(context.Context, slog.Level) bool    { return true }
func (e ending) Handle(context.Context, slog.Record) error { e.end(); return nil }
func (e ending) WithAttrs([]slog.Attr) slog.Handler        { return e }
func (e ending) WithGroup(string) slog.Handler             { return e }
