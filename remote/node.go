package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/troupe-go/troupe/internal/host"
	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

// Node is this process among others: what it serves to them, and how it reaches
// them. All methods are safe for concurrent use.
type Node struct {
	cfg      Config
	codecs   *wire.Codecs
	link     link.Config
	listener net.Listener
	house    houseOf
	unit     string // its name in the System
	far      farLimits

	ctx   context.Context // ends when the node stops
	end   context.CancelCauseFunc
	tasks sync.WaitGroup

	mu      sync.Mutex
	crews   map[*crew]struct{}
	conns   map[net.Conn]struct{} // accepted ones
	stopped bool
	gone    chan struct{} // closed when the stop is through
}

// houseOf keeps the host's methods out of the Node's.
type houseOf struct{ *house }

// Start makes a node that listens as cfg says. It serves nothing yet: see
// [Node.Serve]. It is ended by [Node.Stop], and with its System.
func Start(cfg Config) (*Node, error) {
	cfg, err := cfg.filled()
	codecs, err2 := cfg.codecs()
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	l, err := cfg.transport.Listen(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	if cfg.Advertise == "" {
		cfg.Advertise = l.Addr().String()
	}
	n := &Node{
		cfg: cfg, codecs: codecs, listener: l,
		link:  cfg.link(cfg.Advertise, cfg.Advertise, wire.NewIncarnation()),
		crews: make(map[*crew]struct{}), conns: make(map[net.Conn]struct{}), gone: make(chan struct{}),
	}
	_, tracers := cfg.System.Telemetry()
	n.house = houseOf{&house{
		name: cfg.Advertise, worker: cfg.Advertise, codecs: codecs, maxPayload: cfg.MaxPayload, capacity: cfg.Capacity,
		find: func(name string) []*place.Function { return functionsOf(cfg.System.Units(), name) },
		log:  cfg.System.Log, tracers: tracers,
	}}
	n.ctx, n.end = context.WithCancelCause(context.Background())
	n.unit, _ = cfg.System.Units().Add("node@"+cfg.Advertise, "node", false, unit{n}) // not unique: no error
	n.tasks.Go(n.accept)
	return n, nil
}

// functionsOf returns what a System has of a name.
func functionsOf(units *host.Registry, name string) (found []*place.Function) {
	for _, u := range units.Units() {
		if h, ok := u.(place.Host); ok {
			if f := h.Function(); f != nil && f.Name == name {
				found = append(found, f)
			}
		}
	}
	return found
}

// unit is a node as its System sees it.
type unit struct{ node *Node }

func (u unit) Stop(ctx context.Context) error { return u.node.Stop(ctx) }
func (u unit) Describe() any                  { return nil }

// Addr returns the address that others reach the node at.
func (n *Node) Addr() string { return n.cfg.Advertise }

// Serve runs the calls that others place here, of every named task and worker
// of the System, until ctx ends; it then drains as [Node.Drain] does, without a
// bound, and returns nil. It returns [ErrNodeStopped] if the node is stopped
// before, and an error if it serves already. Tasks may be made while it serves.
func (n *Node) Serve(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	if n.ctx.Err() != nil {
		return ErrNodeStopped
	}
	if !n.house.open() {
		return errors.New("remote: the node serves already")
	}
	select {
	case <-ctx.Done():
		return n.house.drain(n.ctx)
	case <-n.ctx.Done():
		return ErrNodeStopped
	}
}

// Drain takes no more calls from others, gives back those that have not begun,
// so that their owners send them elsewhere, and returns when those that run are
// done, the members of others' workers have moved out, and the owners have all
// answers: the program can end then. When ctx ends before,
// it returns context.Cause(ctx) and leaves what runs running. Serve, if it runs,
// goes on waiting; the node may serve again.
func (n *Node) Drain(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	return n.house.drain(ctx)
}

// Stop ends the node: it closes its connections, which cancels the calls that
// run here for others, and what was placed through it ends with
// [ErrNodeStopped]. It returns when nothing of the node is left, or when ctx
// ends, with context.Cause(ctx) and how many functions still run, as those do
// that ignore their ctx. It may be called often.
func (n *Node) Stop(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	n.mu.Lock()
	first := !n.stopped
	n.stopped = true
	n.mu.Unlock()
	if first {
		n.end(ErrNodeStopped)
		_ = n.listener.Close()
		go n.finish()
	}
	select {
	case <-n.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("remote: node %s: %d calls of others still run: %w", n.Addr(), n.house.status().GetRunning(), context.Cause(ctx))
	}
}

// finish ends with the last goroutine of the node.
func (n *Node) finish() {
	n.mu.Lock()
	for nc := range n.conns {
		_ = nc.Close()
	}
	crews := make([]*crew, 0, len(n.crews))
	for c := range n.crews {
		crews = append(crews, c)
	}
	n.mu.Unlock()
	for _, c := range crews {
		c.desert(ErrNodeStopped)
	}
	n.tasks.Wait()
	<-n.house.dispatch.Close()
	n.cfg.System.Units().Remove(n.unit, unit{n})
	close(n.gone)
}

// hire makes a crew known to the node for as long as its pool runs; false if the
// node has stopped.
func (n *Node) hire(c *crew) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		return false
	}
	n.crews[c] = struct{}{}
	return true
}

func (n *Node) dismiss(c *crew) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.crews, c)
}

// dial connects to a node.
func (n *Node) dial(ctx context.Context, addr string) (net.Conn, error) {
	nc, err := n.cfg.transport.Dial(ctx, addr)
	if err != nil || n.cfg.TLS == nil {
		return nc, err
	}
	cfg := n.cfg.TLS
	if cfg.ServerName == "" {
		host, _, _ := net.SplitHostPort(addr)
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	return tls.Client(nc, cfg), nil
}

// Members returns this node and those that it has placed tasks on, by address.
func (n *Node) Members() []Member {
	self := Member{Addr: n.Addr(), State: "starting", Capacity: n.cfg.Capacity, Self: true}
	if n.house.serving() {
		self.State = "serving"
	}
	all := []Member{self}
	n.mu.Lock()
	crews := make([]*crew, 0, len(n.crews))
	for c := range n.crews {
		crews = append(crews, c)
	}
	n.mu.Unlock()
	for _, c := range crews {
		all = append(all, c.members()...)
	}
	slices.SortStableFunc(all[1:], Member.compare)
	return all
}
