package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

// Nodes places a task on the nodes at addrs, given as host:port, where a program
// that has a task of the same name and types serves. n is the node of this
// process, through which it reaches them.
//
// A node runs as many calls at once as its Capacity says; those that are quick
// are sent ahead so that it does not wait for the next. Calls go to the least
// loaded node, and wait here while all are busy or none is there. A node that is
// not there is tried again, for ever. A node that does not fit (a [*SchemaError],
// an [*UnknownTaskError], [ErrRefused]) makes Ready fail, and if none fits, the
// calls too.
//
// When a node is lost, calls that were sent there fail with a [*task.LostError],
// or with [task.Idempotent] are sent to another, until three nodes were lost
// with the call. Members of a worker are made anew elsewhere, as its policy says:
// to that, all members of a lost node are one failure.
func Nodes(n *Node, addrs ...string) task.Placement {
	return nodes{node: n, addrs: addrs}
}

type nodes struct {
	node  *Node
	addrs []string
}

func (p nodes) String() string { return "nodes" }

// Place implements place.Placement.
func (p nodes) Place(job place.Job) (place.Site, error) {
	var faults []error
	if p.node == nil {
		faults = append(faults, errors.New("remote: Nodes: nil Node"))
	}
	if len(p.addrs) == 0 {
		faults = append(faults, errors.New("remote: Nodes: want at least one address"))
	}
	seen := make(map[string]bool)
	for _, addr := range p.addrs {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			faults = append(faults, fmt.Errorf("remote: Nodes: %q: want host:port: %w", addr, err))
		}
		if seen[addr] {
			faults = append(faults, fmt.Errorf("remote: Nodes: %q is there twice", addr))
		}
		seen[addr] = true
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	c, err := newCrew(job, p.addrs)
	if err != nil {
		return nil, err
	}
	n := p.node
	c.codecs, c.maxPayload, c.link, c.man = n.codecs, n.cfg.MaxPayload, n.link, n.man
	return &hired{crew: c, node: n}, nil
}

// hired is a crew that a node knows of, while its pool runs.
type hired struct {
	*crew
	node *Node
}

// Start implements place.Site.
func (h *hired) Start(pool place.Pool) {
	h.crew.Start(pool)
	if !h.node.hire(h.crew) {
		h.crew.now().end(ErrNodeStopped)
		h.crew.now().tasks.Go(func() { h.crew.decline(ErrNodeStopped) }) // the pool's lock is held here
	}
}

// Stop implements place.Site.
func (h *hired) Stop() {
	h.crew.Stop()
	h.node.dismiss(h.crew)
}

const (
	firstPause   = 20 * time.Millisecond // before a node is tried again
	longestPause = time.Second
	refusedPause = 5 * time.Second // by a node that would have to change first
	mostLosses   = 3               // of nodes with one call
)

// man keeps a seat connected to its node, until the crew's ctx ends.
func (n *Node) man(s *seat) {
	c := s.crew
	pause := firstPause
	for {
		used, err := n.reach(s)
		if c.now().ctx.Err() != nil {
			err = context.Cause(c.now().ctx)
		}
		state, wait := vacant, pause
		if isRefusal(err) {
			state, wait = refused, refusedPause
		}
		s.vacate(state, err, func(_ int, f *flight) error {
			return c.lost(f, &task.LostError{Worker: c.job.Name, Node: s.name, Started: true, Cause: err}, mostLosses)
		})
		if pause = min(2*pause, longestPause); used {
			pause = firstPause
		}
		if !sleep(c.now().ctx, wait/2+rand.N(wait/2)) {
			return
		}
	}
}

// reach connects a seat and serves the connection until it ends.
func (n *Node) reach(s *seat) (used bool, err error) {
	nc, err := n.dial(s.crew.now().ctx, s.name)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	return s.attend(nc, n.link)
}

// isRefusal reports whether err will last until one of the two sides changes.
func isRefusal(err error) bool {
	var schema *SchemaError
	var unknown *UnknownTaskError
	var version *wire.VersionError
	var refusal *link.RefusalError
	return errors.Is(err, ErrRefused) || errors.As(err, &schema) || errors.As(err, &unknown) || errors.As(err, &version) || errors.As(err, &refusal)
}

// sleep waits for d; false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
