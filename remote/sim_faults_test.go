package remote

import (
	"context"
	"slices"
	"time"

	"github.com/troupe-go/troupe/internal/faultnet"
)

// noticed is how long the loss of a silent node may stay unnoticed: three
// heartbeats are missed after the one that was under way, and what was sent
// before arrives first.
func (p *simPlan) noticed() time.Duration { return 4*p.heartbeat + p.latency() + 2*time.Millisecond }

// atOnce is how long the loss of a connection that was reset may take; if its
// other side has just closed it, the word of that has to arrive.
func (p *simPlan) atOnce() time.Duration { return p.latency() + 5*time.Millisecond }

// inflict returns the steps of a fault.
func (w *simWorld) inflict(f simFault) []simStep {
	var begin, end func()
	switch f.what {
	case "latency":
		begin = func() { w.net.Latency(f.least, f.most) }
	case "cut":
		begin = func() { w.net.Cut(simOwner, f.host) }
	case "partition":
		begin = func() { w.silence(f.host, 1); w.net.Partition(simOwner, f.host) }
		end = func() { w.silence(f.host, -1); w.net.Heal(simOwner, f.host) }
	case "freeze":
		begin = func() { w.silence(f.host, 1); w.net.Freeze(f.host) }
		end = func() { w.silence(f.host, -1); w.net.Thaw(f.host) }
	case "kill":
		begin = func() { w.procs[f.host].kill() }
		end = func() { w.revive(f.host) }
	case "mangle":
		begin = func() { w.mangle(f, faultnet.Mangle{Flip: f.flip, Repeat: f.repeat, Truncate: f.truncate}) }
		end = func() { w.mangle(f, faultnet.Mangle{}) }
	case "drain":
		begin = func() { w.procs[f.host].drain() }
		end = func() { w.procs[f.host].reopen() }
	default:
		begin = func() { w.finish(f.what) }
	}
	steps := []simStep{{at: f.at, do: func() { begin() }}}
	if end != nil {
		steps = append(steps, simStep{at: f.until, do: end})
	}
	switch f.what {
	case "partition", "freeze":
		begin = w.watched(begin, f.host, w.plan.noticed(), false)
	case "cut", "kill":
		begin = w.watched(begin, f.host, w.plan.atOnce(), true)
	}
	return steps
}

func (w *simWorld) mangle(f simFault, m faultnet.Mangle) {
	if f.back {
		w.net.Mangle(f.host, simOwner, m)
	} else {
		w.net.Mangle(simOwner, f.host, m)
	}
}

// silence counts what keeps a host from being heard.
func (w *simWorld) silence(host string, by int) {
	w.silent[host] += by
	w.epoch[host]++
}

// watched has the owner notice within that time what begin does to its
// connections with a host, unless the silence of the host begins or ends
// meanwhile. With loud, that is so only if it is not silent.
func (w *simWorld) watched(begin func(), host string, within time.Duration, loud bool) func() {
	return func() {
		conns := w.conns(host)
		begin()
		if loud && w.silent[host]+w.silent[simOwner] > 0 {
			return
		}
		epoch, ours := w.epoch[host], w.epoch[simOwner]
		w.later(within, func() {
			if w.epoch[host] != epoch || w.epoch[simOwner] != ours {
				return
			}
			for _, c := range w.conns(host) {
				if slices.Contains(conns, c) {
					w.log.fault("%v after the fault at %v, a connection with %s still counts as alive",
						within, w.since(time.Now().Add(-within)), host)
				}
			}
			w.looked++
		})
	}
}

// revive begins another life of a host.
func (w *simWorld) revive(host string) {
	if w.procs[host].isDead() {
		w.start(host).hostTasks()
	}
}

// heal ends all that is wrong.
func (w *simWorld) heal() {
	w.net.Latency(0, 2*time.Millisecond)
	w.net.Thaw(simOwner)
	for _, host := range w.plan.hosts {
		w.net.Heal(simOwner, host)
		w.net.Thaw(host)
		w.net.Mangle(simOwner, host, faultnet.Mangle{})
		w.net.Mangle(host, simOwner, faultnet.Mangle{})
		w.revive(host)
		w.reserve(w.procs[host])
	}
}

// reserve waits for the drain of a node, and lets it serve again.
func (w *simWorld) reserve(p *simProc) {
	if p.draining {
		select {
		case <-p.served:
			p.serve, p.draining = nil, false
			p.open()
		case <-time.After(time.Minute):
			w.log.fault("%s does not get through with its drain", p)
		}
	}
}

// simEnd is an end of the pools in the middle of the run.
type simEnd struct {
	what   string
	begun  time.Time
	done   chan struct{}
	over   time.Time // when Stop, or what it was, had returned
	errors []error
}

// finish ends the pools as the plan says.
func (w *simWorld) finish(what string) {
	e := &simEnd{what: what, begun: time.Now(), done: make(chan struct{})}
	w.ended = e
	go func() {
		defer close(e.done)
		switch what {
		case "end: Node.Stop":
			e.errors = append(e.errors, w.owner.node.Stop(context.Background()))
		case "end: Stop":
			w.pools.each(func(_ string, p simPool) { p.Stop() })
		default:
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			w.pools.each(func(_ string, p simPool) {
				_, err := p.Drain(ctx)
				e.errors = append(e.errors, err)
			})
		}
		e.over = time.Now()
	}()
}
