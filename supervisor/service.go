package supervisor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	proto "github.com/asynkron/protoactor-go/actor"
)

var errGoexit = errors.New("it called runtime.Goexit")

// PanicError is the failure of a [Service] whose function panicked. It unwraps
// to the panic value if that was an error.
type PanicError struct {
	Service string
	Value   any    // the argument of panic
	Stack   []byte // of the service, at the panic
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("supervisor: service %q panicked: %v", e.Service, e.Value)
}

// Unwrap returns the panic value, or nil if it is no error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Service returns the Child that runs a plain function on a goroutine of its
// own. A nil from run means that it is done: it is not started again. An error,
// a panic (as a [*PanicError]) or a runtime.Goexit is a failure of the child.
//
// The ctx of run ends when the child is to stop or to be started anew; its
// cause is then [ErrStopped]. The service has stopped when run has returned,
// and what it returns then counts for nothing. A run that ignores its ctx
// holds up whoever waits for the stop; [Tree.Stop] is bounded by its own ctx.
// If a failed service is resumed, run is called again.
func Service(name string, run func(context.Context) error) Child {
	return &service{name: name, run: run}
}

type service struct {
	name string
	run  func(context.Context) error
}

func (s *service) Name() string        { return s.name }
func (s *service) Props() *proto.Props { return s.props(func() {}) }

// props calls done, on any goroutine, before the actor stops because run is
// done, so that the tree can tell this from other ends.
func (s *service) props(done func()) *proto.Props {
	return proto.PropsFromProducer(func() proto.Actor { return &serviceActor{service: s, done: done} })
}

// serviceActor looks after the goroutine of one service. That is a child to
// it, so that the engine waits for it in a stop or a restart, and nobody has
// to be blocked meanwhile.
type serviceActor struct {
	*service
	done    func()
	running *loop // nil: there is none
	leaving bool
}

// What a serviceActor tells itself. Mail outlives a restart, hence of.
type (
	returned struct {
		of  *serviceActor
		err error
	}
	resumed struct{ of any } // waits in the mailbox while the failure is decided
)

func (a *serviceActor) Receive(ctx proto.Context) {
	switch msg := ctx.Message().(type) {
	case *proto.Started:
		a.start(ctx)
	case *proto.Stopping, *proto.Restarting:
		a.leaving = true
	case *proto.Terminated:
		a.ended(ctx, msg.Who)
	case returned:
		if msg.of == a {
			a.settle(ctx, msg.err)
		}
	case resumed:
		if msg.of == a && a.running == nil {
			a.start(ctx)
		}
	}
}

func (a *serviceActor) start(ctx proto.Context) {
	l := newLoop(a.service)
	if _, err := ctx.SpawnNamed(proto.PropsFromFunc(nil, proto.WithSpawnFunc(l.spawn)), "run"); err != nil {
		panic(fmt.Errorf("supervisor: service %q: %w", a.name, err))
	}
	a.running = l
}

func (a *serviceActor) ended(ctx proto.Context, who *proto.PID) {
	l := a.running
	if l == nil || !l.pid.Equal(who) {
		return
	}
	a.running = nil
	if l.err == nil && !l.told.Load() {
		a.done()
	}
	if !a.leaving {
		// Not settled here: a panic at a Terminated costs the engine the
		// check whether that was the last child.
		ctx.Send(ctx.Self(), returned{of: a, err: l.err})
	}
}

func (a *serviceActor) settle(ctx proto.Context, err error) {
	if err == nil {
		ctx.Stop(ctx.Self())
		return
	}
	ctx.Send(ctx.Self(), resumed{of: a})
	panic(err)
}

// loop is the goroutine of a service, as a process below the service's actor.
// Its owner is that actor: it ends the loop by a Stop and hears of its end by
// a Terminated.
type loop struct {
	service *service
	ctx     context.Context
	cancel  context.CancelCauseFunc
	told    atomic.Bool // to stop

	system *proto.ActorSystem
	pid    *proto.PID
	owner  target
	err    error // of run; read after the Terminated
}

func newLoop(s *service) *loop {
	l := &loop{service: s}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	return l
}

func (l *loop) spawn(system *proto.ActorSystem, id string, _ *proto.Props, owner proto.SpawnerContext) (*proto.PID, error) {
	pid, absent := system.ProcessRegistry.Add(l, id)
	if !absent {
		return pid, proto.ErrNameExists
	}
	l.system, l.pid, l.owner = system, pid, seen(system, owner.Self())
	go l.work()
	return pid, nil
}

func (l *loop) work() {
	defer l.end()
	defer func() {
		if r := recover(); r != nil {
			l.err = &PanicError{Service: l.service.name, Value: r, Stack: debug.Stack()}
		}
	}()
	l.err = fmt.Errorf("supervisor: service %q: %w", l.service.name, errGoexit) // unless it returns
	l.err = l.service.run(l.ctx)
}

func (l *loop) end() {
	l.cancel(ErrStopped)
	l.system.ProcessRegistry.Remove(l.pid)
	if l.owner.process != nil {
		l.owner.process.SendSystemMessage(l.owner.pid, &proto.Terminated{Who: l.pid})
	}
}

// SendSystemMessage implements proto.Process.
func (l *loop) SendSystemMessage(pid *proto.PID, message any) {
	if _, stop := message.(*proto.Stop); stop {
		l.Stop(pid)
	}
}

// SendUserMessage implements proto.Process.
func (l *loop) SendUserMessage(*proto.PID, any) {}

// Stop implements proto.Process.
func (l *loop) Stop(*proto.PID) {
	l.told.Store(true)
	l.cancel(ErrStopped)
}
