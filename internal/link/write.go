package link

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

const (
	batchBytes = 1 << 20 // of an envelope of more than one item
	mostRounds = 16      // of writing, for others, in a call of Flush
	yields     = 4       // to others before a round
	crowded    = 32      // rounds after one of more than one item in which more company is likely
)

// batchBounds is what envelopes are filled up to.
func batchBounds(b wire.Bounds) wire.Bounds {
	b.Bytes = min(b.Bytes, batchBytes)
	return b
}

// outgoing is what belongs to whoever writes.
type outgoing struct {
	buf   []byte
	keep  keeper
	crowd int // rounds in which company is likely
}

// Kick has the Conn's own goroutine write what was added. It never blocks.
// While receive runs, and until Serve is through with all that has arrived,
// that waits, so that one write serves it all. Before Serve nothing is written.
func (c *Conn) Kick() {
	if c.burst.Load() {
		return
	}
	c.mu.Lock()
	idle := !c.writing && c.pending()
	c.mu.Unlock()
	if idle {
		c.wake()
	}
}

func (c *Conn) wake() {
	select {
	case c.kicks <- struct{}{}:
	default: // it will come, and sees all
	}
}

// Flush writes what was added, on this goroutine, unless somebody else is
// writing, who then takes it along. It blocks while the other side does not
// read, so it is not for use inside receive.
func (c *Conn) Flush() {
	c.mu.Lock()
	mine := c.begin()
	c.mu.Unlock()
	if mine {
		c.combine()
	}
}

// FlushWait returns nil when all that was added before is written, and why the
// connection ended if that comes first. Written is not received.
func (c *Conn) FlushWait() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for target := c.added; c.sent < target; {
		switch {
		case c.cut != nil:
			return c.cut
		case c.begin():
			c.mu.Unlock()
			c.combine()
			c.mu.Lock()
		default:
			c.progress.Wait()
		}
	}
	return nil
}

// Finish ends the connection in order: nothing can be added any more, what was
// added is written, and the other side reads it before it sees the end and
// closes. It returns when that has happened, or ends the connection when ctx
// does. Serve must run. The error is nil if all was written and the other side
// has closed.
func (c *Conn) Finish(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.end(c.fault(fmt.Errorf("not finished in time: %w", context.Cause(ctx))))
	})
	defer stop()
	c.mu.Lock()
	c.finished = true
	c.mu.Unlock()
	if err := c.FlushWait(); err != nil {
		return err
	}
	c.orderly.Store(true)
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		c.end(ErrClosed)
	}
	<-c.done
	if err := c.Err(); !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

// pending, with mu: there is something to write.
func (c *Conn) pending() bool {
	return c.cut == nil && (len(c.full) > 0 || c.batcher.Len() > 0)
}

// begin, with mu, makes the caller the one who writes, if there is something
// and nobody is.
func (c *Conn) begin() bool {
	if c.writing || !c.pending() {
		return false
	}
	c.writing = true
	return true
}

// combine writes until nothing is left, but not for ever on behalf of others:
// then the Conn's goroutine goes on.
//
// If one of the rounds before had company, others are likely about to add something:
// they get to run first ([Conn.gather]), and one write serves all.
func (c *Conn) combine() {
	for round := 0; ; round++ {
		if c.out.crowd > 0 {
			c.gather()
		}
		batch, mark, more := c.round(round)
		if !more {
			return
		}
		for _, e := range batch {
			if !c.send(e) {
				break
			}
		}
		c.mu.Lock()
		if c.cut == nil {
			c.sent = mark
		}
		c.progress.Broadcast()
		c.mu.Unlock()
	}
}

// gather lets others run for as long as they add something, a few times at most.
func (c *Conn) gather() {
	var before uint64
	for range yields {
		runtime.Gosched()
		c.mu.Lock()
		now := c.added
		c.mu.Unlock()
		if now == before {
			return
		}
		before = now
	}
}

// round takes what is to be written next, and the number of Adds by then. If
// there is nothing, or it is another's turn, the caller no longer writes.
func (c *Conn) round(n int) (batch []*wire.Envelope, mark uint64, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pass := n == mostRounds && c.served
	if !c.pending() || pass {
		c.writing = false
		if pass {
			c.wake()
		}
		return nil, 0, false
	}
	batch = c.full
	if len(batch) > 0 || c.batcher.Len() > 1 {
		c.out.crowd = crowded
	} else if c.out.crowd > 0 {
		c.out.crowd--
	}
	if e := c.batcher.Flush(); e != nil {
		batch = append(batch, e)
	}
	c.full = nil
	return batch, c.added, true
}

// failed ends the connection after a write that failed. If the other side is
// gone, what it has sent before is still to be read; the deadline is for reads
// that would find no end.
func (c *Conn) failed(err error) {
	err = c.fault(err)
	c.mu.Lock()
	drain := c.served && c.cut == nil
	if drain {
		c.cut = err
		c.silence()
	}
	c.mu.Unlock()
	if !drain {
		c.end(err)
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(c.cfg.Heartbeat)) // fails if there is nothing to read
}

// send writes one envelope, or ends the connection.
func (c *Conn) send(e *wire.Envelope) bool {
	frame, err := appendFrame(c.out.buf[:0], e)
	if size := len(frame) - lengthBytes; err == nil && size > c.most {
		err = &FrameError{Bytes: int64(size), Most: int64(c.most)}
	}
	if err != nil {
		c.end(c.fault(fmt.Errorf("not sent: %w", err)))
		return false
	}
	n, err := c.nc.Write(frame)
	c.bytesOut.Add(uint64(n))
	c.out.buf = frame
	if c.out.keep.tooLarge(len(frame), cap(frame)) {
		c.out.buf = nil
	}
	if err != nil {
		c.failed(err)
		return false
	}
	c.envelopesOut.Add(1)
	return true
}

// write is the Conn's own goroutine that writes.
func (c *Conn) write() {
	for {
		select {
		case <-c.kicks:
			c.Flush()
		case <-c.done:
			return
		}
	}
}
