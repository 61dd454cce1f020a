//go:build unix

package remote_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// Till is the state of a member in another process.
type Till struct{ sums map[string]int }

// Sale is what a Till adds.
type Sale struct {
	Key string
	N   int
}

// Slip is what it then knows of a key.
type Slip struct{ Pid, Sum int }

// Add counts a sale.
func (l *Till) Add(_ context.Context, s Sale) (Slip, error) {
	l.sums[s.Key] += s.N
	return Slip{Pid: os.Getpid(), Sum: l.sums[s.Key]}, nil
}

var tills = task.MustNewWorker(func(context.Context) (*Till, error) {
	return &Till{sums: make(map[string]int)}, nil
}, task.Name("till"))

func TestMembersOfANodeThatIsKilledAreMadeAnew(t *testing.T) {
	const keys = 24
	o := newOwner(t, remote.Config{Heartbeat: calm})
	nodes := beginNodes(t, nodeOrder{Beat: calm}, nodeOrder{Beat: calm})
	far := tills.On(remote.Nodes(o.node, nodes[0].addr, nodes[1].addr), task.System(o.sys), task.Workers(4))
	t.Cleanup(func() { far.Stop() })
	ready(t, far)
	add := func(k int) (Slip, error) {
		return task.AskKey(t.Context(), far, fmt.Sprint(k), (*Till).Add, Sale{Key: fmt.Sprint(k), N: 1}).Await(soon(t.Context(), t))
	}
	home := make(map[int]int)
	for k := range keys {
		s, err := add(k)
		if err != nil || s.Sum != 1 {
			t.Fatalf("key %d: %+v, %v", k, s, err)
		}
		home[k] = s.Pid
	}
	dead, alive := nodes[0].pid(), nodes[1].pid()
	nodes[0].kill()
	o.reaches(nodes[0].addr, "lost")
	moved := 0
	for k := range keys {
		s, err := add(k)
		for errors.Is(err, task.ErrLost) { // its member has not been told yet
			s, err = add(k)
		}
		want := Slip{Pid: alive, Sum: 2}
		if home[k] == dead {
			moved++
			want.Sum = 1
		}
		if err != nil || s != want {
			t.Errorf("key %d, which was at %d: got %+v, %v, want %+v", k, home[k], s, err, want)
		}
	}
	if moved == 0 || moved == keys {
		t.Errorf("%d of %d keys have moved, want some", moved, keys)
	}
	ready(t, far)
}

// cargo is an errand that holds permits while it waits.
type cargo struct {
	errand
	Own    int    // of the pool's Set, taken by the function
	Owner  string // a node that shares a Set
	Shared int    // taken from that
}

var cargos = task.MustNewLimited(func(ctx context.Context, h cargo, l limits.Limiter) (report, error) {
	if _, err := l.Acquire(ctx, limits.Request{"db": h.Own}); err != nil {
		return report{}, err
	}
	if _, err := remote.LimitsAt(hostNode, h.Owner, "shared").Acquire(ctx, limits.Request{"gpu": h.Shared}); err != nil {
		return report{}, err
	}
	return goErrand(ctx, h.errand)
}, task.Name("cargo"))

func TestPermitsOfANodeThatIsKilledComeBack(t *testing.T) {
	o := newOwner(t, remote.Config{Heartbeat: calm})
	set, shared := limits.MustNew(limits.Resource("db", 8)), limits.MustNew(limits.Resource("gpu", 8))
	if err := remote.ShareLimits(o.node, "shared", shared); err != nil {
		t.Fatal(err)
	}
	g, log := newGate(t), newLedger(t)
	node := beginNodes(t, nodeOrder{Capacity: 4, Beat: calm})[0]
	far := cargos.On(remote.Nodes(o.node, node.addr), task.System(o.sys), task.Workers(8), task.Limits(set))
	t.Cleanup(func() { far.Stop() })
	ready(t, far)
	var fs []*task.Future[report]
	for n := range 3 {
		fs = append(fs, far.Submit(t.Context(), cargo{
			errand: errand{N: n, Log: string(log), Gate: g.addr}, Own: 2, Owner: o.node.Addr(), Shared: 1,
		}))
	}
	g.gathers(t, 3)
	available := func() [2]int { return [2]int{set.Stats()[0].Available, shared.Stats()[0].Available} }
	if got, want := available(), [2]int{2, 5}; got != want {
		t.Errorf("while three hold them: %v are available, want %v", got, want)
	}
	began := time.Now()
	node.kill()
	until(t, "the return of all permits", func() bool { return available() == [2]int{8, 8} })
	took := time.Since(began)
	t.Logf("all permits were back after %v", took)
	if took > noticed {
		t.Errorf("all permits were back after %v, want %v", took, noticed)
	}
	for _, f := range fs {
		if err := fault(t, f); !errors.Is(err, task.ErrLost) {
			t.Errorf("got %v", err)
		}
	}
	for _, s := range append(set.Stats(), shared.Stats()...) {
		if s.Available != 8 || s.Used != 0 || s.Waiting != 0 {
			t.Errorf("%s: %+v", s.Key, s)
		}
	}
}

func TestMembersOfANodeThatIsTerminatedMoveAtNoCost(t *testing.T) {
	const keys, sales = 12, 40
	o := newOwner(t, remote.Config{Heartbeat: calm})
	nodes := beginNodes(t, nodeOrder{Beat: calm}, nodeOrder{Beat: calm})
	far := tills.On(remote.Nodes(o.node, nodes[0].addr, nodes[1].addr), task.System(o.sys), task.Workers(4))
	t.Cleanup(func() { far.Stop() })
	ready(t, far)
	var fs []*task.Future[Slip]
	for n := range keys * sales {
		key := fmt.Sprint(n % keys)
		fs = append(fs, task.AskKey(context.Background(), far, key, (*Till).Add, Sale{Key: key, N: 1}))
		if n == keys*sales/2 {
			nodes[0].signal(syscall.SIGTERM)
		}
	}
	at := make(map[int]int)
	for n, f := range fs {
		s, err := f.Await(soon(t.Context(), t))
		if err != nil {
			t.Errorf("sale %d: %v", n, err)
		}
		at[s.Pid]++
	}
	if err := nodes[0].wait(); err != nil {
		t.Errorf("the node ended with %v", err)
	}
	if at[nodes[0].pid()] == 0 || at[nodes[1].pid()] == 0 {
		t.Errorf("sales by process: %v, want some in each", at)
	}
	ctx := soon(t.Context(), t)
	for k := range keys {
		key := fmt.Sprint(k)
		s, err := task.AskKey(ctx, far, key, (*Till).Add, Sale{Key: key, N: 1}).Await(ctx)
		if err != nil || s.Pid != nodes[1].pid() {
			t.Errorf("key %s afterwards: %+v, %v", key, s, err)
		}
	}
}
