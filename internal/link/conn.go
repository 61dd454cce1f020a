package link

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/troupe-go/troupe/remote/wire"
)

// A Conn is one connection between two incarnations, after the handshake. All
// methods but Serve are safe for concurrent use. See the package documentation
// for which of them may block.
type Conn struct {
	cfg  Config
	nc   net.Conn
	who  string // both sides, for errors
	peer Peer
	most int // bytes of an envelope that the other side takes
	beat watch

	in    *reader
	last  uint64 // seq of the envelope before; of Serve's goroutine
	tasks sync.WaitGroup
	kicks chan struct{}
	done  chan struct{}

	mu        sync.Mutex
	progress  sync.Cond     // sent has grown, or the connection has ended
	batcher   *wire.Batcher // what was added
	full      []*wire.Envelope
	added     uint64 // number of Adds
	sent      uint64 // of those that were written
	attempted uint64 // of those that somebody has begun to write
	waiting   int    // bytes that were added and are not being written yet, but for pulses
	leaving   int    // bytes of those that are being written
	writing   bool   // somebody is at it, and will look again before it stops
	finished  bool   // nothing can be added any more
	served    bool   // Serve was called
	cut       error  // why nothing can be written any more
	err       error  // why the connection ended; nil: it has not

	out outgoing // of whoever set writing

	burst        atomic.Bool   // Kick is to be left to Serve
	orderly      atomic.Bool   // Finish has written all
	pulses       atomic.Uint64 // the last that came
	envelopesIn  atomic.Uint64
	envelopesOut atomic.Uint64
	bytesOut     atomic.Uint64
	dropped      atomic.Uint64
}

// Peer is the other side of a connection, as it has said itself.
type Peer struct {
	Incarnation uint64
	Name        string
	Address     string // where it can be dialled; empty: nowhere
	Version     uint32 // of the protocol, as agreed on
}

// Stats counts what went over a connection since its handshake began; envelopes
// since it was through.
type Stats struct {
	EnvelopesIn, EnvelopesOut uint64
	BytesIn, BytesOut         uint64
	Dropped                   uint64 // envelopes that came twice, or from or for another incarnation
}

func (s *shake) conn(b *wire.Batcher, peer Peer) *Conn {
	c := &Conn{
		cfg:     s.cfg,
		nc:      s.nc,
		who:     sides(s.cfg.Name, peer.Name, s.nc, s.dialed),
		peer:    peer,
		most:    int(min(int64(s.cfg.Bounds.Bytes), s.theirs.bound())),
		beat:    newWatch(s.cfg.Heartbeat, s.theirs.heartbeat()),
		in:      s.in,
		last:    1,
		kicks:   make(chan struct{}, 1),
		done:    make(chan struct{}),
		batcher: b,
	}
	c.progress.L = &c.mu
	c.in.most = s.cfg.Bounds.Bytes
	return c
}

// Serve reads until the connection ends and calls receive with every envelope,
// in order, on this goroutine. It returns why the connection ended, an error
// that [Conn.Err] returns too; by then every goroutine of the Conn is gone.
//
// While receive runs nothing is read, and the other side is made to wait.
// receive must not block for the other side: it calls Kick, not Flush.
// Serve can be called once.
func (c *Conn) Serve(receive func(*wire.Envelope)) error {
	c.mu.Lock()
	again := c.served
	c.served = true
	if !again && c.err == nil {
		c.tasks.Go(c.write)
		c.tasks.Go(c.pulse)
	}
	c.mu.Unlock()
	if again {
		return errTwice
	}
	defer c.tasks.Wait()
	defer c.end(ErrClosed) // in case that receive panics
	c.end(c.read(receive))
	return c.Err()
}

// Close ends the connection for reason, [ErrClosed] if that is nil. It does not
// block. What is not written yet is lost, and what is written may be; see
// [Conn.Finish]. After the end, it does nothing.
func (c *Conn) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	c.end(reason)
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, or nil if it has not. Of an end by the
// other side it matches io.EOF.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Peer tells who is on the other side.
func (c *Conn) Peer() Peer { return c.peer }

// MaxBytes returns the size of the largest envelope that both sides take. A
// call or an answer that is larger by itself, with some 200 B and its names,
// headers and key, ends the connection: whoever adds it must look first.
func (c *Conn) MaxBytes() int { return c.most }

// Stats returns counts of now.
func (c *Conn) Stats() Stats {
	return Stats{
		EnvelopesIn:  c.envelopesIn.Load(),
		EnvelopesOut: c.envelopesOut.Load(),
		BytesIn:      c.in.bytes.Load(),
		BytesOut:     c.bytesOut.Load(),
		Dropped:      c.dropped.Load(),
	}
}

// end ends the connection, unless it has ended.
func (c *Conn) end(reason error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err, c.cut = reason, reason
	c.silence()
	c.mu.Unlock()
	close(c.done)
	closeNow(c.nc)
}

// silence, with mu, forgets what waits to be written, and takes no more.
func (c *Conn) silence() {
	c.finished = true
	c.full, c.batcher = nil, nil
	c.waiting, c.leaving = 0, 0
	c.progress.Broadcast()
}

// fault is err of this connection.
func (c *Conn) fault(err error) error { return fmt.Errorf("link: %s: %w", c.who, err) }

func (c *Conn) read(receive func(*wire.Envelope)) error {
	for {
		frame, err := c.in.frame()
		if err != nil {
			return c.readFault(err)
		}
		e, err := wire.Read(frame, c.cfg.Bounds)
		if err != nil {
			return c.fault(err)
		}
		c.envelopesIn.Add(1)
		use, err := c.inspect(e)
		if err != nil {
			return c.fault(err)
		}
		if use {
			c.burst.Store(true)
			receive(e)
		}
		if !c.in.ready() {
			c.burst.Store(false)
			c.Kick()
		}
	}
}

// readFault says what an error of a read means.
func (c *Conn) readFault(err error) error {
	switch {
	case errors.Is(err, io.EOF) && c.orderly.Load():
		return ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.unwritable() // see failed
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("the other side closed the connection: %w", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("the connection ended in the middle of a frame: %w", err)
	}
	return c.fault(err)
}

func (c *Conn) unwritable() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

// inspect tells whether e is for receive, or why the connection cannot go on.
func (c *Conn) inspect(e *wire.Envelope) (use bool, err error) {
	if e.GetFrom() != c.peer.Incarnation || e.GetTo() != c.cfg.Incarnation || e.GetSeq() <= c.last {
		c.dropped.Add(1)
		return false, nil
	}
	if e.GetSeq() != c.last+1 {
		return false, &GapError{Got: e.GetSeq(), Want: c.last + 1}
	}
	c.last++
	switch {
	case e.GetVersion() != c.peer.Version:
		return false, fmt.Errorf("an envelope of version %d where %d was agreed on", e.GetVersion(), c.peer.Version)
	case e.GetHello() != nil:
		return false, errors.New("a second hello")
	}
	if p := e.GetPulse(); p != nil {
		c.pulses.Store(p.GetSeq())
	}
	return true, nil
}

// sides names both, as well as they are known.
func sides(ours, theirs string, nc net.Conn, dialed bool) string {
	verb := "from"
	if dialed {
		verb = "to"
	}
	if ours == "" {
		ours = "this side"
	}
	if theirs == "" {
		return fmt.Sprintf("%s %s %s", ours, verb, addressOf(nc))
	}
	return fmt.Sprintf("%s %s %s (%s)", ours, verb, theirs, addressOf(nc))
}

func addressOf(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil {
		return a.String()
	}
	return "an unknown address"
}
