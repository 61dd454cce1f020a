package task

import (
	"context"
	"reflect"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

// receive takes a message sent to the task's PID, in the sender's goroutine.
func (t *Task[In, Out]) receive(message any, sender *proto.PID) bool {
	in, ok := message.(In)
	if !ok {
		err := &actor.MessageError{Want: reflect.TypeFor[In]().String(), Got: message}
		t.answer(sender, Result[Out]{Err: err})
		return true
	}
	f, ok := t.TrySubmit(context.Background(), in)
	if !ok {
		t.answer(sender, Result[Out]{Err: namedFull(t.Name())})
		return true
	}
	if sender != nil {
		f.OnDone(func(v Out, err error) { t.answer(sender, Result[Out]{Value: v, Err: err}) })
	}
	return true
}

// answer sends r to the sender of a message; without one there is only the log.
func (t *Task[In, Out]) answer(to *proto.PID, r Result[Out]) {
	if to == nil {
		t.set.system.Log().Warn("troupe: a message to a task was refused", "task", t.Name(), "error", r.Err)
		return
	}
	t.core.pool.System().ActorSystem().Root.Send(to, r)
}
