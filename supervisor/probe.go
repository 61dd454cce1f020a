package supervisor

import (
	"sync/atomic"

	proto "github.com/asynkron/protoactor-go/actor"
)

// probe finds out whether an actor was stopping at the moment when it came to
// a message. The engine brings a stopping, even a stopped actor back to life
// when it is told to restart, and does not show who is stopping: only a Watch
// is answered at once by such an actor. Silence is the answer of all others,
// too late to wait for it. So the message is sent in any case, and if the probe
// then turns out to be answered, its consequence is made good.
type probe struct {
	answers  atomic.Int32 // two: the message is on its way, and the actor was stopping
	makeGood func()
}

// sendProbed sends message to t, and calls makeGood after it, from any
// goroutine, if t was stopping before it came to the message.
func sendProbed(system *proto.ActorSystem, t target, message any, makeGood func()) {
	p := &probe{makeGood: makeGood}
	pid := p.register(system)
	t.process.SendSystemMessage(t.pid, &proto.Watch{Watcher: pid})
	t.process.SendSystemMessage(t.pid, &proto.Unwatch{Watcher: pid})
	t.process.SendSystemMessage(t.pid, message)
	p.answer()
}

// register returns a PID that leads to p without an entry in the registry, of
// which nobody could tell when to remove it: a PID remembers the process that
// it has once been resolved to.
func (p *probe) register(system *proto.ActorSystem) *proto.PID {
	registry := system.ProcessRegistry
	pid, _ := registry.Add(p, "supervision"+registry.NextId())
	proto.NewRootContext(system, nil).Send(pid, struct{}{}) // resolves it
	registry.Remove(pid)
	return pid
}

func (p *probe) answer() {
	if p.answers.Add(1) == 2 {
		p.makeGood()
	}
}

// SendSystemMessage implements proto.Process, for the answer.
func (p *probe) SendSystemMessage(_ *proto.PID, message any) {
	if _, ok := message.(*proto.Terminated); ok {
		p.answer()
	}
}

// SendUserMessage implements proto.Process.
func (p *probe) SendUserMessage(*proto.PID, any) {}

// Stop implements proto.Process.
func (p *probe) Stop(*proto.PID) {}
