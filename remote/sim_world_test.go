package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/faultnet"
	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

// simWorld is a run: an owner whose pools are placed on workers, a network
// between them, and what is known of every call.
type simWorld struct {
	t      *testing.T
	plan   *simPlan
	net    *faultnet.Network
	tls    *tls.Config // nil: none
	begin  time.Time
	log    *simLog
	procs  map[string]*simProc // by host: who lives there, or did last
	silent map[string]int      // by host: how much keeps it from being heard
	epoch  map[string]int      // by host: how often that has changed
	steps  []simStep           // not done yet, in order
	looked int                 // how often it was checked that a loss was noticed

	owner *simProc
	set   *limits.Set
	pools simPools
	crews []*crew // of the pools
	calls []*simResult
	ended *simEnd // nil: nobody stops the pools before all is over
}

// since is a time of the run.
func (w *simWorld) since(at time.Time) time.Duration { return at.Sub(w.begin) }

// simHost is the transport of one host.
type simHost struct {
	net  *faultnet.Network
	name string
}

func (h simHost) Listen(addr string) (net.Listener, error) { return h.net.Listen(addr) }

func (h simHost) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return h.net.Dial(ctx, h.name, addr)
}

// simProc is a process: one life of a host, with a System and a node.
type simProc struct {
	world *simWorld
	host  string
	life  int
	node  *Node
	sys   *actor.System
	tasks []interface{ Stop() task.Report }
	dead  chan struct{} // closed when it is killed

	serve  context.CancelFunc // nil: it does not serve
	served chan error         // what Serve has returned

	draining bool // Serve was told to end
}

func (p *simProc) String() string { return fmt.Sprintf("%s (life %d)", p.host, p.life) }

func (p *simProc) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// start begins a life of a host.
func (w *simWorld) start(host string) *simProc {
	p := &simProc{
		world: w, host: host, life: 1, dead: make(chan struct{}),
		sys: actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler))),
	}
	if before := w.procs[host]; before != nil {
		p.life = before.life + 1
	}
	node, err := Start(Config{
		Listen: host + ":1", AllowInsecure: true, TLS: w.tls, Capacity: w.plan.capacity, Heartbeat: w.plan.heartbeat,
		System: p.sys, transport: simHost{net: w.net, name: host},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	p.node, w.procs[host] = node, p
	return p
}

// hostTasks gives a process what it runs for others, and lets it serve.
func (p *simProc) hostTasks() {
	name, sys := task.Name, task.System(p.sys)
	p.tasks = append(p.tasks,
		task.MustNew(p.run, name("job"), sys), task.MustNew(p.run, name("again"), sys), task.MustNewWorker(p.openDesk, name("desk"), sys))
	p.open()
}

// open begins to serve.
func (p *simProc) open() {
	if p.serve != nil || p.isDead() {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	p.serve, p.served = cancel, served
	go func() { served <- p.node.Serve(ctx) }()
}

// drain ends Serve, at a time when calls may be running.
func (p *simProc) drain() {
	if p.serve != nil {
		p.draining = true
		p.serve()
	}
}

// reopen serves again after a drain, if that is through.
func (p *simProc) reopen() {
	if !p.draining {
		return
	}
	select {
	case <-p.served:
		p.serve, p.draining = nil, false
		p.open()
	default: // it drains yet; reserve waits for it in the end
	}
}

// kill ends a process as kill -9 does: what it sends from now on gets nowhere,
// and what its functions do counts for nothing.
func (p *simProc) kill() {
	if p.isDead() {
		return
	}
	p.world.net.Kill(p.host) // first, or a function could tell that it was ended
	p.world.log.mu.Lock()
	close(p.dead) // between two entries of the log
	p.world.log.mu.Unlock()
	p.stop()
}

// stop ends what belongs to the process.
func (p *simProc) stop() {
	w := p.world
	before := time.Now()
	err := p.node.Stop(context.Background())
	if p.serve != nil {
		p.serve()
		if err := <-p.served; err != nil && !errors.Is(err, ErrNodeStopped) {
			w.log.fault("Serve of %s returned %v", p, err)
		}
		p.serve = nil
	}
	for _, t := range p.tasks {
		t.Stop()
	}
	if err := errors.Join(err, p.sys.Stop(context.Background())); err != nil {
		w.log.fault("%s did not stop: %v", p, err)
	}
	if took := time.Since(before); took > 100*time.Millisecond {
		w.log.fault("to stop %s took %v, want no time", p, took)
	}
}

// conns returns the connections of the owner's pools to a host.
func (w *simWorld) conns(host string) (conns []*link.Conn) {
	for _, c := range w.crews {
		c.mu.Lock()
		for _, s := range c.seats {
			if s.conn != nil && (host == simOwner || s.name == host+":1") {
				conns = append(conns, s.conn)
			}
		}
		c.mu.Unlock()
	}
	return conns
}
