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

// median of how long after began those outcomes came.
func median(began time.Time, of []outcome) time.Duration {
	var took []time.Duration
	for _, o := range of {
		took = append(took, o.at.Sub(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
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
				took := median(began, lost)
				t.Logf("%d calls were lost, after %v at the median", len(lost), took)
				if len(lost) != capacity || took > noticed {
					t.Errorf("lost %d calls after %v, want %d within %v", len(lost), took, capacity, noticed)
				}
			}
			for n, r := range log.read(t) {
				again := !c.lost && n < 100 && at[n] == nodes[0].pid()
				if again && len(r.begun) != 2 || !again && len(r.begun) != 1 {
					t.Errorf("errand %d began in %v", n, r.begun)
				}
			}
		})
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
