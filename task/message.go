package task

import (
	"context"
	"reflect"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

// WithContext wraps a message to the PID of a task or worker of this process so
// that ctx bounds the call that it asks for: when ctx ends, the call is
// cancelled, and answered with context.Cause(ctx). Without it such a call has no
// bound but the pool's own timeouts; it goes on if the actor that asked ends.
func WithContext(ctx context.Context, message any) any { return bounded{ctx: ctx, message: message} }

type bounded struct {
	ctx     context.Context
	message any
}

// unwrap returns the message itself and the ctx of its call.
func unwrap(message any) (context.Context, any) {
	if b, ok := message.(bounded); ok {
		return b.ctx, b.message
	}
	return context.Background(), message
}

// receive takes a message sent to the task's PID, in the sender's goroutine.
func (t *Task[In, Out]) receive(message any, sender *proto.PID) bool {
	ctx, message := unwrap(message)
	in, ok := message.(In)
	if !ok {
		err := &actor.MessageError{Want: reflect.TypeFor[In]().String(), Got: message}
		answer(&t.core.shell, sender, Result[Out]{Err: err})
		return true
	}
	f, ok := t.TrySubmit(ctx, in)
	if !ok {
		answer(&t.core.shell, sender, Result[Out]{Err: namedFull(t.Name())})
		return true
	}
	reply(&t.core.shell, sender, f)
	return true
}

// reply answers a message with the outcome of its call.
func reply[Out any](h *shell, sender *proto.PID, f *Future[Out]) {
	if sender != nil {
		f.OnDone(func(v Out, err error) { answer(h, sender, Result[Out]{Value: v, Err: err}) })
	}
}
