package link

import (
	"google.golang.org/protobuf/proto"

	"github.com/troupe-go/troupe/remote/wire"
)

// itemBytes is about what an item takes beside what it carries.
const itemBytes = 64

// What is added belongs to the connection and must not be changed after. It
// waits in memory until somebody writes it, with Kick or Flush: bounding how
// much waits is the caller's part, see [Conn.Waiting].

// AddCall adds a call, with what it refers to by name. It returns its number
// among all that was added, for [Conn.Attempted]; 0 if the connection has ended.
func (c *Conn) AddCall(call *wire.Call, n wire.Names) uint64 {
	return c.add(itemBytes+len(call.GetPayload()), func(b *wire.Batcher) *wire.Envelope { return b.AddCall(call, n) })
}

// AddAnswer adds an answer, with the id of its codec.
func (c *Conn) AddAnswer(a *wire.Answer, codec string) {
	c.add(answerSize(a), func(b *wire.Batcher) *wire.Envelope { return b.AddAnswer(a, codec) })
}

func answerSize(a *wire.Answer) int {
	size := itemBytes + len(a.GetPayload())
	if f := a.GetFailure(); f != nil {
		size += proto.Size(f)
	}
	return size
}

// AddCancel adds that a call is to end.
func (c *Conn) AddCancel(cancel *wire.Cancel) {
	c.add(itemBytes, func(b *wire.Batcher) *wire.Envelope { return b.AddCancel(cancel) })
}

// AddStarted adds that a call was begun.
func (c *Conn) AddStarted(id uint64) {
	c.add(itemBytes, func(b *wire.Batcher) *wire.Envelope { return b.AddStarted(id) })
}

// AddLimits adds all that is in l, which is copied.
func (c *Conn) AddLimits(l *wire.Limits) {
	c.add(proto.Size(l), func(b *wire.Batcher) *wire.Envelope { return b.AddLimits(l) })
}

// SetStatus puts s in the next envelope, in place of an earlier one there.
func (c *Conn) SetStatus(s *wire.Status) {
	c.add(itemBytes, func(b *wire.Batcher) *wire.Envelope { return b.SetStatus(s) })
}

// SetWelcome puts a copy of w in the next envelope, in place of an earlier one
// there, with version, incarnation and name as in the handshake.
func (c *Conn) SetWelcome(w *wire.Welcome) {
	w = fillWelcome(w, c.peer.Version, c.cfg.versions, c.cfg.Incarnation, c.cfg.Name)
	c.add(itemBytes, func(b *wire.Batcher) *wire.Envelope { return b.SetWelcome(w) })
}

// add lets put add something of about so many bytes, unless the connection has
// ended.
func (c *Conn) add(size int, put func(*wire.Batcher) *wire.Envelope) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished {
		return 0
	}
	if full := put(c.batcher); full != nil {
		c.full = append(c.full, full)
	}
	c.added++
	c.waiting += size
	return c.added
}

// Attempted returns the number of the last thing added of which anything may have
// been written: what has a higher one never left.
func (c *Conn) Attempted() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attempted
}
