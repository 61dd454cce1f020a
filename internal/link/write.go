package link

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

const (
	batchBytes = 1 << 20  // of an envelope of more than one item
	mostRounds = 16       // of writing, for others, in a call of Flush
	yields     = 4        // to others before a round
	chunkBytes = 64 << 10 // of one write, so that it is seen how a large frame gets on
	briefBytes = 64 << 10 // that Push writes itself
	crowded    = 32       // rounds after one of more than one item in which more company is likely
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

// Push is Flush for those whom the other side must not keep for long: it leaves
// what is more than a little to the Conn's own goroutine. It blocks for as long
// as that little is not read, three heartbeats at most if nothing is.
func (c *Conn) Push() {
	c.mu.Lock()
	large := c.waiting > briefBytes
	mine := !large && c.begin()
	c.mu.Unlock()
	switch {
	case mine:
		c.combineUpTo(briefBytes)
	case large:
		c.Kick()
	}
}

// Waiting returns about how many bytes were added and are not written yet.
// Pulses do not count.
func (c *Conn) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting + c.leaving
}

// Shrink returns nil when no more than most bytes wait, which the Conn's own
// goroutine writes, and why the connection ended if that comes first. Serve must
// run.
func (c *Conn) Shrink(most int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.waiting+c.leaving > most {
		c.wake()
		c.progress.Wait()
	}
	return c.cut
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
func (c *Conn) combine() { c.combineUpTo(math.MaxInt) }

// combineUpTo is combine that writes rounds of up to that many bytes.
func (c *Conn) combineUpTo(bytes int) {
	for round := 0; ; round++ {
		if c.out.crowd > 0 {
			c.gather()
		}
		batch, mark, more := c.round(round, bytes)
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
			c.leaving = 0
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
func (c *Conn) round(n, bytes int) (batch []*wire.Envelope, mark uint64, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pass := (n == mostRounds || c.waiting > bytes) && c.served
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
	c.waiting, c.leaving = 0, c.waiting
	c.attempted = c.added
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
	err = c.put(frame)
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

// put writes a frame. What is large goes in parts, and the watch sees it move.
func (c *Conn) put(frame []byte) error {
	for {
		n, err := c.nc.Write(frame[:min(len(frame), chunkBytes)])
		c.bytesOut.Add(uint64(n))
		if frame = frame[n:]; err != nil || len(frame) == 0 {
			return err
		}
		c.mu.Lock()
		c.leaving = max(1, c.leaving-n) // more than a pulse, to its end
		c.progress.Broadcast()
		c.mu.Unlock()
	}
}

// stuffed reports whether more than a pulse waits for a write to return.
func (c *Conn) stuffed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writing && c.waiting+c.leaving > 0
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
