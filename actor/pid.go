package actor

import (
	"fmt"
	"reflect"

	proto "github.com/asynkron/protoactor-go/actor"
)

// MessageError is the outcome of a Future, or the answer of a task, that was
// sent a message of a type it cannot take.
type MessageError struct {
	Want string // the type that is accepted
	Got  any    // the message
}

func (e *MessageError) Error() string {
	return fmt.Sprintf("actor: want a message of type %s, got %T", e.Want, e.Got)
}

// Unwrap gives proto.ErrDeadLetter if the message said that the actor which
// was asked does not exist.
func (e *MessageError) Unwrap() error {
	if _, dead := e.Got.(*proto.DeadLetterResponse); dead {
		return proto.ErrDeadLetter
	}
	return nil
}

// PID returns an address in s under which any actor can complete the Future:
// with a [Result] of T, a bare T or an error; anything else completes it with a
// [*MessageError]. If T is an interface that an error satisfies, an error is
// taken as an error. The address is registered at the first call and removed
// on completion; later messages are dropped. Each system gets its own.
func (f *Future[T]) PID(s *System) *PID {
	as := s.ActorSystem()
	v, created := f.cell.Extend().Extra(as, func() any {
		pid, _ := as.ProcessRegistry.Add(&futureProcess[T]{future: f, system: as}, "future/"+as.ProcessRegistry.NextId())
		return pid
	})
	pid := v.(*PID)
	if created {
		// If the Future is complete by now, this removes the entry at once.
		f.cell.Watch(func() { as.ProcessRegistry.Remove(pid) })
	}
	return pid
}

// PipeTo sends the outcome to each PID once it is there, as a [Result] by
// value: in the order given, and also if it is there already. It does not
// block. Nil PIDs are passed over.
func (f *Future[T]) PipeTo(s *System, to ...*PID) {
	root := s.ActorSystem().Root
	for _, pid := range to {
		if pid != nil {
			f.OnDone(func(v T, err error) { root.Send(pid, Result[T]{Value: v, Err: err}) })
		}
	}
}

// futureProcess is a Future in a process registry. PIDs cache it, so it takes
// messages for ever; after completion they change nothing.
type futureProcess[T any] struct {
	future *Future[T]
	system *proto.ActorSystem
}

// SendUserMessage completes the Future.
func (p *futureProcess[T]) SendUserMessage(_ *PID, message any) {
	v, err := outcomeOf[T](proto.UnwrapEnvelopeMessage(message))
	p.future.complete(v, err)
}

func outcomeOf[T any](message any) (v T, err error) {
	switch m := message.(type) {
	case Result[T]:
		return m.Value, m.Err
	case *Result[T]:
		if m != nil {
			return m.Value, m.Err
		}
	}
	want := reflect.TypeFor[T]()
	if own := reflect.TypeOf(message) == want; !own {
		// An interface T may be satisfied by these too; they are no values.
		if e, ok := message.(error); ok {
			return v, e
		}
		if _, dead := message.(*proto.DeadLetterResponse); dead {
			return v, &MessageError{Want: want.String(), Got: message}
		}
	}
	if t, ok := message.(T); ok {
		return t, nil
	}
	return v, &MessageError{Want: want.String(), Got: message}
}

// SendSystemMessage answers a watcher that the Future is not an actor.
func (p *futureProcess[T]) SendSystemMessage(pid *PID, message any) {
	if w, ok := message.(*proto.Watch); ok {
		if ref, ok := p.system.ProcessRegistry.Get(w.Watcher); ok {
			ref.SendSystemMessage(w.Watcher, &proto.Terminated{Who: pid, Why: proto.TerminatedReason_NotFound})
		}
	}
}

// Stop cancels the Future, as stopping an actor ends it.
func (p *futureProcess[T]) Stop(*PID) { p.future.Cancel() }
