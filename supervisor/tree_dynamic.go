package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrNoChild is matched by the errors of commands that name a child which the
// tree does not have.
var ErrNoChild = errors.New("supervisor: no such child")

// Add appends a child, last in start order. If the tree runs, the child is
// spawned at once, and the error is that of the spawn, after which the tree
// does not have it; during a restart of other children it is started in its
// turn. If the tree does not run, or gives up or is restarted just now, the
// child is started when the tree is.
//
// A name that is taken or wrong is an error, and so is a tree that contains
// this one; after Stop the error matches [ErrStopped].
func (t *Tree) Add(c Child) error {
	var found faults
	name := checkChild(c, found.add)
	if err := found.join(); err != nil {
		return err
	}
	k := newKid(name, c)
	return t.command(context.Background(), name, command{
		adds: k,
		idle: func() error { return t.append(k) },
		live: func(r *runner, reply func(error)) { reply(r.add(k)) },
	})
}

// Remove stops a child and forgets it. It drains the child until ctx ends, and
// then stops it; if that is not done at once, it returns context.Cause(ctx)
// while the child is still on its way out. The error matches [ErrNoChild] if
// there is no child of that name.
func (t *Tree) Remove(ctx context.Context, name string) error {
	return t.command(ctx, name, command{
		idle:  func() error { return t.drop(name) },
		live:  func(r *runner, reply func(error)) { r.dismissChild(name, reply) },
		hurry: func(r *runner) { r.hurry(name) },
	})
}

// Restart starts a child anew, alone and without cost to the budget: drained
// first if it runs (a pool lets its workers go and keeps what waits), at once
// if it has ended or waits for a restart. If that is one of several children,
// it is not done for this one alone: the delay ends for all of them, and they
// start in order. Restart returns when the child is spawned; if ctx ends
// before, with context.Cause(ctx), and the child is then stopped without
// draining and started in the background.
//
// The error matches [ErrNoChild] if there is no child of that name, or if it is
// removed meanwhile, and [ErrStopped] if the tree does not run, or if it or the
// policy stops the child meanwhile. That of a spawn leaves the child stopped.
func (t *Tree) Restart(ctx context.Context, name string) error {
	return t.command(ctx, name, command{
		idle:  func() error { return t.notRunning(name) },
		live:  func(r *runner, reply func(error)) { r.restartChild(name, reply) },
		hurry: func(r *runner) { r.hurry(name) },
	})
}

// command is something to do with a child.
type command struct {
	adds  *kid                               // nil: none
	idle  func() error                       // without a loop, under Tree.mu
	live  func(r *runner, reply func(error)) // on the loop; replies once, some time
	hurry func(r *runner)                    // on the loop, when ctx has ended; may be nil
}

func (t *Tree) command(ctx context.Context, name string, c command) error {
	if ctx == nil {
		return errNoContext
	}
	for {
		l, err := t.unlessLive(c)
		if l == nil {
			return err
		}
		answer := make(chan error, 1)
		l.post(func(r *runner) { c.live(r, func(err error) { answer <- err }) })
		select {
		case err := <-answer:
			return err
		case <-ctx.Done():
			if c.hurry != nil {
				l.post(c.hurry)
			}
			return fmt.Errorf("supervisor: tree %q, child %q: %w", t.name, name, context.Cause(ctx))
		case <-l.gone:
		}
		select {
		case err := <-answer:
			return err
		default: // the loop did not come to it
		}
	}
}

func (t *Tree) unlessLive(c command) (*life, error) {
	if c.adds != nil {
		defer c.adds.joinFamily()()
		if err := t.circle(c.adds); err != nil {
			return nil, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.life != nil {
		return t.life, nil
	}
	return nil, c.idle()
}

// family is held while a tree gets another one as a child: two of them that get
// each other must not both find that there is no circle yet. It is locked
// before any Tree.mu.
var family sync.Mutex

// joinFamily locks family if k is a tree, and returns what unlocks it.
func (k *kid) joinFamily() (unlock func()) {
	if _, ok := k.child.(*Tree); !ok {
		return func() {}
	}
	family.Lock()
	return family.Unlock
}

// circle returns an error if t is in or below k. Under family.
func (t *Tree) circle(k *kid) error {
	if sub, ok := k.child.(*Tree); ok && sub.contains(t) {
		return t.refuse(k.name, fmt.Errorf("it contains tree %q", t.name))
	}
	return nil
}

// append is Add without a loop. Under mu.
func (t *Tree) append(k *kid) error {
	if t.closed {
		return t.refuse(k.name, ErrStopped)
	}
	if t.find(k.name) != nil {
		return t.refuse(k.name, errors.New("the name is taken"))
	}
	t.kids = append(slices.Clone(t.kids), k)
	return nil
}

// drop is Remove without a loop. Under mu.
func (t *Tree) drop(name string) error {
	k := t.find(name)
	if k == nil {
		return t.refuse(name, ErrNoChild)
	}
	t.kids = slices.DeleteFunc(slices.Clone(t.kids), func(x *kid) bool { return x == k })
	return nil
}

func (t *Tree) notRunning(name string) error {
	if t.find(name) == nil {
		return t.refuse(name, ErrNoChild)
	}
	return t.refuse(name, ErrStopped)
}

func (t *Tree) refuse(name string, err error) error {
	return fmt.Errorf("supervisor: tree %q, child %q: %w", t.name, name, err)
}

// contains reports whether other is t or below it.
func (t *Tree) contains(other *Tree) bool {
	if t == other {
		return true
	}
	_, children := t.outline()
	return slices.ContainsFunc(children, func(c Child) bool {
		sub, ok := c.(*Tree)
		return ok && sub.contains(other)
	})
}

// adopt is append for the loop.
func (t *Tree) adopt(k *kid) error {
	defer k.joinFamily()()
	if err := t.circle(k); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.append(k)
}

func (r *runner) add(k *kid) error {
	t := r.tree
	if err := t.adopt(k); err != nil || r.phase != supervising {
		return err // nil: it is started with the tree, should that come back
	}
	if r.round != nil {
		k.aim = again // in its turn
		return nil
	}
	if err := r.spawn(k, EventStarted); err != nil {
		r.remove(k)
		return t.refuse(k.name, err)
	}
	return nil
}

func (r *runner) dismissChild(name string, reply func(error)) {
	k := r.tree.find(name)
	if k == nil {
		reply(r.tree.refuse(name, ErrNoChild))
		return
	}
	if k.aim != leave { // a Restart waits for what is not to come now
		k.reply(r.tree.refuse(name, ErrNoChild))
	}
	k.replies = append(k.replies, reply)
	if !k.alive {
		r.remove(k)
		return
	}
	k.disarm()
	k.aim, k.gentle = leave, true
	r.drainChild(k)
}

func (r *runner) restartChild(name string, reply func(error)) {
	k := r.tree.find(name)
	switch {
	case k == nil || k.aim == leave:
		reply(r.tree.refuse(name, ErrNoChild))
		return
	case r.phase != supervising:
		reply(r.tree.refuse(name, ErrStopped))
		return
	}
	k.replies = append(k.replies, reply)
	switch {
	case k.aim == again: // its answer comes with that
		if !k.gentle && r.round != nil {
			r.hasten(r.round)
		}
	case !k.alive:
		if err := r.up(k); err != nil {
			r.commandFailed(k, err)
		}
	case k.due != nil:
		r.restartNow(k)
	default:
		r.recycle(k)
	}
}

// recycle takes k down alone, to be started when it is.
func (r *runner) recycle(k *kid) {
	k.aim, k.gentle = again, true
	if h := r.halterOf(k); h != nil && k.told < toDrain {
		r.halt(k, h)
		return
	}
	r.drainChild(k)
	r.setState(k, StateStopping, nil)
}

// hurry stops a child that was commanded down and still drains or halts.
func (r *runner) hurry(name string) {
	if k := r.tree.find(name); k != nil && k.gentle && (k.told == toDrain || k.told == toHalt && !k.halted) {
		r.stop(k)
	}
}
