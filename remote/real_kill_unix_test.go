//go:build unix

package remote_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// noticed bounds, on a machine that is busy, what takes a millisecond or two.
const noticed = time.Second

// checkLosses fails the test unless so many calls were lost, and soon.
func checkLosses(t *testing.T, began time.Time, lost []outcome, want int) {
	t.Helper()
	if len(lost) != want {
		t.Fatalf("%d calls were lost, want %d", len(lost), want)
	}
	var took []time.Duration
	for _, o := range lost {
		took = append(took, o.at.Sub(began))
	}
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("%d calls were lost, after %v at the median", len(lost), median)
	if median > noticed {
		t.Errorf("they were lost after %v at the median, want %v", median, noticed)
	}
}

func TestANodeThatIsKilledLosesWhatItRan(t *testing.T) {
	for name, c := range map[string]struct {
		opts []task.Option
		lost bool
	}{
		"plain":      {lost: true},
		"idempotent": {opts: []task.Option{task.Idempotent()}},
	} {
		t.Run(name, func(t *testing.T) {
			const capacity, more = 4, 40
			o := newOwner(t, remote.Config{Heartbeat: calm}) // not what notices it
			g, log := newGate(t), newLedger(t)
			nodes := beginNodes(t, nodeOrder{Capacity: capacity, Beat: calm}, nodeOrder{Capacity: capacity, Beat: calm})
			far := o.sends([]string{nodes[0].addr, nodes[1].addr}, c.opts...)
			ready(t, far)
			held := follow(t, far, errandsFrom(0, 2*capacity, errand{Log: string(log), Gate: g.addr}))
			at := g.gathers(t, 2*capacity)
			queued := follow(t, far, errandsFrom(100, more, errand{Log: string(log)}))
			for _, n := range nodes { // one was sent ahead, and is called back
				until(t, "its return", func() bool { m := o.at(n.addr); return m.Total > capacity && m.Active == capacity })
			}
			began := time.Now()
			nodes[0].kill()
			o.reaches(nodes[0].addr, "lost")
			t.Logf("the owner knew after %v", time.Since(began))
			g.opens()
			var lost []outcome
			for i, r := range held() {
				gone := c.lost && at[i] == nodes[0].pid()
				if gone {
					lost = append(lost, r)
				}
				checkOutcome(t, i, r, gone, nodes[0].addr)
			}
			for i, r := range queued() {
				checkOutcome(t, 100+i, r, false, "")
			}
			if c.lost {
				checkLosses(t, began, lost, capacity)
			}
			checkRuns(t, log, func(n int) bool { return !c.lost && n < 100 && at[n] == nodes[0].pid() })
		})
	}
}

// checkRuns fails the test unless each errand has begun once, and those twice
// that were to be run again.
func checkRuns(t *testing.T, log ledger, again func(n int) bool) {
	t.Helper()
	for n, r := range log.read(t) {
		want := 1
		if again(n) {
			want = 2
		}
		if len(r.begun) != want {
			t.Errorf("errand %d began in %v, want %d times", n, r.begun, want)
		}
	}
}

// checkOutcome fails the test unless errand n has ended once, and well; or with
// the loss of a node.
func checkOutcome(t *testing.T, n int, o outcome, gone bool, addr string) {
	t.Helper()
	var lost *task.LostError
	switch {
	case o.times.Load() != 1:
		t.Errorf("errand %d ended %d times", n, o.times.Load())
	case gone && (!errors.As(o.err, &lost) || !lost.Started || lost.Node != addr || lost.Worker != "errand"):
		t.Errorf("errand %d: got %v, want the loss of %s", n, o.err, addr)
	case !gone && (o.err != nil || o.got.N != n):
		t.Errorf("errand %d: got %d, %v", n, o.got.N, o.err)
	}
}

func TestANodeThatIsStartedAgainTakesWork(t *testing.T) {
	o := newOwner(t, remote.Config{})
	log := newLedger(t)
	node := beginNodes(t, nodeOrder{Capacity: 2})[0]
	far := o.sends([]string{node.addr})
	for n := range 2 {
		value(t, far.Submit(t.Context(), errand{N: 2 * n, Log: string(log)}))
		node.kill()
		o.reaches(node.addr, "lost")
		f := far.Submit(t.Context(), errand{N: 2*n + 1, Log: string(log)})
		node = beginNodes(t, nodeOrder{Listen: node.addr, Capacity: 2})[0]
		began := time.Now()
		if r := value(t, f); r.N != 2*n+1 || r.Pid != node.pid() {
			t.Errorf("got %+v, want it from process %d", r, node.pid())
		}
		took := time.Since(began)
		t.Logf("it took work after %v", took)
		if took > 2*time.Second {
			t.Errorf("it took work after %v", took)
		}
	}
	for n, r := range log.read(t) {
		if len(r.begun) != 1 || r.ended != 1 {
			t.Errorf("errand %d: %+v", n, r)
		}
	}
}
