package pool

import (
	"sync"
	"sync/atomic"

	proto "github.com/asynkron/protoactor-go/actor"
)

// mailbox is protoactor's Mailbox for the router and the workers of a pool.
// Unlike the engine's own it can be poked without a message and without an
// allocation, lets the router take a message in the sender's goroutine, and
// survives runtime.Goexit in the actor, which wedges the engine's.
type mailbox struct {
	invoker    proto.MessageInvoker
	dispatcher proto.Dispatcher
	process    func() // run as a func value, bound once
	owner      owner

	open      atomic.Bool // the engine has registered the actor
	scheduled atomic.Bool
	pokes     atomic.Bool
	suspended atomic.Bool
	ended     bool // told to stop; of whoever runs the mailbox
	mu        sync.Mutex
	system    []any
	user      []any
	pending   atomic.Int32 // len(system), readable without the lock
}

// owner is the router or worker that a mailbox belongs to.
type owner interface {
	route(message any) bool  // takes a user message in the sender's goroutine
	woken(ctx proto.Context) // does what a poke is for
	before(message any)      // sees a system message before the engine acts on it
	after(message any)       // and after
}

// shell is the actor of all owners. It has no state: what a poke is for is the
// message itself, and the rest happens in the mailbox. So one Props serves all
// workers of a pool, and a restart has nothing to rebuild.
type shell struct{}

// Receive implements proto.Actor.
func (shell) Receive(ctx proto.Context) {
	if o, ok := ctx.Message().(owner); ok {
		o.woken(ctx)
	}
}

var _ proto.Mailbox = (*mailbox)(nil)

// RegisterHandlers is called by the engine before the first message.
func (m *mailbox) RegisterHandlers(i proto.MessageInvoker, d proto.Dispatcher) {
	m.invoker, m.dispatcher = i, d
	m.process = m.run
}

// Start is called by the engine when the actor is in place. Messages that came
// before, from those who know its PID already, have waited for this.
func (m *mailbox) Start() {
	m.open.Store(true)
	m.schedule()
}

// UserMessageCount is read by the engine's metrics.
func (m *mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.user)
}

// PostUserMessage offers the message to route and keeps it otherwise. A nil
// message is dropped: the engine's own mailbox spins on one for ever.
func (m *mailbox) PostUserMessage(message any) {
	if message == nil || m.owner.route(message) {
		return
	}
	m.mu.Lock()
	m.user = append(m.user, message)
	m.mu.Unlock()
	m.schedule()
}

// PostSystemMessage keeps the message; it overtakes user messages.
func (m *mailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	m.system = append(m.system, message)
	m.pending.Add(1)
	m.mu.Unlock()
	m.schedule()
}

// self is the actor's own PID; in messages only.
func (m *mailbox) self() *proto.PID { return m.invoker.(proto.Context).Self() }

// poke makes the actor receive its wake message soon, once for any number of
// pokes before it.
func (m *mailbox) poke() {
	m.pokes.Store(true)
	m.schedule()
}

// interrupted reports whether a system message waits.
func (m *mailbox) interrupted() bool { return m.pending.Load() > 0 }

func (m *mailbox) schedule() {
	if m.open.Load() && m.scheduled.CompareAndSwap(false, true) {
		m.dispatcher.Schedule(m.process)
	}
}

func (m *mailbox) run() {
	for {
		m.drain()
		m.scheduled.Store(false)
		// Whatever was posted after the last look found scheduled still set,
		// so it is up to us to look again.
		if !m.runnable() || !m.scheduled.CompareAndSwap(false, true) {
			return
		}
	}
}

func (m *mailbox) runnable() bool {
	if m.pending.Load() > 0 {
		return true
	}
	if m.suspended.Load() {
		return false
	}
	if m.pokes.Load() {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.user) > 0
}

// drain invokes messages until there is none, or until one of them panics,
// which goes to the supervisor.
func (m *mailbox) drain() {
	var message any
	completed := false
	defer func() {
		if completed {
			return
		}
		if r := recover(); r != nil {
			m.invoker.EscalateFailure(r, message)
			return
		}
		// runtime.Goexit: this goroutine is lost, the actor goes on in another.
		m.dispatcher.Schedule(m.process)
	}()
	for {
		message = m.next()
		switch message.(type) {
		case nil:
			completed = true
			return
		case *proto.SuspendMailbox:
			m.suspended.Store(true)
		case *proto.ResumeMailbox:
			m.suspended.Store(false)
			m.owner.after(message)
		case *proto.Restart:
			if m.ended { // the engine would bring the actor back to life
				continue
			}
			m.invoke(message)
		case *proto.Stop:
			m.ended = true
			m.invoke(message)
		case proto.SystemMessage:
			m.invoke(message)
		default:
			m.invoker.InvokeUserMessage(message)
		}
	}
}

func (m *mailbox) invoke(message any) {
	m.owner.before(message)
	m.invoker.InvokeSystemMessage(message)
	m.owner.after(message)
}

func (m *mailbox) next() any {
	if m.pending.Load() > 0 {
		m.mu.Lock()
		message := shift(&m.system)
		m.pending.Add(-1)
		m.mu.Unlock()
		return message
	}
	if m.suspended.Load() {
		return nil
	}
	if m.pokes.Swap(false) {
		return m.owner
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return shift(&m.user)
}

// shift takes the first message, and gives the memory back with the last one:
// an idle worker is to cost little.
func shift(queue *[]any) any {
	q := *queue
	if len(q) == 0 {
		return nil
	}
	message := q[0]
	q[0] = nil
	if q = q[1:]; len(q) == 0 {
		q = nil
	}
	*queue = q
	return message
}
