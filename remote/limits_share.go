package remote

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/troupe-go/troupe/limits"
)

// ShareLimits makes s known under name to the nodes that connect to n: a
// Limiter of [LimitsAt] there takes its permits from s, in one queue with all
// who ask it here. n need not serve. What another node holds comes back when
// the connection to it ends, for whatever reason.
//
// It returns an error if the name is empty, longer than 1 KiB, begins with "@"
// or is taken by a Set that is not closed, and [ErrNodeStopped] if n has been
// stopped. The name is free again when s is closed, which those who ask are told
// with [limits.ErrClosed]; n shares until it stops. It does not block and is
// safe for concurrent use.
func ShareLimits(n *Node, name string, s *limits.Set) error {
	var faults []error
	fault := func(text string) { faults = append(faults, errors.New("remote: ShareLimits: "+text)) }
	if n == nil {
		fault("nil Node")
	}
	if s == nil {
		fault("nil Set")
	}
	switch {
	case name == "":
		fault("empty name")
	case len(name) > mostName:
		fault(fmt.Sprintf("a name of %d bytes, want at most %d", len(name), mostName))
	case strings.HasPrefix(name, "@"):
		fault(fmt.Sprintf("name %q: what begins with @ is ours", name))
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	if n.ctx.Err() != nil {
		return ErrNodeStopped
	}
	return n.house.shared.add(name, s)
}

// LimitsAt returns a Limiter that takes its permits from the Set that the node
// at addr shares under name; see [ShareLimits]. It keeps the contract of
// [limits.Limiter], and is a [limits.Queuer]; n is the node of this process.
//
// The first use connects; all Limiters of n for one addr share the connection,
// which is kept until n stops, and made anew after a loss when it is needed. While the node cannot be reached, Acquire waits
// until it can or ctx ends, in its turn, also across a loss of the connection.
// TryAcquire waits for the connection that is being made, and returns an error
// that matches [limits.ErrUnavailable] if that fails; Stats then are nil.
// [ErrRefused], and a name under which nothing is shared, fail at once.
// [task.New] asks for the Stats of a Limiter that it is given without Cost, and so
// blocks for that long.
//
// A permit ends with the connection over which it came: its owner takes it
// back, Update returns an error that matches [task.ErrLost], Release does
// nothing. At most 16384 permits can be asked for and held over a connection. A
// permit can still Pause after its Release while it is among the last 1024.
// After the stop of n everything fails with [ErrNodeStopped]. A nil Node, an addr
// that is not host:port and a name above 1 KiB are the error of every use.
func LimitsAt(n *Node, addr, name string) limits.Limiter {
	if err := checkAt(n, addr, name); err != nil {
		return &distantLimits{from: noLimits{err}, set: name}
	}
	return &distantLimits{from: n.far.at(n, addr), set: name}
}

func checkAt(n *Node, addr, name string) error {
	var faults []error
	if n == nil {
		faults = append(faults, errors.New("remote: LimitsAt: nil Node"))
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		faults = append(faults, fmt.Errorf("remote: LimitsAt: %q: want host:port: %w", addr, err))
	}
	if len(name) > mostName {
		faults = append(faults, fmt.Errorf("remote: LimitsAt: a name of %d bytes, want at most %d", len(name), mostName))
	}
	return errors.Join(faults...)
}

// noLimits is the source of a Limiter that was made wrongly.
type noLimits struct{ err error }

func (l noLimits) ask(string, map[string]int64, asker) (limits.Ticket, error) { return nil, l.err }
func (l noLimits) try(string, map[string]int64) (*limits.Permit, error)       { return nil, l.err }
func (l noLimits) stats(string) ([]limits.Stat, error)                        { return nil, l.err }

// sharedLimits are the Sets that a node shares. The zero value shares none.
type sharedLimits struct {
	mu   sync.Mutex
	sets map[string]*limits.Set
}

func (s *sharedLimits) add(name string, set *limits.Set) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.sets[name]; old != nil && !isClosed(old) {
		return fmt.Errorf("remote: ShareLimits: name %q is taken", name)
	}
	if s.sets == nil {
		s.sets = make(map[string]*limits.Set)
	}
	s.sets[name] = set
	return nil
}

// find returns the Set of that name; nil if there is none.
func (s *sharedLimits) find(name string) limits.Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if set := s.sets[name]; set != nil {
		return set
	}
	return nil
}

func isClosed(s *limits.Set) bool {
	nothing := make(limits.Request)
	for _, st := range s.Stats() {
		nothing[st.Key] = 0
	}
	return errors.Is(s.Check(nothing), limits.ErrClosed)
}
