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
// an error. What it has granted stays granted, and still comes back when its
// holder terminates. The Set itself goes on without it: a later call starts
// another, also after [actor.System.Stop], which has to be called again for
// that one, and after Close, when all it has to say is [ErrClosed]. PID panics
// if sys is nil.
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
		set: s, system: sys, root: proto.NewRootContext(sys.ActorSystem(), nil), ended: make(chan struct{}),
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
		a.end()
	}
}

// setActor is the actor of a Set in one System. The state of the limits is in
// the Set; here is only who waits and who holds by way of messages.
type setActor struct {
	set    *Set
	system *actor.System
	root   *proto.RootContext // not the System's own: that may carry middleware of the program's
	name   string
	dead   *eventstream.Subscription
	ended  chan struct{}             // closed when it has stopped
	self   atomic.Pointer[actor.PID] // set by the first of spawn and Started

	mu      sync.Mutex // grants come from other goroutines than the actor's
	over    bool       // it takes no more outcomes to be sent
	waiting map[*asking]struct{}
	outbox  []*asking // have an outcome, to be sent by the actor
	holders map[string]*holder
}

// spawn starts the actor and registers it as a unit of its System.
func (a *setActor) spawn() {
	a.name, _ = a.system.Units().Add("", "limits", false, a) // a free name is found for the empty one
	as := a.system.ActorSystem()
	// Subscribed before any answer can be sent. No predicate: the engine sets
	// it only after the handler is in use.
	a.dead = as.EventStream.Subscribe(a.undelivered)
	props := proto.PropsFromProducer(func() proto.Actor { return a },
		proto.WithDispatcher(dispatcher{proto.NewDefaultDispatcher(300)}))
	id := "limits/" + strings.TrimPrefix(a.name, "limits-")
	pid, err := a.root.SpawnNamed(props, id)
	for errors.Is(err, proto.ErrNameExists) { // somebody's own actor, or an earlier System in the same engine
		pid, err = a.root.SpawnNamed(props, id+"-"+as.ProcessRegistry.NextId())
	}
	a.self.Store(pid)
}

// Stop implements the unit of a System.
func (a *setActor) Stop(ctx context.Context) error {
	a.end()
	select {
	case <-a.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("limits: %s still runs: %w", a.name, context.Cause(ctx))
	}
}

// end tells the actor to stop, and makes place for another.
func (a *setActor) end() {
	a.forget() // also waits for the spawn to end
	a.root.Stop(a.self.Load())
}

// forget makes [Set.PID] start another actor in place of a.
func (a *setActor) forget() {
	a.set.actors.mu.Lock()
	defer a.set.actors.mu.Unlock()
	if a.set.actors.in[a.system] == a {
		delete(a.set.actors.in, a.system)
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
	case sendAnswers:
		a.sendAnswers()
	case *proto.Started:
		a.self.Store(ctx.Self())
	case *proto.Terminated:
		a.bury(m.Who)
	case *proto.Stopping:
		apart(a.stopping)
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
		a.root.RequestWithCustomSender(to, result, a.self.Load())
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
	ask := &asking{actor: a, sender: ctx.Sender(), holder: a.holderOf(ctx, m)}
	if m.Try {
		ask.now(a.set.TryAcquire(m.Request))
		return
	}
	a.mu.Lock()
	a.waiting[ask] = struct{}{}
	a.mu.Unlock()
	p, ticket, err := a.set.Enqueue(m.Request, ask)
	if ticket == nil {
		ask.now(p, err)
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

// giveUp cancels those who wait and of whom it is true, and calls then with
// each of them who will not be granted any more.
func (a *setActor) giveUp(which func(*asking) bool, then func(*asking)) {
	var all []*asking
	a.mu.Lock()
	for ask := range a.waiting {
		if which(ask) {
			all = append(all, ask)
		}
	}
	a.mu.Unlock()
	each(all, func(ask *asking) {
		gone := true // so it is if Cancel does not return: one of those it lets through has ended the goroutine
		defer func() {
			if gone {
				a.mu.Lock()
				delete(a.waiting, ask)
				a.mu.Unlock()
				then(ask)
			}
		}()
		gone = ask.ticket.Cancel()
	})
}

// stopping sends the outcomes that are there and an error to those who still
// wait. It is the end of the outbox: a grant that comes now goes back.
func (a *setActor) stopping() {
	a.forget() // if somebody has stopped it by its PID
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	defer a.bequeath()
	defer a.sendAnswers()
	a.giveUp(func(*asking) bool { return true }, func(ask *asking) {
		ask.err = errActorStopped
		a.outbox = append(a.outbox, ask) // which is this goroutine's alone by now
	})
}

// stopped takes the actor off all lists.
func (a *setActor) stopped() {
	a.system.ActorSystem().EventStream.Unsubscribe(a.dead)
	a.system.Units().Remove(a.name, a)
	close(a.ended)
}
