//go:build unix

package remote_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// calm is a heartbeat that lets a busy machine be slow.
const calm = 5 * time.Second

// A rolling restart: each node in turn is told to end while calls run.
func TestNodesThatAreTerminatedFinishTheirCalls(t *testing.T) {
	o := newOwner(t, remote.Config{Heartbeat: calm})
	log := newLedger(t)
	nodes := beginNodes(t, nodeOrder{Capacity: 4, Beat: calm}, nodeOrder{Capacity: 4, Beat: calm})
	far := o.sends([]string{nodes[0].addr, nodes[1].addr})
	ready(t, far)
	const each = 250
	for round := range 4 {
		turn := round % 2
		finished := far.Stats().Finished
		outcomes := follow(t, far, errandsFrom(each*round, each, errand{Log: string(log), Work: time.Duration(round) * time.Millisecond}))
		until(t, "the first errands", func() bool { return far.Stats().Finished >= finished+each/5 })
		nodes[turn].signal(syscall.SIGTERM)
		if err := nodes[turn].wait(); err != nil {
			t.Errorf("round %d: the node ended with %v", round, err)
		}
		for i, r := range outcomes() {
			checkOutcome(t, each*round+i, r, false, "")
		}
		nodes[turn] = beginNodes(t, nodeOrder{Listen: nodes[turn].addr, Capacity: 4, Beat: calm})[0]
		ready(t, far)
	}
	checkLedger(t, log, 4*each)
}

// checkLedger fails the test unless n errands were run, each once.
func checkLedger(t *testing.T, log ledger, n int) {
	t.Helper()
	all := log.read(t)
	if len(all) != n {
		t.Errorf("%d errands were run, want %d", len(all), n)
	}
	for i, r := range all {
		if len(r.begun) != 1 || r.ended != 1 {
			t.Errorf("errand %d: %+v", i, r)
		}
	}
}

func TestLargePayloadsReachAnotherProcessAndComeBack(t *testing.T) {
	o := newOwner(t, remote.Config{Heartbeat: calm})
	log := newLedger(t)
	node := beginNodes(t, nodeOrder{Capacity: 2, Beat: calm})[0]
	far := o.sends([]string{node.addr})
	body := make([]byte, 10<<20)
	for i := range body {
		body[i] = byte(i * 7 >> 3)
	}
	outcomes := follow(t, far, errandsFrom(0, 2, errand{Log: string(log), Body: body}))
	for i, r := range outcomes() {
		checkOutcome(t, i, r, false, "")
		if string(r.got.Body) != string(body) {
			t.Errorf("errand %d came back with %d other bytes", i, len(r.got.Body))
		}
	}
	checkLedger(t, log, 2)
}

func TestThousandsOfCallsAtOnceLoseNothing(t *testing.T) {
	const calls = 2000
	o := newOwner(t, remote.Config{Heartbeat: calm})
	log := newLedger(t)
	nodes := beginNodes(t, nodeOrder{Capacity: 1000, Beat: calm}, nodeOrder{Capacity: 1000, Beat: calm})
	far := o.sends([]string{nodes[0].addr, nodes[1].addr}, task.Workers(calls))
	ready(t, far)
	all := errandsFrom(0, calls, errand{Log: string(log)})
	for i := range all {
		all[i].Body = fmt.Appendf(make([]byte, 0, 8<<10), "%08d", i)[:8<<10]
	}
	outcomes := follow(t, far, all)
	for i, r := range outcomes() {
		checkOutcome(t, i, r, false, "")
		if string(r.got.Body) != string(all[i].Body) {
			t.Errorf("errand %d came back with another body", i)
		}
	}
	checkLedger(t, log, calls)
}
