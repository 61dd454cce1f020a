package actor

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	proto "github.com/asynkron/protoactor-go/actor"
)

var (
	errNoFuture     = errors.New("actor: FromProto of a nil future")
	errProtoTimeout = fmt.Errorf("actor: %w (%w)", proto.ErrTimeout, context.DeadlineExceeded)
)

// FromProto returns a Future with the outcome of f, a future of protoactor's
// own, such as RequestFuture returns. An answer is taken as a message to
// [Future.PID] is: a [Result] of T, a bare T or an error; anything else is a
// [*MessageError]. If f itself failed, its error is the outcome:
// proto.ErrDeadLetter, or one that matches proto.ErrTimeout and
// context.DeadlineExceeded; use errors.Is. A nil f gives an error at once.
//
// FromProto does not block and holds no goroutine while f is open. It may be
// called often for the same f, in actors too, and others may wait for f
// meanwhile, which can be of any ActorSystem. If f is complete, so is the
// Future from the start; else it completes a moment after f, and its callbacks
// run on a goroutine of their own. What f is told after that changes nothing.
//
// [Future.Cancel] and the end of Await's ctx leave f alone: it stays open until
// it is answered or times out, and keeps the Future in memory for so long.
func FromProto[T any](f *proto.Future) *Future[T] {
	future := &Future[T]{}
	if f == nil || f.PID() == nil {
		var zero T
		future.complete(zero, errNoFuture)
		return future
	}
	// Not f.Wait on a goroutine: it would be held until f times out, and the
	// engine wakes only one of those who wait for f.
	p := &pipeEnd[T]{future: future}
	f.PipeTo(privatePID(p))
	p.arrive(p.complete)
	return future
}

// pipeEnd is where f pipes its outcome to. That comes under f's lock, and under
// it we must not run callbacks: one that looks at f would wait for ever, and
// one that calls runtime.Goexit would leave f locked. So two have to arrive
// before the Future is completed, FromProto and the message, in any order. If
// FromProto is the last, f is unlocked; if it is the message, a goroutine of
// its own goes on.
type pipeEnd[T any] struct {
	future   *Future[T]
	message  any // written before the message arrives
	arrivals atomic.Int32
}

func (p *pipeEnd[T]) arrive(last func()) {
	if p.arrivals.Add(1) == 2 {
		last()
	}
}

func (p *pipeEnd[T]) complete() {
	v, err := outcomeOf[T](p.message)
	if err == proto.ErrTimeout { // f's own; what an actor has wrapped stays as it is
		err = errProtoTimeout
	}
	p.future.complete(v, err)
}

// SendUserMessage implements proto.Process; a future pipes its outcome once.
func (p *pipeEnd[T]) SendUserMessage(_ *PID, message any) {
	p.message = message
	p.arrive(func() { go p.complete() })
}

// SendSystemMessage implements proto.Process.
func (p *pipeEnd[T]) SendSystemMessage(*PID, any) {}

// Stop implements proto.Process. privatePID calls it.
func (p *pipeEnd[T]) Stop(*PID) {}

// privatePID returns a PID that leads to p in every ActorSystem and is
// registered in none, so that there is nothing to remove: a PID keeps the
// process that it has once been resolved to, and this one is resolved here, by
// a registry that knows nothing else. It serves this process only. Telling it
// to stop is the engine's one way to resolve a PID without a message.
func privatePID(p proto.Process) *PID {
	resolver := &proto.ActorSystem{ProcessRegistry: &proto.ProcessRegistryValue{
		RemoteHandlers: []proto.AddressResolver{func(*PID) (proto.Process, bool) { return p, true }},
	}}
	pid := proto.NewPID("troupe", "private")
	proto.NewRootContext(resolver, proto.EmptyMessageHeader).Stop(pid)
	return pid
}
