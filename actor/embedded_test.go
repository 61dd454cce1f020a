package actor_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// The tests of this file show troupe as a guest in a system of the user's.

// question names in the message itself who is to be answered.
type question struct {
	n       int
	replyTo *actor.PID
}

// passOn is a request to ask somebody else in the asker's name.
type passOn struct {
	n  int
	to *actor.PID
}

// answering spawns an actor that doubles numbers.
func answering(t *testing.T, as *proto.ActorSystem) *actor.PID {
	t.Helper()
	pid := as.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		switch m := ctx.Message().(type) {
		case int:
			ctx.Respond(2 * m)
		case question:
			ctx.Send(m.replyTo, 2*m.n)
		case passOn:
			ctx.RequestWithCustomSender(m.to, m.n, ctx.Sender())
		}
	}))
	t.Cleanup(func() { halt(t, as, pid) })
	return pid
}

func TestAnyActorCanAnswerAFuture(t *testing.T) {
	sys := actor.Wrap(newEngine())
	as := sys.ActorSystem()
	pid := answering(t, as)
	square := task.MustNew(sq, task.System(sys))
	forward := as.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		if _, ok := ctx.Message().(int); ok {
			ctx.Forward(pid)
		}
	}))
	defer halt(t, as, forward)
	for name, tt := range map[string]struct {
		ask  func(f *actor.PID)
		want int
	}{
		"as sender":                  {func(f *actor.PID) { as.Root.RequestWithCustomSender(pid, 5, f) }, 10},
		"as a field of the message":  {func(f *actor.PID) { as.Root.Send(pid, question{n: 6, replyTo: f}) }, 12},
		"as a PID of the same name":  {func(f *actor.PID) { as.Root.Send(pid, question{n: 6, replyTo: as.NewLocalPID(f.Id)}) }, 12},
		"as sender of a forwarded":   {func(f *actor.PID) { as.Root.RequestWithCustomSender(forward, 7, f) }, 14},
		"as sender, for a task":      {func(f *actor.PID) { as.Root.RequestWithCustomSender(square.PID(), 5, f) }, 25},
		"as sender, task asked late": {func(f *actor.PID) { as.Root.RequestWithCustomSender(pid, passOn{n: 6, to: square.PID()}, f) }, 36},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := actor.NewFuture[int]()
			tt.ask(f.PID(sys))
			v, err := f.Result()
			equal(t, "answer", v, tt.want)
			equal(t, "error", err, nil)
		})
	}
	equal(t, "addresses left", registered(as, "future/"), 0)
	stop(t, sys)
}

func TestTheFuturesOfTwoWrappedSystemsDoNotMeet(t *testing.T) {
	a, b := actor.Wrap(newEngine()), actor.Wrap(newEngine())
	inA, inB := answering(t, a.ActorSystem()), answering(t, b.ActorSystem())
	equal(t, "ids", inA.Id, inB.Id) // both count from the same number: only the system tells them apart

	// One Future each under the same id, and one with an address in both.
	fa, _ := actor.NewFuture[int]()
	fb, _ := actor.NewFuture[int]()
	equal(t, "ids of futures", fa.PID(a).Id, fb.PID(b).Id)
	both, _ := actor.NewFuture[int]()
	bothA, bothB := both.PID(a), both.PID(b)
	pending := actor.FromProto[int](b.ActorSystem().Root.RequestFuture(inB, 50, time.Minute))

	a.ActorSystem().Root.RequestWithCustomSender(inA, 1, fa.PID(a))
	v, err := fa.Result()
	equal(t, "answer in a", v, 2)
	equal(t, "error in a", err, nil)
	_, _, done := fb.Poll()
	equal(t, "the other is complete", done, false)

	square := task.MustNew(sq, task.System(a))
	square.PID()
	stop(t, a)
	equal(t, "registered in b", registered(b.ActorSystem(), "future/"), 2)
	b.ActorSystem().Root.RequestWithCustomSender(inB, 2, fb.PID(b))
	v, err = fb.Result()
	equal(t, "answer in b", v, 4)
	equal(t, "error in b", err, nil)
	v, err = pending.Result()
	equal(t, "protoactor's own in b", v, 100)
	equal(t, "error of it", err, nil)

	b.ActorSystem().Root.RequestWithCustomSender(inB, 3, bothB)
	a.ActorSystem().Root.Send(bothA, 7) // a still takes messages, whichever is first
	if v, err := both.Result(); v != 6 && v != 7 || err != nil {
		t.Errorf("the one in both: got %v, %v, want 6 or 7", v, err)
	}
	stop(t, b)
	for _, s := range []*actor.System{a, b} {
		equal(t, "addresses left", registered(s.ActorSystem(), "future/"), 0)
		equal(t, "shut down", s.ActorSystem().IsStopped(), false)
	}
}

func TestATaskCanPipeIntoAnotherSystem(t *testing.T) {
	a, b := actor.Wrap(newEngine()), actor.Wrap(newEngine())
	square := task.MustNew(sq, task.System(a))
	pid, in := inbox(t, b.ActorSystem())
	square.Submit(context.Background(), 3).PipeTo(b, pid)
	equal(t, "message", <-in, any(actor.Result[int]{Value: 9}))
	stop(t, a)
	stop(t, b)
}

// seen counts what passes through the middleware of the user's.
type seen struct {
	mu sync.Mutex
	n  map[string]int
}

func (s *seen) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == nil {
		s.n = make(map[string]int)
	}
	s.n[fmt.Sprintf(format, args...)]++
}

// take returns what was counted since the last take.
func (s *seen) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(s.n)) {
		lines = append(lines, fmt.Sprintf("%s: %d", k, s.n[k]))
	}
	s.n = nil
	return fmt.Sprint(lines)
}

func (s *seen) receiver(where string) proto.ReceiverMiddleware {
	return func(next proto.ReceiverFunc) proto.ReceiverFunc {
		return func(ctx proto.ReceiverContext, e *proto.MessageEnvelope) {
			if _, ok := e.Message.(int); ok {
				s.add("%s receives %v, header %q", where, e.Message, e.GetHeader("trace"))
			}
			next(ctx, e)
		}
	}
}

func (s *seen) sender(where string) proto.SenderMiddleware {
	return func(next proto.SenderFunc) proto.SenderFunc {
		return func(ctx proto.SenderContext, to *actor.PID, e *proto.MessageEnvelope) {
			s.add("%s sends %T", where, e.Message)
			e.SetHeader("trace", where)
			next(ctx, to, e)
		}
	}
}

func (s *seen) spawner(where string) proto.SpawnMiddleware {
	return func(next proto.SpawnFunc) proto.SpawnFunc {
		return func(as *proto.ActorSystem, id string, props *proto.Props, parent proto.SpawnerContext) (*actor.PID, error) {
			s.add("%s spawns", where)
			return next(as, id, props, parent)
		}
	}
}

func TestMiddlewareOfAWrappedSystemStaysWhatItWas(t *testing.T) {
	var s seen
	as := newEngine()
	as.Root = as.Root.WithHeaders(map[string]string{"origin": "user"}).
		WithSenderMiddleware(s.sender("root")).WithSpawnMiddleware(s.spawner("root"))
	root := as.Root
	// use runs an actor with middleware of all kinds, which spawns, sends and
	// receives, and returns what was seen of that.
	use := func() string {
		t.Helper()
		through := make(chan struct{})
		child := proto.PropsFromFunc(func(ctx proto.Context) {
			if _, ok := ctx.Message().(int); ok {
				close(through)
			}
		}, proto.WithReceiverMiddleware(s.receiver("child")))
		parent, err := root.SpawnNamed(proto.PropsFromFunc(func(ctx proto.Context) {
			if m, ok := ctx.Message().(int); ok {
				ctx.Send(ctx.Spawn(child), m)
			}
		}, proto.WithReceiverMiddleware(s.receiver("parent")), proto.WithSenderMiddleware(s.sender("parent")),
			proto.WithSpawnMiddleware(s.spawner("parent"))), "parent")
		if err != nil {
			t.Fatal(err)
		}
		root.Send(parent, 1)
		<-through
		halt(t, as, parent)
		got := s.take()
		equal(t, "header of Root", root.MessageHeader().Get("origin"), "user")
		equal(t, "Root", as.Root, root)
		return got
	}
	before := use()
	equal(t, "before", before, `[child receives 1, header "parent": 1 parent receives 1, header "root": 1 `+
		`parent sends int: 1 parent spawns: 1 root sends int: 1 root spawns: 1]`)

	sys := actor.Wrap(as)
	equal(t, "after Wrap", use(), before)

	square := task.MustNew(sq, task.System(sys), task.Workers(2))
	v, err := square.Call(context.Background(), 3)
	equal(t, "value", v, 9)
	equal(t, "error", err, nil)
	equal(t, "seen of a task's start and call", s.take(), "[]")
	equal(t, "with a task", use(), before)

	// What no actor sends leaves through Root, answers of tasks included.
	f, _ := actor.NewFuture[int]()
	root.RequestWithCustomSender(square.PID(), 4, f.PID(sys))
	v, err = f.Result()
	equal(t, "value", v, 16)
	equal(t, "error", err, nil)
	equal(t, "seen of a request", s.take(), "[root sends actor.Result[int]: 1 root sends int: 1]")

	f.PipeTo(sys, as.NewLocalPID("nobody"))
	equal(t, "seen of a pipe", s.take(), "[root sends actor.Result[int]: 1]")

	stop(t, sys)
	equal(t, "seen of Stop", s.take(), "[]")
	equal(t, "after Stop", use(), before)
}

// events subscribes to the event stream of as.
func events(t *testing.T, as *proto.ActorSystem) *seen {
	s := &seen{}
	sub := as.EventStream.Subscribe(func(e any) { s.add("%T", e) })
	t.Cleanup(func() { as.EventStream.Unsubscribe(sub) })
	return s
}

type happening struct{}

func TestTheEventStreamOfAWrappedSystemStaysWhatItWas(t *testing.T) {
	as := newEngine()
	s := events(t, as)
	before := as.EventStream.Length()
	check := func(when string) {
		t.Helper()
		as.EventStream.Publish(happening{})
		equal(t, "events "+when, s.take(), "[actor_test.happening: 1]")
	}
	check("before")

	sys := actor.Wrap(as)
	equal(t, "handlers after Wrap", as.EventStream.Length(), before)
	check("after Wrap")

	square := task.MustNew(sq, task.System(sys), task.Workers(2))
	v, err := square.Call(context.Background(), 3)
	equal(t, "value", v, 9)
	equal(t, "error", err, nil)
	equal(t, "handlers with a task", as.EventStream.Length(), before)
	check("with a task")

	set := limits.MustNew(limits.Calls(1, time.Second))
	set.PID(sys)

	// A call that panics costs its worker a restart, of which the stream tells.
	crash := task.MustNew(func(context.Context, int) (int, error) { panic(errOwn) },
		task.System(sys), task.Workers(1), task.Supervise(supervisor.Policy{MaxRestarts: -1}))
	_, err = crash.Call(context.Background(), 1)
	is(t, "crash", err, errOwn)

	stop(t, sys)
	s.take()
	equal(t, "handlers after Stop", as.EventStream.Length(), before)
	check("after Stop")
	if actor.Wrap(as) != sys {
		t.Error("Wrap again: got another System")
	}
	equal(t, "handlers after Wrap again", as.EventStream.Length(), before)
	check("after Wrap again")
}
