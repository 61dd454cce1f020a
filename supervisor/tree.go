package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

var (
	// ErrStopped is matched by the errors of a tree that is stopping or was
	// stopped, and is the cause by which the ctx of a [Service] ends.
	ErrStopped = errors.New("supervisor: stopped")

	errNoContext = errors.New("supervisor: the context is nil")
	errNoSystem  = errors.New("supervisor: the system is nil")
	errLive      = errors.New("it lives already")
)

// Tree is an actor that starts children in order, supervises them by a
// [Policy], and stops them in reverse order. It is a [Child] itself, so trees
// nest. All methods are safe for concurrent use; none that waits for the tree may
// be called from what the tree itself waits for: [Policy.Decide], subscribers
// of events.
//
// A tree is idle until [Tree.Start], or until somebody spawns its Props. It
// then runs until it is stopped or gives up:
//
//	idle ──▶ running ──▶ stopping ──▶ stopped
//	            └──▶ stopping ──▶ failed
//
// A tree that was stopped by [Tree.Stop] stays stopped. One that its parent
// stopped, or that failed, can be started again.
type Tree struct {
	name   string
	policy Policy

	mu       sync.Mutex // the loop writes what follows and may read it without
	kids     []*kid     // in start order
	state    string
	restarts int    // by its parent, in this life
	failure  error  // why it gave up; cleared when it starts again
	lastErr  string // text of failure
	life     *life  // nil: its actor does not exist
	closed   bool   // by Stop
	over     bool   // its last life has ended, or gave up, or it was stopped before any
	waiters  []chan error
}

// New returns a tree of these children, in start order; later ones may depend
// on earlier ones. It only checks and starts nothing. All faults are reported,
// joined: empty names, names with "/" of anything but a pool, names that appear
// twice, nil children, an invalid policy.
func New(name string, p Policy, children ...Child) (*Tree, error) {
	var found faults
	checkName("tree", name, found.add)
	if err := p.Validate(); err != nil {
		found = append(found, err)
	}
	t := &Tree{name: name, policy: p, state: StateIdle}
	for _, c := range children {
		n := checkChild(c, found.add)
		if n != "" && t.find(n) != nil {
			found.add("child %q: the name appears twice", n)
			continue
		}
		t.kids = append(t.kids, newKid(n, c))
	}
	if err := found.join(); err != nil {
		return nil, err
	}
	return t, nil
}

// Name returns the name given to New.
func (t *Tree) Name() string { return t.name }

// Props spawns the tree under any actor, in that actor's system, or at a root.
// It is an error of the spawn if the tree lives already or was stopped by
// [Tree.Stop], or if another root tree of that name lives in the system.
//
// A PoisonPill stops the children in reverse order, each drained; a Stop stops
// them all at once. A Tree above stops this one in order in any case, unless
// its time is up. A failure that the tree gives up about is escalated to the
// parent. Restarted by it, the tree starts all children with a new budget.
func (t *Tree) Props() *proto.Props { return t.props(nil) }

// Start starts the tree at the root of s and returns when every child is
// spawned. Children are spawned in order under their names below the actor
// "tree/"+name; what they do first, they do side by side.
//
// If a spawn fails, the children started so far are stopped in reverse order
// and the error is returned. Spawns of nested trees' children are failures of
// those trees, not of Start. It is an error if the tree lives already, or if
// another tree of that name lives in s; if Stop was called, also meanwhile and
// before anything is spawned, the error matches [ErrStopped].
//
// A tree that has ended can be started again as soon as [Tree.Wait] returns,
// unless Stop was called, or a child that ignores its stop still runs.
func (t *Tree) Start(s *actor.System) error {
	if s == nil {
		return errNoSystem
	}
	started := make(chan error, 1)
	// Not from Root: that may carry a guardian or middleware of the user's.
	root := proto.NewRootContext(s.ActorSystem(), nil)
	if _, err := root.SpawnNamed(t.props(started), "tree/"+t.name); err != nil {
		return fmt.Errorf("supervisor: start of tree %q: %w", t.name, err)
	}
	if err := <-started; err != nil {
		return fmt.Errorf("supervisor: start of tree %q: %w", t.name, err)
	}
	return nil
}

// Stop stops the children in reverse order, each drained before the next is
// told: a pool finishes its calls, an actor its mail, a service returns. It
// returns when nothing of the tree is left. If ctx ends first, everything that
// still runs is stopped without draining, and Stop returns at once, with
// context.Cause(ctx) and the names of what has not ended yet.
//
// Stop may be called before Start, often, and from many goroutines; the ctx
// that ends first counts. Called from inside a child, it waits for itself.
func (t *Tree) Stop(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	l := t.close()
	if l == nil {
		return nil
	}
	l.post((*runner).drain)
	select {
	case <-l.gone:
		return nil
	case <-ctx.Done():
	}
	living := t.living()
	if len(living) == 0 {
		living = []string{"the tree itself"}
	}
	l.post((*runner).force)
	select {
	case <-l.gone:
		return nil
	default:
	}
	return fmt.Errorf("supervisor: stop of tree %q: still running: %s: %w", t.name, strings.Join(living, ", "), context.Cause(ctx))
}

// close makes sure that the tree has no further life.
func (t *Tree) close() *life {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.life == nil && !t.over {
		t.conclude(nil)
		t.state = StateStopped
	}
	return t.life
}

// Wait waits for the end of the tree, started or not. It returns nil if the
// tree was stopped, by Stop or by its parent; an error that matches [ErrFailed]
// and the last failure if it gave up and was not restarted; context.Cause(ctx)
// if ctx ends first. A tree that has stopped or failed already is not waited
// for.
func (t *Tree) Wait(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	t.mu.Lock()
	if t.over {
		defer t.mu.Unlock()
		return t.failure
	}
	// A channel for each, made here: one of the tree's could be shared by
	// different synctest bubbles.
	ended := make(chan error, 1)
	t.waiters = append(t.waiters, ended)
	t.mu.Unlock()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiters = slices.DeleteFunc(t.waiters, func(w chan error) bool { return w == ended })
	return context.Cause(ctx)
}

// conclude tells those who wait how it ended. Under mu.
func (t *Tree) conclude(err error) {
	t.over, t.failure = true, err
	for _, w := range t.waiters {
		w <- err
	}
	t.waiters = nil
}

// find returns the child of that name, or nil. Under mu, or on the loop.
func (t *Tree) find(name string) *kid {
	for _, k := range t.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}
