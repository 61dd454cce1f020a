package supervisor_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/supervisor"
)

// slow waits a minute before each restart.
var slow = supervisor.Policy{MaxRestarts: -1, Backoff: supervisor.Backoff{Initial: time.Minute, Factor: 1}}

func scoped(p supervisor.Policy, s supervisor.Scope) supervisor.Policy {
	p.Scope = s
	return p
}

// inBubble runs fn with a family in a bubble of its own, stops the family, and
// lets the timers run out.
func inBubble(t *testing.T, opt proto.PropsOption, fn func(t *testing.T, f *family)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t, quietSystem(slog.DiscardHandler), opt)
		fn(t, f)
		f.stop(f.parent)
		synctest.Wait()
		for len(f.events) > 0 {
			<-f.events
		}
		time.Sleep(24 * time.Hour) // fake: whatever is still to fire
		synctest.Wait()
		f.quiet() // nothing has come back to life
		if left := f.left(f.parent); len(left) > 0 {
			t.Errorf("still registered: %q", left)
		}
	})
}

// The engine's own exponential strategy waits Initial times the number of
// failures, with a noise of nanoseconds, for ever longer, and never gives up.
func TestRestartsBackOffExponentially(t *testing.T) {
	p := supervisor.Policy{
		MaxRestarts: 6, Within: time.Minute,
		Backoff: supervisor.Backoff{Initial: time.Second, Max: 8 * time.Second},
	}
	inBubble(t, with(p), func(t *testing.T, f *family) {
		a := f.spawn("a")[0]
		for _, seconds := range []time.Duration{1, 2, 4, 8, 8, 8} {
			failed := time.Now()
			f.crash(a, errBoom)
			f.expect("-a", "+a")
			if got, want := time.Since(failed), seconds*time.Second; got != want {
				t.Errorf("restarted after %v, want %v", got, want)
			}
		}
		f.crash(a, errBoom)
		synctest.Wait()
		f.expect("-a") // at once: the budget is spent
	})
}

func TestScopeIsSuspendedUntilItsRestart(t *testing.T) {
	inBubble(t, with(scoped(slow, supervisor.OneForAll)), func(t *testing.T, f *family) {
		pids := f.spawn("a", "b")
		f.crash(pids[0], errBoom)
		synctest.Wait()
		for _, pid := range pids {
			f.system.Root.Send(pid, count{})
		}
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		f.quiet()
		time.Sleep(time.Nanosecond)
		f.expect("-a", "+a", "a 1", "-b", "+b", "b 1") // their mail was kept
	})
}

func TestFailureDuringTheDelayCostsNothing(t *testing.T) {
	p := scoped(slow, supervisor.RestForOne)
	p.MaxRestarts, p.Within = 2, time.Hour
	inBubble(t, p.Option(), func(t *testing.T, f *family) {
		published := f.watchEvents()
		pids := f.spawn("a", "b", "c")
		block := make(chan struct{})
		f.system.Root.Send(pids[2], func(proto.Context) { <-block; panic(errBoom) }) // too busy to be suspended
		f.system.Root.Send(pids[0], func(proto.Context) { <-block; panic(errBoom) })
		synctest.Wait()
		f.crash(pids[1], errBoom)
		time.Sleep(time.Second)
		close(block) // c is covered by the restart of b, a widens it
		failed := time.Now()
		f.expect("-a", "+a", "-b", "+b", "-c", "+c")
		if got := time.Since(failed); got != time.Minute {
			t.Errorf("restarted after %v, want a minute", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		f.quiet() // nobody twice
		if got := published(); len(got) != 3 {
			t.Errorf("got %q, want three restarts", got)
		}
	})
}

func TestDecideMayEndAPendingRestart(t *testing.T) {
	p := scoped(slow, supervisor.OneForAll)
	p.Decide = func(err error) supervisor.Directive {
		if err == errFatal {
			return supervisor.Stop
		}
		return supervisor.Restart
	}
	inBubble(t, with(p), func(_ *testing.T, f *family) {
		pids := f.spawn("a", "b")
		f.inside(pids[0], func(ctx proto.Context) { ctx.Spawn(lingering(time.Hour)) }) // still stopping when the restart is due
		block := make(chan struct{})
		f.system.Root.Send(pids[1], func(proto.Context) { <-block; panic(errFatal) })
		synctest.Wait()
		f.crash(pids[0], errBoom)
		synctest.Wait()
		close(block)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		f.expect("-a", "-b")
		f.quiet()
	})
}

// A restart that reaches an actor after its stop brings it back in the engine.
func TestLateRestartIsHarmless(t *testing.T) {
	again := func(f *family) {
		f.inside(f.parent, func(ctx proto.Context) {
			if _, err := ctx.SpawnNamed(f.child("a"), "a"); err != nil {
				f.t.Error(err)
			}
		})
	}
	fail := func(f *family) { f.system.Root.Send(f.parent, func(proto.Context) { panic(errBoom) }) } // the engine restarts it
	stop := func(f *family, _ *proto.PID) { f.system.Root.Stop(f.parent) }
	for name, test := range map[string]struct {
		below, itself time.Duration // that the child, and what is below it, take to stop
		starts        int           // of the child, in all
		meanwhile     func(f *family, a *proto.PID)
	}{
		"supervisor stopped":                 {0, 0, 1, stop},
		"supervisor stopped, slowly below":   {time.Hour, 0, 1, stop},
		"supervisor stopped, slowly":         {0, time.Hour, 1, stop},
		"supervisor restarted":               {0, 0, 2, func(f *family, _ *proto.PID) { fail(f); again(f) }},
		"supervisor restarted, slowly below": {time.Hour, 0, 1, func(f *family, _ *proto.PID) { fail(f) }},
		"supervisor restarted, slowly":       {0, time.Hour, 1, func(f *family, _ *proto.PID) { fail(f) }},
		"child stopped":                      {0, 0, 1, func(f *family, a *proto.PID) { f.stop(a) }},
		"child stopped, slowly below":        {time.Hour, 0, 1, func(f *family, a *proto.PID) { f.system.Root.Stop(a) }},
		"child stopped, slowly":              {0, time.Hour, 2, func(f *family, a *proto.PID) { f.system.Root.Stop(a) }}, // see Strategy
		"name used again":                    {0, 0, 2, func(f *family, a *proto.PID) { f.stop(a); f.awaitChildren(0); again(f) }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, with(slow), func(t *testing.T, f *family) {
				f.linger = test.itself
				a := f.spawn("a")[0]
				if test.below > 0 {
					f.inside(a, func(ctx proto.Context) { ctx.Spawn(lingering(test.below)) })
				}
				f.crash(a, errBoom)
				synctest.Wait()
				test.meanwhile(f, a)
				time.Sleep(5 * time.Hour)
				synctest.Wait()
				f.system.Root.Stop(f.parent)
				time.Sleep(5 * time.Hour)
				synctest.Wait()
				starts, ends := 1, 0
				for len(f.events) > 0 {
					switch <-f.events {
					case "+a":
						starts++
					case "-a":
						ends++
					}
				}
				if starts != test.starts {
					t.Errorf("the child started %d times, want %d", starts, test.starts)
				}
				if ends < test.starts {
					t.Errorf("the child started %d times, but ended %d times", starts, ends)
				}
			})
		})
	}
}

// lingering is the Props of an actor that takes its time to stop.
func lingering(d time.Duration) *proto.Props {
	return proto.PropsFromFunc(func(ctx proto.Context) {
		if _, ok := ctx.Message().(*proto.Stopping); ok {
			<-time.After(d)
		}
	})
}
