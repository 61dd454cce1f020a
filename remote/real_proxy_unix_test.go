//go:build unix

package remote_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/troupe-go/troupe/internal/child"
	"github.com/troupe-go/troupe/internal/faultnet"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// mischief is one of the things that a network does, for a while.
type mischief struct {
	name  string
	begin func(*faultnet.Proxy, *rand.Rand)
	tls   bool // nothing of which TCP itself lets happen: TLS has to notice
}

var mischiefs = []mischief{
	{name: "drop", begin: func(p *faultnet.Proxy, _ *rand.Rand) { p.Drop() }},
	{name: "stall", begin: func(p *faultnet.Proxy, _ *rand.Rand) { p.Stall() }},
	{name: "delay", begin: func(p *faultnet.Proxy, r *rand.Rand) { p.Delay(time.Duration(1+r.IntN(10)) * time.Millisecond) }},
	{name: "truncate", begin: func(p *faultnet.Proxy, r *rand.Rand) { p.Truncate(r.IntN(40_000)) }},
	{name: "duplicate", begin: func(p *faultnet.Proxy, _ *rand.Rand) { p.Duplicate() }, tls: true},
	{name: "flip", begin: func(p *faultnet.Proxy, _ *rand.Rand) { p.Flip() }, tls: true},
}

func TestCallsOverANetworkThatMisbehavesEndOnce(t *testing.T) {
	for name, c := range map[string]struct {
		seed       uint64
		tls        bool
		idempotent bool
	}{
		"plain":           {seed: 1},
		"idempotent":      {seed: 2, idempotent: true},
		"TLS":             {seed: 3, tls: true},
		"TLS, idempotent": {seed: 4, tls: true, idempotent: true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, order := remote.Config{Heartbeat: beat}, nodeOrder{Capacity: 4, Beat: beat}
			if c.tls {
				var err error
				if cfg.TLS, order.Trust, err = child.Credentials(); err != nil {
					t.Fatal(err)
				}
			}
			w := newRoughSea(t, cfg, order, c.idempotent)
			r := rand.New(rand.NewPCG(c.seed, 0))
			for round := range 5 {
				w.round(t, r, round, c.tls)
			}
			w.check(t)
		})
	}
}

// roughSea is an owner and two nodes behind proxies.
type roughSea struct {
	*owner
	far        *task.Task[errand, report]
	nodes      []*nodeProcess
	proxies    []*faultnet.Proxy
	log        ledger
	idempotent bool
	outcomes   []outcome
}

func newRoughSea(t *testing.T, cfg remote.Config, order nodeOrder, idempotent bool) *roughSea {
	w := &roughSea{owner: newOwner(t, cfg), log: newLedger(t), idempotent: idempotent}
	w.nodes = beginNodes(t, order, order)
	var addrs []string
	for _, n := range w.nodes {
		p, err := faultnet.NewProxy(n.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		w.proxies = append(w.proxies, p)
		addrs = append(addrs, p.Addr())
	}
	var opts []task.Option
	if idempotent {
		opts = append(opts, task.Idempotent())
	}
	w.far = w.sends(addrs, opts...)
	ready(t, w.far)
	return w
}

const perRound = 60

// round has calls go on while the network of one node, or of both, misbehaves.
func (w *roughSea) round(t *testing.T, r *rand.Rand, n int, encrypted bool) {
	t.Helper()
	all := errandsFrom(n*perRound, perRound, errand{Log: string(w.log)})
	for i := range all {
		all[i].Work, all[i].Body = time.Duration(r.IntN(4))*time.Millisecond, make([]byte, r.IntN(30_000))
	}
	finished := w.far.Stats().Finished
	home := follow(t, w.far, all)
	start := uint64(r.IntN(perRound / 2))
	until(t, "the first errands", func() bool { return w.far.Stats().Finished >= finished+start })
	for _, p := range w.proxies {
		m := mischiefs[r.IntN(len(mischiefs))]
		if m.tls && !encrypted || r.IntN(4) == 0 {
			continue
		}
		t.Logf("round %d: %s", n, m.name)
		m.begin(p, r)
		if m.tls { // or TLS would take the damage for a refusal, which is not tried again soon
			until(t, "the end of a connection", func() bool { return w.at(p.Addr()).State != "serving" })
			p.Pass()
		}
	}
	<-time.After(time.Duration(r.IntN(500)) * time.Millisecond) // for shorter or longer than takes to be lost
	for _, p := range w.proxies {
		p.Pass()
	}
	w.outcomes = append(w.outcomes, home()...)
}

// check compares outcomes and executions, and has both nodes work.
func (w *roughSea) check(t *testing.T) {
	t.Helper()
	ran, lost := w.log.read(t), 0
	for n, o := range w.outcomes {
		r, most := ran[n], 1
		if w.idempotent {
			most = 3
		}
		switch {
		case errors.Is(o.err, task.ErrLost):
			lost++
		case errors.Is(o.err, remote.ErrRefused) && len(r.begun) == 0: // by both, see round
		default:
			checkOutcome(t, n, o, false, "")
			if r.ended == 0 {
				t.Errorf("errand %d has a result and was not run", n)
			}
		}
		if len(r.begun) > most || o.times.Load() != 1 {
			t.Errorf("errand %d began in %v and ended %d times", n, r.begun, o.times.Load())
		}
	}
	t.Logf("%d of %d errands were lost", lost, len(w.outcomes))
	for _, p := range w.proxies {
		w.reaches(p.Addr(), "serving")
	}
	g, after := newGate(t), len(w.outcomes)
	home := follow(t, w.far, errandsFrom(after, 8, errand{Log: string(w.log), Gate: g.addr}))
	at := make(map[int]int) // calls by process
	for _, pid := range g.gathers(t, 8) {
		at[pid]++
	}
	if at[w.nodes[0].pid()] != 4 || at[w.nodes[1].pid()] != 4 {
		t.Errorf("calls by process: %v, want 4 in each", fmt.Sprint(at))
	}
	g.opens()
	for i, o := range home() {
		checkOutcome(t, after+i, o, false, "")
	}
}
