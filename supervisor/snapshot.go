package supervisor

import (
	"fmt"

	"github.com/troupe-go/troupe/actor"
)

// States of a tree or of a child, as in [Node].
const (
	StateIdle       = "idle"       // not started yet
	StateRunning    = "running"    //
	StateRestarting = "restarting" // failed, or shares the fate of one that did, and waits for its restart
	StateStopping   = "stopping"   // told to stop, for good or by a command to start anew
	StateStopped    = "stopped"    //
	StateDone       = "done"       // a service that returned nil
	StateFailed     = "failed"     // a tree that gave up
)

// Node is a [Tree] at one moment, or a child of one: plain data, JSON keeps all
// of it.
type Node struct {
	Name      string `json:"name"`
	State     string `json:"state"`
	Restarts  int    `json:"restarts,omitempty"`  // how often it was started anew
	LastError string `json:"lastError,omitempty"` // its last failure; also that of a restart it survived
	Children  []Node `json:"children,omitempty"`  // in start order
}

// Snapshot describes the tree and all below it. It never waits for an actor;
// trees below are described each at a moment of its own. It may be called at
// any time, also before Start and after Stop, and from many goroutines.
func (t *Tree) Snapshot() Node {
	n, kids := t.outline()
	for i, c := range kids {
		if sub, ok := c.(*Tree); ok {
			n.Children[i].Children = sub.Snapshot().Children
		}
	}
	return n
}

// outline describes the tree alone and returns its children: they are asked
// without the lock, which could otherwise be taken twice in a wrong order.
func (t *Tree) outline() (Node, []Child) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := Node{Name: t.name, State: t.state, Restarts: t.restarts, LastError: t.lastErr}
	var children []Child
	for _, k := range t.kids {
		n.Children = append(n.Children, Node{Name: k.name, State: k.state, Restarts: k.restarts, LastError: k.lastErr})
		children = append(children, k.child)
	}
	return n, children
}

// text is called without a lock: Error is user code.
func text(err error) (s string) {
	defer func() {
		if r := recover(); r != nil {
			s = fmt.Sprintf("%T (its Error panicked: %v)", err, r)
		}
	}()
	if err == nil {
		return ""
	}
	return err.Error()
}

// living lists what runs in and below the tree, by paths from its root.
func (t *Tree) living() (paths []string) {
	n := t.Snapshot()
	return n.living("")
}

func (n Node) living(prefix string) (paths []string) {
	for _, c := range n.Children {
		below := c.living(prefix + c.Name + "/")
		switch {
		case len(below) > 0:
			paths = append(paths, below...)
		case c.State == StateRunning || c.State == StateRestarting || c.State == StateStopping:
			paths = append(paths, prefix+c.Name)
		}
	}
	return paths
}

// trees returns n as the System's snapshot shows it.
func (n Node) trees() actor.TreeSnapshot {
	s := actor.TreeSnapshot{Name: n.Name, State: n.State, Restarts: n.Restarts, LastError: n.LastError}
	for _, c := range n.Children {
		s.Children = append(s.Children, c.trees())
	}
	return s
}
