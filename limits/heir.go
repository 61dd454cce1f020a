package limits

import (
	"sync"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

// An heir watches the holders of an actor that has stopped, until the last of
// them terminates: they may well live longer, with permits that they still use.
// It has an address, but it is no actor, and no goroutine waits in it.
type heir struct {
	engine *proto.ActorSystem

	mu      sync.Mutex
	self    *actor.PID
	holders map[string]*holder
}

// bequeath leaves the holders that have permits to an heir, if there are any.
func (a *setActor) bequeath() {
	h := &heir{engine: a.system.ActorSystem(), holders: make(map[string]*holder)}
	a.mu.Lock()
	for id, holder := range a.holders {
		if holder.sweep(); len(holder.permits) > 0 {
			h.holders[id] = holder
		}
	}
	clear(a.holders)
	a.mu.Unlock()
	if len(h.holders) > 0 {
		h.watch()
	}
}

// watch registers h and makes it the watcher of its holders.
func (h *heir) watch() {
	registry := h.engine.ProcessRegistry
	var pids []*actor.PID
	h.mu.Lock()
	h.self, _ = registry.Add(h, "limits/heir/"+registry.NextId())
	for _, holder := range h.holders {
		pids = append(pids, holder.pid)
	}
	h.mu.Unlock()
	for _, pid := range pids {
		ref, _ := registry.Get(pid) // that of nobody answers for those who are gone
		ref.SendSystemMessage(pid, &proto.Watch{Watcher: h.self})
	}
}

// SendSystemMessage implements protoactor's Process: it hears of a holder that
// has terminated, on that one's goroutine.
func (h *heir) SendSystemMessage(_ *actor.PID, message any) {
	m, ok := message.(*proto.Terminated)
	if !ok {
		return
	}
	h.mu.Lock()
	gone := h.holders[m.Who.String()]
	delete(h.holders, m.Who.String())
	last := len(h.holders) == 0
	h.mu.Unlock()
	if last {
		h.engine.ProcessRegistry.Remove(h.self)
	}
	if gone != nil {
		apart(func() { each(gone.permits, (*Permit).Release) })
	}
}

// SendUserMessage implements protoactor's Process.
func (h *heir) SendUserMessage(*actor.PID, any) {}

// Stop implements protoactor's Process.
func (h *heir) Stop(*actor.PID) {}
