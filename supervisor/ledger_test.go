package supervisor

import (
	"log/slog"
	"runtime"
	"slices"
	"testing"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
)

func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.records)
}

// keeper is a pointer to something, as the engine's supervisors are.
type keeper struct {
	proto.Supervisor
	_ [4]int
}

func TestLedgerKeepsOneRecordForEachSupervisor(t *testing.T) {
	var l ledger
	a, b := &keeper{}, &keeper{}
	if first := l.of(a); l.of(a) != first {
		t.Error("two records for one supervisor")
	}
	if l.of(a) == l.of(b) {
		t.Error("one record for two supervisors")
	}
	if first := l.of(keeper{}); l.of(keeper{}) != first || l.of(nil) == nil {
		t.Error("no record for what has no identity")
	}
	runtime.KeepAlive(a)
	runtime.KeepAlive(b)
}

// One strategy may serve very many supervisors in the course of time.
func TestLedgerForgetsSupervisorsThatAreGone(t *testing.T) {
	var l ledger
	kept := &keeper{}
	record := l.of(kept)
	for range 1000 {
		l.of(&keeper{})
	}
	for deadline := time.Now().Add(time.Minute); l.len() > 1; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("%d records are left", l.len())
		}
	}
	if l.of(kept) != record {
		t.Error("lost the record of a supervisor that lives")
	}
}

func TestLedgerForgetsActors(t *testing.T) {
	s := newStrategy(Policy{Scope: OneForAll, Backoff: Backoff{Initial: 1, Max: 1}})
	system := proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	for range 100 {
		restarted := make(chan struct{}, 10)
		child := proto.PropsFromFunc(func(ctx proto.Context) {
			switch ctx.Message().(type) {
			case *proto.Started:
				restarted <- struct{}{}
			case string:
				panic("told to")
			}
		})
		parent := system.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
			if _, ok := ctx.Message().(*proto.Started); ok {
				ctx.Send(ctx.Spawn(child), "panic")
			}
		}, proto.WithSupervisor(s)))
		<-restarted
		<-restarted
		system.Root.Stop(parent)
	}
	for deadline := time.Now().Add(time.Minute); s.ledger.len() > 0; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("%d records are left", s.ledger.len())
		}
	}
}

func TestOrderForgetsChildrenThatAreGone(t *testing.T) {
	var (
		r        record
		children []*proto.PID
	)
	for i := range 10_000 {
		pid := proto.NewPID("", "same name")
		r.starts(pid, children)
		children = append(children, pid)
		if i >= 10 {
			children = slices.Delete(children, i%10, i%10+1)
		}
		if got := len(r.order.started); got > 2*len(children)+20 {
			t.Fatalf("%d numbers for %d children", got, len(children))
		}
	}
	want := slices.Clone(children)
	slices.Reverse(children)
	if got := r.inOrder(children); !slices.Equal(got, want) {
		t.Error("the order is not that of the start")
	}
}

func TestRecordForgetsThoseWhoLeft(t *testing.T) {
	system := proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	var r record
	first := proto.NewPID("", "gone")
	for range 10_000 {
		r.leave(system, false, proto.NewPID("", "gone"))
		if n := len(r.leaving); n > 20 {
			t.Fatalf("%d are kept", n)
		}
	}
	r.leave(system, true, first)
	if !r.isLeaving(first) {
		t.Error("forgot the last one")
	}
}

func TestStopsDoNotLookAtAllThatLeaveEachTime(t *testing.T) {
	system := proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	var (
		r     record
		pids  []*proto.PID
		looks int
	)
	for range 1000 {
		pids = append(pids, system.Root.Spawn(proto.PropsFromFunc(func(proto.Context) {})))
		staying := r.staying
		r.leave(system, false, pids[len(pids)-1])
		if r.staying != staying {
			looks++
		}
	}
	if looks > 10 {
		t.Errorf("looked %d times at up to 1000", looks)
	}
	for _, pid := range pids {
		if !r.isLeaving(pid) {
			t.Error("forgot one that is not gone")
		}
		system.Root.Stop(pid)
	}
}
