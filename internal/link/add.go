package link

import "github.com/troupe-go/troupe/remote/wire"

// What is added belongs to the connection and must not be changed after. It
// waits in memory until somebody writes it, with Kick or Flush: bounding how
// much waits is the caller's part.

// AddCall adds a call, with what it refers to by name.
func (c *Conn) AddCall(call *wire.Call, n wire.Names) {
	c.add(func(b *wire.Batcher) *wire.Envelope { return b.AddCall(call, n) })
}

// AddAnswer adds an answer, with the id of its codec.
func (c *Conn) AddAnswer(a *wire.Answer, codec string) {
	c.add(func(b *wire.Batcher) *wire.Envelope { return b.AddAnswer(a, codec) })
}

// AddCancel adds that a call is to end.
func (c *Conn) AddCancel(cancel *wire.Cancel) {
	c.add(func(b *wire.Batcher) *wire.Envelope { return b.AddCancel(cancel) })
}

// AddStarted adds that a call was begun.
func (c *Conn) AddStarted(id uint64) {
	c.add(func(b *wire.Batcher) *wire.Envelope { return b.AddStarted(id) })
}

// AddLimits adds all that is in l, which is copied.
func (c *Conn) AddLimits(l *wire.Limits) {
	c.add(func(b *wire.Batcher) *wire.Envelope { return b.AddLimits(l) })
}

// SetStatus puts s in the next envelope, in place of an earlier one there.
func (c *Conn) SetStatus(s *wire.Status) {
	c.add(func(b *wire.Batcher) *wire.Envelope { return b.SetStatus(s) })
}

// SetWelcome puts a copy of w in the next envelope, in place of an earlier one
// there, with version, incarnation and name as in the handshake.
func (c *Conn) SetWelcome(w *wire.Welcome) {
	w = fillWelcome(w, c.peer.Version, c.cfg.versions, c.cfg.Incarnation, c.cfg.Name)
	c.add(func(b *wire.Batcher) *wire.Envelope { return b.SetWelcome(w) })
}

// add lets put add something, unless the connection has ended.
func (c *Conn) add(put func(*wire.Batcher) *wire.Envelope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished {
		return
	}
	if full := put(c.batcher); full != nil {
		c.full = append(c.full, full)
	}
	c.added++
}
