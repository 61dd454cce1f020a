package supervisor_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/supervisor"
)

var (
	rootJournal = newJournal()
	rootSystem  = sync.OnceValue(func() *proto.ActorSystem { return quietSystem(rootJournal) })
)

// Each of these ends the process with the engine's own strategies, or would
// restart a root that nobody asked to restart.
func TestEscalationAtTheTopStopsTheChildren(t *testing.T) {
	escalate := supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Escalate }}
	guardian := proto.WithGuardian(proto.NewAllForOneStrategy(1, time.Second, func(any) proto.Directive { return proto.EscalateDirective }))
	for where, opts := range map[string][]proto.PropsOption{"root": nil, "under a guardian": {guardian}} {
		for scope, want := range map[supervisor.Scope][]string{
			supervisor.OneForOne:  {"-b"},
			supervisor.RestForOne: {"-b", "-c"},
			supervisor.OneForAll:  {"-a", "-b", "-c"},
		} {
			t.Run(where+"/"+scope.String()+"/Escalate", func(t *testing.T) {
				f := newFamily(t, rootSystem(), append(opts, scoped(escalate, scope).Option())...)
				f.crash(f.spawn("a", "b", "c")[1], errBoom)
				f.expect(want...)
				expectLog(t, "boom")
				f.inside(f.parent, func(proto.Context) {}) // it lives
				f.stop(f.parent)
			})
			t.Run(where+"/"+scope.String()+"/budget", func(t *testing.T) {
				f := newFamily(t, rootSystem(), append(opts, supervisor.Policy{Scope: scope, MaxRestarts: 1}.Option())...)
				b, restarts := f.spawn("a", "b", "c")[1], []string(nil)
				f.crash(b, errBoom)
				for _, e := range want {
					restarts = append(restarts, e, strings.Replace(e, "-", "+", 1))
				}
				f.expect(restarts...)
				f.crash(b, errBoom)
				f.expect(want...)
				expectLog(t, "gave up restarting after 1 restart in 10s: boom")
				f.inside(f.parent, func(proto.Context) {})
				f.stop(f.parent)
			})
		}
	}
}

func TestGuardianStopsTheChildWhenItGivesUp(t *testing.T) {
	for name, p := range map[string]supervisor.Policy{
		"Escalate": {Decide: func(error) supervisor.Directive { return supervisor.Escalate }},
		"Stop":     {Decide: func(error) supervisor.Directive { return supervisor.Stop }},
		"invalid":  {Scope: 77},
	} {
		for scope := supervisor.OneForOne; scope <= supervisor.RestForOne; scope++ {
			t.Run(name+"/"+scope.String(), func(t *testing.T) {
				if p.Scope == 0 {
					p.Scope = scope
				}
				f := emptyFamily(t, rootSystem())
				a := f.system.Root.Spawn(f.child("a", proto.WithGuardian(p.Strategy())))
				f.expect("+a")
				f.crash(a, errBoom)
				f.expect("-a")
				if name != "Stop" {
					expectLog(t, "boom")
				}
			})
		}
	}
}

func TestGuardianSharesItsBudgetAmongAll(t *testing.T) {
	p := supervisor.Policy{Scope: supervisor.OneForAll, MaxRestarts: 30, Backoff: supervisor.Backoff{Initial: 1, Max: 1, Factor: 1}}
	f, guardian := emptyFamily(t, rootSystem()), proto.WithGuardian(p.Strategy())
	var wg sync.WaitGroup
	for range 8 {
		a := f.system.Root.Spawn(f.child("a", guardian))
		wg.Go(func() {
			for range 31 { // enough for each to outlast the budget
				f.crash(a, errBoom)
			}
		})
	}
	wg.Wait()
	starts, ends := 0, 0
	for ends < 38 {
		select {
		case e := <-f.events:
			if e == "+a" {
				starts++
			} else {
				ends++
			}
		case <-time.After(patience):
			t.Fatalf("%d starts and %d ends", starts, ends)
		}
	}
	if starts != 38 {
		t.Errorf("got %d starts, want 8 and 30 restarts", starts)
	}
	for range 8 {
		expectLog(t, "gave up restarting after 30")
	}
}

// The engine appends to these at each failure and never removes anything.
func TestEngineStatisticsDoNotGrow(t *testing.T) {
	counting := &countingStrategy{inner: supervisor.Policy{MaxRestarts: -1}.Strategy()}
	f := newFamily(t, rootSystem(), proto.WithSupervisor(counting))
	a := f.spawn("a")[0]
	for range 100 {
		f.crash(a, errBoom)
		f.expect("-a", "+a")
	}
	f.stop(f.parent)
	if counting.most != 0 {
		t.Errorf("the engine remembers %d failures, want none", counting.most)
	}
}

type countingStrategy struct {
	inner proto.SupervisorStrategy
	most  int
}

func (s *countingStrategy) HandleFailure(system *proto.ActorSystem, parent proto.Supervisor, child *proto.PID,
	rs *proto.RestartStatistics, reason, message any,
) {
	s.inner.HandleFailure(system, parent, child, rs, reason, message)
	s.most = max(s.most, rs.FailureCount())
}

// expectLog waits for an error in the log that ends with the text or holds it.
func expectLog(t *testing.T, text string) {
	t.Helper()
	select {
	case line := <-rootJournal.lines:
		if !strings.Contains(line, text) {
			t.Errorf("logged %q, want it to contain %q", line, text)
		}
	case <-time.After(patience):
		t.Errorf("nothing logged, want %q", text)
	}
}
