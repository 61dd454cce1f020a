package remote

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/internal/faultnet"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run the simulation with this seed only")
	simFirst = flag.Uint64("sim.first", 1, "run the simulation with seeds from this one on")
	simMany  = flag.Uint64("sim.runs", simRuns, "run the simulation with so many seeds")
)

// TestSimulation plays what can happen to an owner of placed pools and to the
// nodes that work for it, in memory and in fake time: calls of every kind while
// connections are cut, damaged and slow, nodes are parted, frozen, killed,
// started again and drained, and calls and pools are ended. Each seed draws
// another run; afterwards what became of the calls is compared with what was
// run, and nothing may be left.
//
// A failure prints the plan of its run. It is played again with
//
//	go test ./remote -run TestSimulation -sim.seed=17 -count=20
//
// where -count may be needed, since goroutines that act in the same instant of
// fake time do so in the order that Go's scheduler likes. Others are tried with
// -sim.first=201 -sim.runs=5000.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		simulate(t, drawPlan(*simSeed))
		return
	}
	seen := make(map[string]int)
	for seed := *simFirst; seed < *simFirst+*simMany; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			for what, n := range simulate(t, drawPlan(seed)) {
				seen[what] += n
			}
		})
	}
	t.Log("what has come about: ", seen)
	for _, what := range simSights {
		if seen[what] == 0 && *simMany >= simEnough {
			t.Errorf("in all runs there was not once: %s", what)
		}
	}
}

// simulate plays a run, and returns how often it came to what.
func simulate(t *testing.T, plan *simPlan) (seen map[string]int) {
	t.Helper()
	defer func() {
		r := recover()
		if r != nil || t.Failed() {
			t.Logf("the plan, which is played again with -sim.seed if it has a seed:\n%v", plan)
		}
		if r != nil { // the bubble is stuck
			panic(r)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		w := newSimWorld(t, plan)
		w.play()
		w.settle()
		w.close()
		w.check()
		for _, f := range w.log.faults {
			t.Error(f)
		}
		seen = w.sights()
	})
	return seen
}

func newSimWorld(t *testing.T, plan *simPlan) *simWorld {
	w := &simWorld{
		t: t, plan: plan, net: faultnet.New(plan.seed), begin: time.Now(),
		log: &simLog{runs: make(map[int][]*simRun)}, procs: make(map[string]*simProc),
		epoch: make(map[string]int), silent: make(map[string]int), calls: make([]*simResult, len(plan.calls)),
	}
	if plan.secure {
		w.tls = simTLS(t)
	}
	for i, o := range plan.calls {
		w.calls[o.arg.ID-1] = &simResult{simOrder: o, place: i, doneChan: make(chan struct{})}
	}
	w.owner = w.start(simOwner)
	for _, host := range plan.hosts {
		w.start(host).hostTasks()
	}
	w.hire()
	w.schedule()
	return w
}

// patience of the simulation is in fake time, and costs little.
const simPatience = time.Minute

// settle mends everything and waits until all calls have come back.
func (w *simWorld) settle() {
	w.heal()
	w.collect(simPatience)
	if w.ended != nil {
		<-w.ended.done
		for _, err := range w.ended.errors {
			if err != nil {
				w.log.fault("%s: %v", w.ended.what, err)
			}
		}
	} else {
		w.checkReady()
	}
	time.Sleep(2 * time.Second) // for functions that are deaf
	w.checkIdle("when all calls were over")
}

// checkReady: when all is well, all nodes are found again.
func (w *simWorld) checkReady() {
	if w.plan.garbles() {
		time.Sleep(2 * refusedPause) // a node that seems to refuse is tried again later
	}
	ctx, cancel := context.WithTimeout(context.Background(), simPatience)
	defer cancel()
	w.pools.each(func(name string, p simPool) {
		if err := p.Ready(ctx); err != nil {
			w.log.fault("pool %s is not ready again: %v", name, err)
		}
	})
}

// checkIdle: nothing runs, waits or is held.
func (w *simWorld) checkIdle(when string) {
	for _, s := range w.set.Stats() {
		if s.Available != s.Capacity || s.Waiting != 0 {
			w.log.fault("%s, %d of %d %s are free and %d wait", when, s.Available, s.Capacity, s.Key, s.Waiting)
		}
	}
	for _, host := range w.plan.hosts {
		h := w.procs[host].node.house
		h.mu.Lock()
		if queued := len(h.queue) - h.first; h.running != 0 || queued != 0 {
			w.log.fault("%s, %d calls run at %s and %d wait there", when, h.running, host, queued)
		}
		h.mu.Unlock()
	}
	for _, m := range w.owner.node.Members() {
		if m.Active != 0 || m.Late != 0 {
			w.log.fault("%s, %s has %d calls under way and %d late answers", when, m.Addr, m.Active, m.Late)
		}
	}
}

// close ends everything, in good order.
func (w *simWorld) close() {
	w.pools.each(func(name string, p simPool) {
		before := time.Now()
		p.Stop()
		if took := time.Since(before); took > time.Second {
			w.log.fault("to stop the idle pool %s took %v", name, took)
		}
	})
	w.checkIdle("when the pools had stopped")
	w.owner.stop()
	for _, host := range w.plan.hosts {
		h := w.procs[host].node.house
		time.Sleep(10 * time.Millisecond) // until the end of the connection is there
		h.mu.Lock()
		if h.lodgers != 0 || len(h.guests) != 0 {
			w.log.fault("the owner is gone, and %d members and %d guests are left at %s", h.lodgers, len(h.guests), host)
		}
		h.mu.Unlock()
		w.procs[host].stop()
	}
	if open := w.net.Open(); open != 0 {
		w.log.fault("%d ends of connections are open at the end", open)
	}
}
