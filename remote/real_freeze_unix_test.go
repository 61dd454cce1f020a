//go:build unix

package remote_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

func TestANodeThatFreezesIsLostAndComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		opts []task.Option
		lost bool
	}{
		"plain":      {lost: true},
		"idempotent": {opts: []task.Option{task.Idempotent()}},
	} {
		t.Run(name, func(t *testing.T) {
			const capacity, heartbeat = 2, 200 * time.Millisecond
			o := newOwner(t, remote.Config{Heartbeat: heartbeat})
			g, log := newGate(t), newLedger(t)
			nodes := beginNodes(t, nodeOrder{Capacity: capacity}, nodeOrder{Capacity: capacity})
			frozen, awake := nodes[0], nodes[1]
			far := o.sends([]string{frozen.addr, awake.addr}, c.opts...)
			ready(t, far)
			held := follow(t, far, errandsFrom(0, 2*capacity, errand{Log: string(log), Gate: g.addr}))
			at := g.gathers(t, 2*capacity)
			began := time.Now()
			frozen.signal(syscall.SIGSTOP)
			o.reaches(frozen.addr, "lost")
			took := time.Since(began)
			t.Logf("a frozen node was lost after %v, with a heartbeat of %v", took, heartbeat)
			if took < heartbeat || took > 4*heartbeat+noticed {
				t.Errorf("it was lost after %v, want three heartbeats of %v", took, heartbeat)
			}
			later := follow(t, far, errandsFrom(100, 20, errand{Log: string(log)}))
			g.opens() // what the frozen one ran ends when it awakes, and nobody waits for it
			for i, r := range held() {
				checkOutcome(t, i, r, c.lost && at[i] == frozen.pid(), frozen.addr)
				if r.err == nil && r.got.Pid != awake.pid() {
					t.Errorf("errand %d ended in process %d, want %d", i, r.got.Pid, awake.pid())
				}
			}
			checkPlace(t, 100, later(), awake)
			frozen.signal(syscall.SIGCONT)
			o.reaches(frozen.addr, "serving")
			awake.kill()
			o.reaches(awake.addr, "lost")
			checkPlace(t, 200, follow(t, far, errandsFrom(200, 10, errand{Log: string(log)}))(), frozen)
			checkRuns(t, log, func(n int) bool { return !c.lost && n < 100 && at[n] == frozen.pid() })
		})
	}
}

// checkPlace fails the test unless the errands from first on ended well, on that
// node.
func checkPlace(t *testing.T, first int, outcomes []outcome, at *nodeProcess) {
	t.Helper()
	for i, o := range outcomes {
		checkOutcome(t, first+i, o, false, "")
		if o.got.Pid != at.pid() {
			t.Errorf("errand %d ran in process %d, want %d", first+i, o.got.Pid, at.pid())
		}
	}
}

// ownerOrder is what a process is told that places errands.
type ownerOrder struct {
	Addrs      []string
	Beat       time.Duration
	Errands    []errand
	Idempotent bool
}

// verdict is how an errand of such a process has ended.
type verdict struct {
	N, Pid, Times int
	Lost          bool
	Error         string
}

func init() {
	otherLives["owner"] = func() int { return obeyOrder(liveAsOwner) }
}

// liveAsOwner prints the verdicts when all errands have ended.
func liveAsOwner(o ownerOrder) error {
	sys := actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
	n, err := remote.Start(remote.Config{System: sys, Heartbeat: o.Beat})
	if err != nil {
		return err
	}
	opts := []task.Option{task.System(sys), task.Workers(64)}
	if o.Idempotent {
		opts = append(opts, task.Idempotent())
	}
	far := errands.On(remote.Nodes(n, o.Addrs...), opts...)
	verdicts, ended := make([]verdict, len(o.Errands)), make(chan int, 2*len(o.Errands))
	for i, e := range o.Errands {
		far.Submit(context.Background(), e).OnDone(func(r report, err error) {
			v := verdict{N: r.N, Pid: r.Pid, Lost: errors.Is(err, task.ErrLost), Times: verdicts[i].Times + 1}
			if err != nil {
				v.Error = err.Error()
			}
			verdicts[i] = v
			ended <- i
		})
	}
	for range o.Errands {
		<-ended
	}
	far.Stop()
	text, err := json.Marshal(verdicts)
	if err != nil {
		return err
	}
	fmt.Println(string(text))
	return errors.Join(n.Stop(context.Background()), sys.Stop(context.Background()))
}

// An owner that was frozen for longer than it waits for others does not take
// them for lost; if it was for longer than they wait for it, it finds out.
func TestAnOwnerThatFreezes(t *testing.T) {
	const beat = 50 * time.Millisecond
	for name, c := range map[string]struct {
		nodes      time.Duration // their heartbeat
		idempotent bool
		lost       bool // calls may be
	}{
		"for less than its nodes wait":             {nodes: 5 * time.Second},
		"for longer than its nodes wait":           {nodes: beat, lost: true},
		"for longer than its nodes wait, harmless": {nodes: beat, idempotent: true},
	} {
		t.Run(name, func(t *testing.T) {
			g, log := newGate(t), newLedger(t)
			nodes := beginNodes(t, nodeOrder{Capacity: 2, Beat: c.nodes}, nodeOrder{Capacity: 2, Beat: c.nodes})
			// Some are held, others come home while nobody is awake.
			all := append(errandsFrom(0, 2, errand{Log: string(log), Gate: g.addr}),
				errandsFrom(2, 100, errand{Log: string(log), Work: 5 * time.Millisecond})...)
			owner := begin(t, "owner", ownerOrder{Addrs: []string{nodes[0].addr, nodes[1].addr}, Beat: beat, Errands: all, Idempotent: c.idempotent})
			g.gathers(t, 2)
			owner.signal(syscall.SIGSTOP)
			<-time.After(10 * beat)
			owner.signal(syscall.SIGCONT)
			g.opens()
			var verdicts []verdict
			if err := json.Unmarshal([]byte(owner.line()), &verdicts); err != nil {
				t.Fatal(err)
			}
			if err := owner.wait(); err != nil {
				t.Errorf("the owner ended with %v", err)
			}
			ran := log.read(t)
			lost := 0
			for n, v := range verdicts {
				most := 1
				if v.Lost {
					lost++
				}
				if c.idempotent {
					most = 3
				}
				if v.Times != 1 || v.Lost && !c.lost || !v.Lost && (v.Error != "" || v.N != n) || len(ran[n].begun) > most {
					t.Errorf("errand %d: %+v, began in %v", n, v, ran[n].begun)
				}
			}
			t.Logf("lost %d of %d", lost, len(all))
			if c.lost && lost < 2 {
				t.Errorf("%d calls were lost, want those that were held at least", lost)
			}
		})
	}
}
