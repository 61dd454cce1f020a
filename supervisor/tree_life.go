package supervisor

import (
	"context"
	"fmt"
	"sync"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

// life is the time from the spawn of a tree's actor to its end, through any
// number of restarts by its parent. It carries commands to the loop: as system
// messages, since an actor that has escalated a failure reads no others.
type life struct {
	tree    *Tree
	host    *actor.System
	unit    string        // its name in the registry of units; empty: it has none
	started chan error    // takes how the first start went; nil: nobody asks
	up      chan struct{} // closed when the first start is through
	gone    chan struct{} // closed when the actor has ended
	begun   bool          // for the loop: it is not the first start any more

	mu    sync.Mutex
	inbox []func(*runner)
	self  target // nil process: not ready for messages yet
}

// props takes the channel by which a Start wants to hear, or nil.
func (t *Tree) props(started chan error) *proto.Props {
	return proto.PropsFromProducer(func() proto.Actor { return newRunner(t.current()) },
		proto.WithReceiverMiddleware(drainOnPoison),
		proto.WithSpawnFunc(func(as *proto.ActorSystem, id string, p *proto.Props, parent proto.SpawnerContext) (*proto.PID, error) {
			l := &life{tree: t, host: actor.Wrap(as), started: started, up: make(chan struct{}), gone: make(chan struct{})}
			if err := l.begin(parent); err != nil {
				return nil, err
			}
			pid, err := proto.DefaultSpawner(as, id, p, parent)
			if err != nil {
				l.withdraw()
				return pid, err
			}
			l.ready(as, pid)
			return pid, nil
		}))
}

// current returns the life that a new incarnation belongs to.
func (t *Tree) current() *life {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.life
}

// drainOnPoison lets the loop see a PoisonPill: the engine would stop all
// children at once.
func drainOnPoison(next proto.ReceiverFunc) proto.ReceiverFunc {
	return func(ctx proto.ReceiverContext, envelope *proto.MessageEnvelope) {
		if _, poison := envelope.Message.(*proto.PoisonPill); poison {
			envelope = &proto.MessageEnvelope{Message: poisoned{}}
		}
		next(ctx, envelope)
	}
}

type poisoned struct{}

// begin makes l the life of its tree. A root is entered in the System; a tree
// below another one is shown and stopped there.
func (l *life) begin(parent proto.SpawnerContext) error {
	if err := l.claim(); err != nil {
		return err
	}
	if inTree(parent) {
		return nil
	}
	name, err := l.host.Units().Add("tree/"+l.tree.name, "", true, unit{tree: l.tree})
	if err != nil {
		l.withdraw()
		return err
	}
	l.unit = name
	return nil
}

func (l *life) claim() error {
	t := l.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("tree %q: %w", t.name, ErrStopped)
	}
	if t.life != nil {
		return fmt.Errorf("tree %q: %w", t.name, errLive)
	}
	t.life = l
	return nil
}

// withdraw takes back a life that nothing came of.
func (l *life) withdraw() {
	l.leave()
	t := l.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	t.life = nil
	if t.closed && !t.over {
		t.state = StateStopped
		t.conclude(nil)
	}
	close(l.gone)
}

// leave makes the name free again.
func (l *life) leave() {
	if l.unit != "" {
		l.host.Units().Remove(l.unit, unit{tree: l.tree})
	}
}

func inTree(parent proto.SpawnerContext) bool {
	ctx, ok := parent.(proto.Context)
	if !ok {
		return false
	}
	_, ok = ctx.Actor().(*runner)
	return ok
}

// ready is called when the actor can take messages, by whoever finds out first:
// it is registered earlier than that.
func (l *life) ready(as *proto.ActorSystem, pid *proto.PID) {
	l.mu.Lock()
	if l.self.process == nil {
		l.self = seen(as, pid)
	}
	l.mu.Unlock()
	l.knock()
}

// awaitStart returns when the tree has spawned its children for the first time,
// as far as it could, or is gone.
func (t *Tree) awaitStart() {
	if l := t.current(); l != nil {
		select {
		case <-l.up:
		case <-l.gone:
		}
	}
}

// post has the loop run the command, soon; never, if the life ends before.
func (l *life) post(command func(*runner)) {
	l.mu.Lock()
	l.inbox = append(l.inbox, command)
	l.mu.Unlock()
	l.knock()
}

// door is nobody: the Terminated of an actor that is no child means nothing to
// the engine, which hands it to the tree.
var door = proto.NewPID("", "supervisor/door")

func (l *life) knock() {
	l.mu.Lock()
	self, pending := l.self, len(l.inbox) > 0
	l.mu.Unlock()
	if self.process != nil && pending {
		self.process.SendSystemMessage(self.pid, &proto.Terminated{Who: door})
	}
}

// of reports whether l is the life of that process.
func (l *life) of(t target) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return t.process != nil && l.self.process == t.process
}

func (l *life) take() []func(*runner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	commands := l.inbox
	l.inbox = nil
	return commands
}

// end is called when the actor has stopped. The name is free before anybody
// hears of it.
func (l *life) end() {
	l.leave()
	t := l.tree
	t.mu.Lock()
	t.life, t.state = nil, StateStopped
	if t.failure != nil {
		t.state = StateFailed
	}
	if !t.over {
		t.conclude(t.failure)
	}
	failure := t.failure
	t.mu.Unlock()
	close(l.gone)
	if failure == nil {
		failure = ErrStopped
	}
	l.report(failure) // to a Start that has not heard yet
}

// report tells Start how it went, once.
func (l *life) report(err error) {
	if l.started == nil {
		return
	}
	select {
	case l.started <- err:
	default:
	}
}

// unit is a tree as its System sees it.
type unit struct{ tree *Tree }

func (u unit) Stop(ctx context.Context) error { return u.tree.Stop(ctx) }

func (u unit) Describe() any { return u.tree.Snapshot().trees() }
