package remote

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

var (
	errLeft = errors.New("remote: the node that has sent the call is gone")
	errGone = fmt.Errorf("%w: %w", context.Canceled, errLeft)
)

// visit is a call of somebody else, here.
type visit struct {
	guest  *guest
	call   *wire.Call
	task   string
	method string
	codec  string
	came   time.Time   // its deadline counts from then
	begun  atomic.Bool // by whoever runs it or gives it back

	mu   sync.Mutex
	over error                   // why it was cancelled; nil: it was not
	stop context.CancelCauseFunc // nil: its function has not begun
}

// begin takes the right to run the call, or to answer it without.
func (v *visit) begin() bool { return v.begun.CompareAndSwap(false, true) }

// run runs the call and answers it. more says that others wait here, whose
// answers may share an envelope.
func (v *visit) run(more bool) {
	if v.call.GetOp() == wire.Op_CLOSE && v.guest.evictLater(v) {
		return
	}
	returned := false
	defer func() {
		if !returned { // runtime.Goexit in the function
			v.settle(&wire.Answer{Failure: wire.EncodeError(fmt.Errorf("task %q: %w", v.task, task.ErrGoexit))}, "", false)
		}
	}()
	started := time.Now()
	p, err := v.outcome()
	returned = true
	a := &wire.Answer{Payload: p.Data, Ran: max(1, int64(time.Since(started)))}
	if err != nil {
		a.Failure, a.Payload, p.Codec = wire.EncodeError(err), nil, ""
	}
	v.settle(a, p.Codec, more)
}

// settle sends the answer.
func (v *visit) settle(a *wire.Answer, codec string, more bool) {
	a.Id = v.call.GetId()
	v.guest.answer(v, a, codec)
	v.guest.push(more)
}

// outcome does what the call asks for.
func (v *visit) outcome() (none wire.Payload, err error) {
	f, err := v.guest.function(v.task)
	if err != nil {
		return none, err
	}
	ctx, end := v.context(f)
	defer func() { end(err) }()
	switch id := v.call.GetMember(); {
	case v.call.GetOp() == wire.Op_OPEN:
		return none, v.openMember(ctx, f, id)
	case v.call.GetOp() == wire.Op_CLOSE:
		return none, v.guest.evict(id)
	case id != 0:
		return v.ask(ctx, id)
	}
	in, err := v.argument(f.In)
	if err != nil {
		return none, err
	}
	out, err := f.Call(ctx, in)
	if err != nil {
		return none, err
	}
	return v.result(f.Out, out)
}

func (v *visit) openMember(ctx context.Context, f *place.Function, id uint64) error {
	if f.Kind != place.KindWorker {
		return fmt.Errorf("remote: %q has no members", f.Name)
	}
	state, err := f.Open(ctx)
	if err != nil {
		return err
	}
	l := &lodger{function: f, state: state}
	if err := v.guest.settle(id, l); err != nil {
		return errors.Join(err, f.Close(state))
	}
	return nil
}

// ask calls a method of a member.
func (v *visit) ask(ctx context.Context, id uint64) (p wire.Payload, err error) {
	l, err := v.guest.visitLodger(id)
	if err != nil {
		return p, err
	}
	defer v.guest.leaveLodger(id, l)
	m, err := v.guest.methods.named(l.function, v.method)
	if err != nil {
		return p, err
	}
	if types := v.guest.methods.types(m); types != v.call.GetTypes() {
		return p, &SchemaError{Task: v.task + " " + v.method, Node: v.guest.house.name,
			Ours: "method of other types", Theirs: wire.TaskSchema("", m.In, m.Out).String()}
	}
	in, err := v.argument(m.In)
	if err != nil {
		return p, err
	}
	out, err := l.function.Run(ctx, m, l.state, in)
	if err != nil {
		return p, err
	}
	return v.result(m.Out, out)
}

// argument returns a pointer to what the call was given; nil if it has no
// argument.
func (v *visit) argument(t reflect.Type) (any, error) {
	if t == nil {
		return nil, nil
	}
	in := reflect.New(t).Interface()
	p := wire.Payload{Codec: v.codec, Data: v.call.GetPayload()}
	if err := wire.DecodeInto(v.guest.house.codecs, p, t, in); err != nil {
		return nil, fmt.Errorf("remote: task %q on %s: argument: %w", v.task, v.guest.house.name, err)
	}
	return in, nil
}

// result packs what a function returned. What either side takes bounds it.
func (v *visit) result(t reflect.Type, out any) (wire.Payload, error) {
	codec := v.guest.house.codecs.Reply(v.codec, t)
	most := min(v.guest.house.maxPayload, max(0, v.guest.conn.MaxBytes()-envelopeSlack))
	p, err := wire.EncodeAs(codec, t, out, most)
	return p, nameFault(v.task, "result", err)
}

// nameFault says whose argument or result cannot be sent.
func nameFault(name, what string, err error) error {
	var large *PayloadError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return &PayloadError{Task: name, Size: large.Size, Max: large.Max}
	}
	return fmt.Errorf("remote: task %q: %s: %w", name, what, err)
}

// context is what the function is given, and what ends it.
func (v *visit) context(f *place.Function) (context.Context, func(error)) {
	h := v.guest.house
	ctx, stop := context.WithCancelCause(context.Background())
	end := func(error) { stop(nil) }
	var deadline time.Time
	if left := v.call.GetRemaining(); left > 0 {
		deadline = v.came.Add(time.Duration(left))
		timed, free := context.WithDeadline(ctx, deadline.Add(lateEnd))
		ctx, end = timed, func(error) { free(); stop(nil) }
	}
	v.mu.Lock()
	v.stop = stop
	if v.over != nil {
		stop(v.over)
	}
	v.mu.Unlock()
	ctx = &visitContext{Context: ctx, deadline: deadline, info: place.Info{
		Task: f.Name, Call: v.call.GetNumber(), Attempt: int(v.call.GetAttempt()), Worker: h.worker, Node: h.name,
	}}
	if set, lease := v.call.GetLimits(), v.call.GetLease(); set != "" || lease != nil {
		ctx = v.guest.limits.context(ctx, set, lease)
	}
	return h.trace(ctx, v, end)
}

// lateEnd is how long after its deadline a call ends here although its sender
// has not said so. The sender knows the cause; and a function that saw the end
// before the sender did would seem to have failed by itself.
const lateEnd = time.Second

// visitContext is what a function runs with that has been sent here, and tells
// task.Info about it.
type visitContext struct {
	context.Context
	deadline time.Time // the sender's; zero: none
	info     place.Info
}

func (c *visitContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Err is as it would be where the call was made.
func (c *visitContext) Err() error {
	err := c.Context.Err()
	if err != nil && errors.Is(context.Cause(c.Context), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}

func (c *visitContext) Value(key any) any {
	if _, ok := key.(place.InfoKey); ok {
		return c.info
	}
	return c.Context.Value(key)
}

// cancel does what the sender of the call wants: to end it, or to have it back
// if it has not begun.
func (v *visit) cancel(c *wire.Cancel) {
	if c.GetRecall() {
		v.guest.giveBack(v)
		return
	}
	cause := wire.DecodeError(c.GetCause())
	if cause == nil {
		cause = context.Canceled
	}
	if v.begin() {
		v.guest.answer(v, &wire.Answer{Id: v.call.GetId(), Failure: wire.EncodeError(cause)}, "")
		v.guest.conn.Kick()
		return
	}
	v.halt(cause)
}

// halt ends the context of the function, now or when it begins.
func (v *visit) halt(cause error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over == nil {
		v.over = cause
	}
	if v.stop != nil {
		v.stop(cause)
	}
}

// abandon ends a call that nobody waits for any more.
func (v *visit) abandon() {
	if v.begin() {
		v.call.Payload = nil // it stays in the queue until its turn
	}
	v.halt(errGone)
}
