package supervisor

import (
	"slices"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

// grace is how long a tree that gives up waits for each child to stop, and a
// restart for each pool to let its workers go.
const grace = 5 * time.Second

// phase of a runner.
type phase int

const (
	supervising phase = iota
	draining          // Stop, or a PoisonPill: one child after the other
	failing           // gives up: the same, but not drained, and bounded
	ceasing           // the tree above stops it: the same, neither drained nor bounded
	escalated         // has handed its failure up, and waits for the parent
	ending            // the engine stops it, or stops it to restart it
)

// runner is one incarnation of a tree's actor. It alone decides and acts:
// commands, failures, ends of children and timers all come to its goroutine,
// change what it wants there, and then [runner.step] does what is next.
type runner struct {
	tree   *Tree
	life   *life
	host   *actor.System
	system *proto.ActorSystem
	ctx    proto.Context    // of the actor, also between messages
	super  proto.Supervisor // the same

	phase   phase
	forced  bool  // draining is over, stop what is left
	cause   error // why it fails
	reason  any   // what to tell the parent of it
	message any   // what the child worked on
	history History
	record  record // whom it told to stop, for the machinery in ending.go
	round   *round // restart of a scope under way
}

func newRunner(l *life) *runner { return &runner{tree: l.tree, life: l, host: l.host} }

// Receive implements proto.Actor.
func (r *runner) Receive(ctx proto.Context) {
	switch msg := ctx.Message().(type) {
	case *proto.Started:
		r.attach(ctx)
		r.start()
		r.life.ready(r.system, ctx.Self())
	case *proto.Terminated:
		if msg.Who == door {
			r.obey()
		} else {
			r.terminated(msg.Who)
		}
	case poisoned:
		r.drain()
	case resumed:
		if msg.of == r && r.phase == escalated {
			r.start()
		}
	case *proto.Stopping:
		r.wind(StateStopping)
	case *proto.Restarting:
		r.wind(StateRestarting)
	case *proto.Stopped:
		r.answerAll(ErrStopped)
		r.tell(nil, EventStopped, nil)
		r.life.end()
	}
	r.step()
}

func (r *runner) attach(ctx proto.Context) {
	r.ctx, r.system = ctx, ctx.ActorSystem()
	r.super, _ = ctx.(proto.Supervisor)
}

func (r *runner) obey() {
	for _, command := range r.life.take() {
		command(r)
		r.step()
	}
}

// post has this incarnation run the command on its goroutine, soon.
func (r *runner) post(command func()) {
	r.life.post(func(now *runner) {
		if now == r {
			command()
		}
	})
}

// after is post after a while. Whoever calls it stops the timer in time.
func (r *runner) after(d time.Duration, command func()) *time.Timer {
	return time.AfterFunc(d, func() { r.post(command) })
}

// start starts all children, none of which lives.
func (r *runner) start() {
	t := r.tree
	first := !r.life.begun
	r.life.begun = true
	if first {
		defer close(r.life.up)
	}
	anew := t.state == StateRestarting
	r.phase, r.history, r.cause = supervising, History{}, nil
	t.mu.Lock()
	if t.closed { // before it came to its start, or while the engine restarted the actor
		t.mu.Unlock()
		r.phase = ending
		r.life.report(ErrStopped)
		r.ctx.Stop(r.ctx.Self())
		return
	}
	t.state, t.failure, t.lastErr, t.over = StateRunning, nil, "", false
	if anew {
		t.restarts++
	} else if first {
		t.restarts = 0
	}
	t.mu.Unlock()
	for _, k := range slices.Clone(t.kids) {
		r.renew(k)
	}
	kind := EventStarted
	if anew {
		kind = EventRestarted
	}
	for _, k := range slices.Clone(t.kids) {
		if r.round != nil {
			k.aim = again // in its turn, after the earlier one that has failed
			continue
		}
		if err := r.spawn(k, EventStarted); err != nil && !r.startFailed(k, err, first) {
			return
		}
	}
	r.tell(nil, kind, nil)
	r.life.report(nil)
}

// renew prepares a child for the tree's start: what an earlier incarnation
// wanted of it is settled by that.
func (r *runner) renew(k *kid) {
	if k.aim == leave {
		r.remove(k)
		return
	}
	r.tree.mu.Lock()
	k.state, k.restarts, k.lastErr = StateIdle, 0, ""
	r.tree.mu.Unlock()
	k.clear()
	k.aim, k.gentle = stay, false
	k.reply(nil)
}

// startFailed says whether to go on with the next child: a failed spawn is the
// end of Start, and else a failure like any other.
func (r *runner) startFailed(k *kid, err error, first bool) bool {
	if r.life.started == nil || !first {
		if r.over(k, err) {
			return true
		}
		r.spawnFailed(k, err)
		return r.phase == supervising
	}
	r.setState(k, StateStopped, err)
	r.tell(k, EventFailed, err)
	r.fail(r.endOf(k, "could not be started", err), nil, nil)
	return false
}

// wind prepares for what the engine does next: tell all children to stop.
func (r *runner) wind(state string) {
	r.phase = ending
	r.abandonRound()
	r.tree.mu.Lock()
	r.tree.state = state
	r.tree.mu.Unlock()
	r.abandonAims()
	for _, k := range r.tree.kids {
		k.disarm()
		if !k.alive {
			continue
		}
		k.told = toStop
		r.record.leave(r.system, false, k.pid)
		r.setState(k, StateStopping, nil)
	}
}

// setState also notes an error, unless it is nil.
func (r *runner) setState(k *kid, state string, err error) {
	s := text(err)
	r.tree.mu.Lock()
	defer r.tree.mu.Unlock()
	k.state = state
	if err != nil {
		k.lastErr = s
	}
}

func (r *runner) answerAll(err error) {
	for _, k := range r.tree.kids {
		k.reply(err)
	}
}
