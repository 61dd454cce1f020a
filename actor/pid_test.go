package actor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

func TestAPIDIsRegisteredWhenAskedForAndRemovedOnCompletion(t *testing.T) {
	a, b := newSystem(), newSystem()
	f, complete := actor.NewFuture[int]()
	f.OnDone(func(int, error) {})
	equal(t, "before", registered(a.ActorSystem(), "future/"), 0)
	pid := f.PID(a)
	equal(t, "once asked", registered(a.ActorSystem(), "future/"), 1)
	equal(t, "the same for the same system", f.PID(a), pid)
	equal(t, "still one", registered(a.ActorSystem(), "future/"), 1)
	if other := f.PID(b); other == pid {
		t.Error("two systems share a PID")
	}
	equal(t, "in the other system", registered(b.ActorSystem(), "future/"), 1)
	complete(1, nil)
	equal(t, "afterwards", registered(a.ActorSystem(), "future/")+registered(b.ActorSystem(), "future/"), 0)

	a.ActorSystem().Root.Send(pid, 2)
	a.ActorSystem().Root.Send(pid, "wrong")
	outcome(t, f, 1, nil)
	equal(t, "PID of a complete one", f.PID(a), pid)
	late := actor.Completed(1, nil)
	a.ActorSystem().Root.Send(late.PID(a), 2)
	outcome(t, late, 1, nil)
	equal(t, "registered for a complete one", registered(a.ActorSystem(), "future/"), 0)
}

func TestAPIDAskedForAtTheSameTimeAsTheEndIsRemoved(t *testing.T) {
	sys := newSystem()
	for range 1000 {
		f, complete := actor.NewFuture[int]()
		var pids [2]*actor.PID
		race(
			func() { pids[0] = f.PID(sys) },
			func() { complete(1, nil) },
			func() { pids[1] = f.PID(sys) },
		)
		equal(t, "PID", pids[0], pids[1])
	}
	equal(t, "registered", registered(sys.ActorSystem(), "future/"), 0)
}

type greeter interface{ Greet() string }

type english struct{ name string }

func (e english) Greet() string { return "hello " + e.name }

// completion sends message to the PID of a new future and returns the outcome.
func completion[T any](sys *actor.System, message any) string {
	f, _ := actor.NewFuture[T]()
	sys.ActorSystem().Root.Send(f.PID(sys), message)
	v, err, done := f.Poll()
	var wrong *actor.MessageError
	switch {
	case !done:
		return "open"
	case errors.As(err, &wrong):
		return "refused " + wrong.Error()
	case err != nil:
		return fmt.Sprintf("%v error %v", any(v), err)
	}
	return fmt.Sprint(v)
}

func TestAMessageCompletesAFuture(t *testing.T) {
	sys := newSystem()
	boom := errors.New("boom")
	refused := func(want, got string) string {
		return fmt.Sprintf("refused actor: want a message of type %s, got %s", want, got)
	}
	for name, tt := range map[string]struct{ got, want string }{
		"Result":            {completion[int](sys, actor.Result[int]{Value: 1}), "1"},
		"Result with error": {completion[int](sys, actor.Result[int]{Value: 1, Err: boom}), "1 error boom"},
		"pointer to Result": {completion[int](sys, &actor.Result[int]{Value: 2}), "2"},
		"nil pointer":       {completion[int](sys, (*actor.Result[int])(nil)), refused("int", "*actor.Result[int]")},
		"bare value":        {completion[int](sys, 3), "3"},
		"error":             {completion[int](sys, boom), "0 error boom"},
		"enveloped":         {completion[int](sys, &proto.MessageEnvelope{Message: 4}), "4"},
		"other type":        {completion[int](sys, "four"), refused("int", "string")},
		"other Result":      {completion[int](sys, actor.Result[string]{Value: "a"}), refused("int", "actor.Result[string]")},
		"nil":               {completion[int](sys, nil), refused("int", "<nil>")},
		"dead letter":       {completion[int](sys, &proto.DeadLetterResponse{}), refused("int", "*actor.DeadLetterResponse")},

		"interface value":           {completion[greeter](sys, english{name: "you"}), "{you}"},
		"interface error":           {completion[any](sys, boom), "<nil> error boom"},
		"interface dead letter":     {completion[any](sys, &proto.DeadLetterResponse{}), refused("interface {}", "*actor.DeadLetterResponse")},
		"interface other":           {completion[greeter](sys, 5), refused("actor_test.greeter", "int")},
		"error as value":            {completion[*own](sys, &own{}), "own"},
		"error as value in Result":  {completion[error](sys, actor.Result[error]{Value: boom}), "boom"},
		"dead letter as value":      {completion[*proto.DeadLetterResponse](sys, &proto.DeadLetterResponse{}), (&proto.DeadLetterResponse{}).String()},
		"error for an error future": {completion[error](sys, boom), "<nil> error boom"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", name, tt.got, tt.want)
		}
	}
}

type own struct{}

func (*own) Error() string { return "own" }

func TestAMessageErrorTellsADeadLetter(t *testing.T) {
	sys := newSystem()
	f, _ := actor.NewFuture[int]()
	as := sys.ActorSystem()
	as.Root.RequestWithCustomSender(as.NewLocalPID("nobody"), "hello", f.PID(sys))
	_, err := f.Result()
	is(t, "asking nobody", err, proto.ErrDeadLetter)
	if wrong := (&actor.MessageError{Want: "int", Got: "text"}); errors.Is(wrong, proto.ErrDeadLetter) {
		t.Error("a wrong type counts as a dead letter")
	}
}

func TestAFutureCanBeTheSenderOfARequest(t *testing.T) {
	sys := newSystem()
	as := sys.ActorSystem()
	echo := as.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		if s, ok := ctx.Message().(string); ok {
			ctx.Respond(strings.ToUpper(s))
		}
	}))
	defer halt(t, as, echo)
	f, _ := actor.NewFuture[string]()
	as.Root.RequestWithCustomSender(echo, "hello", f.PID(sys))
	v, err := f.Result()
	equal(t, "answer", v, "HELLO")
	equal(t, "error", err, nil)
}

func TestPipeToReachesEveryPID(t *testing.T) {
	sys := newSystem()
	as := sys.ActorSystem()
	p1, in1 := inbox(t, as)
	p2, in2 := inbox(t, as)
	f, complete := actor.NewFuture[int]()
	target, _ := actor.NewFuture[int]()
	to := []*actor.PID{p1, nil, p2, target.PID(sys)}
	f.PipeTo(sys, to...)
	clear(to) // the caller's slice is the caller's
	f.PipeTo(sys)
	complete(1, errOwn)
	f.PipeTo(sys, p2)
	want := actor.Result[int]{Value: 1, Err: errOwn}
	for i, in := range []<-chan any{in1, in2, in2} {
		if got := <-in; got != any(want) {
			t.Errorf("message %d: got %v, want %v", i, got, want)
		}
	}
	outcome(t, target, 1, errOwn)
}

// mine is a process of the user's.
type mine struct{ got []any }

func (m *mine) SendUserMessage(_ *actor.PID, message any) {
	m.got = append(m.got, message)
	if len(m.got) == 1 {
		panic("oops")
	}
}
func (m *mine) SendSystemMessage(_ *actor.PID, message any) { m.got = append(m.got, message) }
func (m *mine) Stop(*actor.PID)                             {}

func TestPipeToKeepsTheOrderAndOutlivesAReceiversPanic(t *testing.T) {
	var log journal
	log.asDefault(t)
	sys := newSystem()
	process := &mine{}
	pid, _ := sys.ActorSystem().ProcessRegistry.Add(process, "mine")
	a, completeA := actor.NewFuture[int]()
	a.PipeTo(sys, pid, pid, pid)
	completeA(1, nil)
	if want := []any{actor.Result[int]{Value: 1}, actor.Result[int]{Value: 1}, actor.Result[int]{Value: 1}}; !slices.Equal(process.got, want) {
		t.Errorf("messages: got %v, want %v", process.got, want)
	}
	log.has(t, "oops")
}

func TestAFutureIsNoActor(t *testing.T) {
	sys := newSystem()
	as := sys.ActorSystem()
	watcher := &mine{got: []any{"no panic"}}
	self, _ := as.ProcessRegistry.Add(watcher, "watcher")
	f, _ := actor.NewFuture[int]()
	pid := f.PID(sys)
	process, _ := as.ProcessRegistry.Get(pid)
	process.SendSystemMessage(pid, &proto.Watch{Watcher: self})
	process.SendSystemMessage(pid, &proto.Unwatch{Watcher: self})
	if last := watcher.got[len(watcher.got)-1]; len(watcher.got) != 2 || last.(*proto.Terminated).Who != pid {
		t.Errorf("a watcher got %v, want Terminated", watcher.got)
	}
	as.Root.Stop(pid)
	outcome(t, f, 0, context.Canceled)
	equal(t, "registered", registered(as, "future/"), 0)
}
