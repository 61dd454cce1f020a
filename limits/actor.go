package limits

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	proto "github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	"github.com/troupe-go/troupe/actor"
)

var errActorStopped = errors.New("limits: the actor of the set has stopped")

// errNoPermit answers a ReleaseMsg without a permit.
var errNoPermit = errors.New("limits: release of no permit")

// actors are those of one Set, by the System that each lives in.
type actors struct {
	mu sync.Mutex
	in map[*actor.System]*setActor
}

// PID returns the address of the Set's actor in sys, for other actors to ask:
// it takes [AcquireMsg], [ReleaseMsg] and [StatsMsg] and answers whatever else
// has a sender with an [actor.Result] of struct{} with an *[actor.MessageError].
// The first call starts it, under the name limits/N; each System has its own.
// It shares the queues of the Set with those who call it directly.
//
// It stops with the System and with [Set.Close]; who waits through it then gets
// an error. The Set itself goes on without it, and a later call starts it
// again. PID panics if sys is nil.
func (s *Set) PID(sys *actor.System) *actor.PID {
	if sys == nil {
		panic("limits: PID in a nil System")
	}
	s.actors.mu.Lock()
	defer s.actors.mu.Unlock()
	if a := s.actors.in[sys]; a != nil {
		return a.self.Load()
	}
	a := &setActor{
		set: s, system: sys, ended: make(chan struct{}),
		waiting: make(map[*asking]struct{}), holders: make(map[string]*holder),
	}
	a.spawn()
	if s.actors.in == nil {
		s.actors.in = make(map[*actor.System]*setActor)
	}
	s.actors.in[sys] = a
	return a.self.Load()
}

// stopActors tells the Set's actors to stop and does not wait for it, as the
// caller may be one of them.
func (s *Set) stopActors() {
	s.actors.mu.Lock()
	all := slices.Collect(maps.Values(s.actors.in))
	s.actors.mu.Unlock()
	for _, a := range all {
		a.system.ActorSystem().Root.Stop(a.self.Load())
	}
}

// setActor is the actor of a Set in one System. The state of the limits is in
// the Set; here is only who waits and who holds by way of messages.
type setActor struct {
	set    *Set
	system *actor.System
	name   string
	dead   *eventstream.Subscription
	ended  chan struct{}             // closed when it has stopped
	self   atomic.Pointer[actor.PID] // set by the first of spawn and Started

	mu      sync.Mutex // grants come from other goroutines than the actor's
	waiting map[*asking]struct{}
	holders map[string]*holder
}

// spawn starts the actor and registers it as a unit of its System.
func (a *setActor) spawn() {
	a.name, _ = a.system.Units().Add("", "limits", false, a) // a free name is found for the empty one
	as := a.system.ActorSystem()
	// Subscribed before any answer can be sent. No predicate: the engine sets
	// it only after the handler is in use.
	a.dead = as.EventStream.Subscribe(a.undelivered)
	props := proto.PropsFromProducer(func() proto.Actor { return a })
	id := "limits/" + strings.TrimPrefix(a.name, "limits-")
	pid, err := as.Root.Copy().SpawnNamed(props, id)
	for errors.Is(err, proto.ErrNameExists) { // somebody's own actor, or an earlier System in the same engine
		pid, err = as.Root.Copy().SpawnNamed(props, id+"-"+as.ProcessRegistry.NextId())
	}
	a.self.Store(pid)
}

// Stop implements the unit of a System.
func (a *setActor) Stop(ctx context.Context) error {
	a.system.ActorSystem().Root.Stop(a.self.Load())
	select {
	case <-a.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("limits: %s still runs: %w", a.name, context.Cause(ctx))
	}
}

// Describe implements the unit of a System.
func (a *setActor) Describe() any {
	s := actor.LimitsSnapshot{Name: a.name, Config: a.set.attached()}
	if pid := a.self.Load(); pid != nil {
		s.PID = pid.Id
	}
	for _, stat := range a.set.Stats() {
		s.Keys = append(s.Keys, actor.LimitSnapshot(stat))
	}
	return s
}

// Receive implements protoactor's Actor.
func (a *setActor) Receive(ctx proto.Context) {
	switch m := ctx.Message().(type) {
	case AcquireMsg:
		a.acquire(ctx, m)
	case *AcquireMsg:
		a.acquire(ctx, *m)
	case ReleaseMsg:
		a.answer(ctx.Sender(), actor.Result[struct{}]{Err: m.release()})
	case *ReleaseMsg:
		a.answer(ctx.Sender(), actor.Result[struct{}]{Err: m.release()})
	case StatsMsg, *StatsMsg:
		a.answer(ctx.Sender(), actor.Result[[]Stat]{Value: a.set.Stats()})
	case *proto.Started:
		a.self.Store(ctx.Self())
	case *proto.Terminated:
		a.bury(m.Who)
	case *proto.Stopping:
		a.stopping()
	case *proto.Stopped:
		a.stopped()
	case proto.SystemMessage, proto.AutoReceiveMessage, *proto.DeadLetterResponse:
	default:
		a.answer(ctx.Sender(), actor.Result[struct{}]{
			Err: &actor.MessageError{Want: "limits.AcquireMsg, ReleaseMsg or StatsMsg", Got: m},
		})
	}
}

// answer sends to the one who asked, with the actor as the sender: so that
// undelivered knows its own.
func (a *setActor) answer(to *actor.PID, result any) {
	if to != nil {
		a.system.ActorSystem().Root.RequestWithCustomSender(to, result, a.self.Load())
	}
}

// undelivered hears of all dead letters and releases the permits among them.
func (a *setActor) undelivered(event any) {
	letter, ok := event.(*proto.DeadLetterEvent)
	if !ok {
		return
	}
	if r, ok := letter.Message.(actor.Result[*Permit]); ok && letter.Sender != nil && letter.Sender.Equal(a.self.Load()) {
		r.Value.Release()
	}
}

// acquire asks the Set in the name of the sender.
func (a *setActor) acquire(ctx proto.Context, m AcquireMsg) {
	if ctx.Sender() == nil {
		return
	}
	ask := &asking{actor: a, sender: ctx.Sender()}
	if m.Holder != nil {
		ask.holder = a.watch(ctx, m.Holder)
	}
	if m.Try {
		ask.Granted(a.set.TryAcquire(m.Request))
		return
	}
	a.mu.Lock()
	a.waiting[ask] = struct{}{}
	a.mu.Unlock()
	p, ticket, err := a.set.Enqueue(m.Request, ask)
	if ticket == nil {
		ask.Granted(p, err)
		return
	}
	a.mu.Lock()
	ask.ticket = ticket
	a.mu.Unlock()
}

// release does what the message says.
func (m ReleaseMsg) release() error {
	if m.Permit == nil {
		return errNoPermit
	}
	defer m.Permit.Release()
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(m.Used)) {
		errs = append(errs, m.Permit.Update(key, m.Used[key]))
	}
	return errors.Join(errs...)
}

// giveUp cancels those who wait and of whom it is true, and returns them.
func (a *setActor) giveUp(which func(*asking) bool) (gone []*asking) {
	var tickets []Ticket
	a.mu.Lock()
	for ask := range a.waiting {
		if which(ask) {
			gone, tickets = append(gone, ask), append(tickets, ask.ticket)
		}
	}
	a.mu.Unlock()
	kept := gone[:0]
	for i, ask := range gone {
		if tickets[i].Cancel() {
			a.mu.Lock()
			delete(a.waiting, ask)
			a.mu.Unlock()
			kept = append(kept, ask)
		}
	}
	return kept
}

// stopping ends the waits of those who asked by message.
func (a *setActor) stopping() {
	for _, ask := range a.giveUp(func(*asking) bool { return true }) {
		a.answer(ask.sender, actor.Result[*Permit]{Err: errActorStopped})
	}
}

// stopped takes the actor off all lists.
func (a *setActor) stopped() {
	a.system.ActorSystem().EventStream.Unsubscribe(a.dead)
	a.system.Units().Remove(a.name, a)
	a.set.actors.mu.Lock()
	if a.set.actors.in[a.system] == a {
		delete(a.set.actors.in, a.system)
	}
	a.set.actors.mu.Unlock()
	close(a.ended)
}
