package faultnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// conn is one end of a connection. The lock of its Network guards it.
type conn struct {
	net           *Network
	host          *host
	local, remote address
	moved         *sync.Cond // both ends wait here, for whatever may let them go on
	peer          *conn
	in            *pipe // what comes to this end; what it sends goes to peer.in

	closed          bool
	writing         bool // a Write is under way; others wait, so that none comes between its parts
	readBy, writeBy time.Time
}

// Read waits for bytes. It ends with io.EOF when the other end was closed and
// all was read, with ECONNRESET after a Cut or a Kill, with net.ErrClosed after
// Close, and with os.ErrDeadlineExceeded.
func (c *conn) Read(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for {
		if err := c.ready(&c.readBy); err != nil {
			return 0, c.opError("read", err)
		}
		got, err := c.in.take(b, time.Now())
		if got > 0 || err != nil || len(b) == 0 {
			c.moved.Broadcast() // there is room
			return got, c.opError("read", err)
		}
		c.net.sleep(c.moved, earlier(c.readBy, c.in.nextAt()))
	}
}

// Write returns when all bytes are in the buffer. It ends with EPIPE when the
// other end was closed, and otherwise as Read does; what it had taken by then
// is sent. Of several at once none comes between the parts of another.
func (c *conn) Write(b []byte) (sent int, err error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if err := c.writable(func() bool { return !c.writing }); err != nil {
		return 0, c.opError("write", err)
	}
	c.writing = true
	defer func() {
		c.writing = false
		c.moved.Broadcast()
	}()
	for sent < len(b) {
		if err := c.writable(func() bool { return c.peer.in.room() > 0 }); err != nil {
			return sent, c.opError("write", err)
		}
		part := b[sent:min(len(b), sent+c.peer.in.room())]
		sent += len(part)
		c.send(part)
	}
	return sent, nil
}

// writable waits until a Write may go on and free says so, or never can.
func (c *conn) writable(free func() bool) error {
	for {
		if err := c.ready(&c.writeBy); err != nil {
			return err
		}
		switch end := c.in.ended(time.Now()); {
		case end == io.EOF:
			return syscall.EPIPE
		case end != nil:
			return end
		case free():
			return nil
		}
		c.net.sleep(c.moved, earlier(c.writeBy, c.in.endAt()))
	}
}

// ready waits while the host is frozen, and says if it is too late after that.
func (c *conn) ready(deadline *time.Time) error {
	for c.host.frozen && !c.closed {
		c.moved.Wait()
	}
	switch {
	case c.closed:
		return net.ErrClosed
	case !deadline.IsZero() && !deadline.After(time.Now()):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// send hands bytes to the network. If it cuts the connection there, both ends
// see it end.
func (c *conn) send(part []byte) {
	if cut := c.peer.in.send(part); cut {
		c.in.add(piece{end: io.EOF})
	}
	c.moved.Broadcast()
}

// Close lets the other end read what is in the buffer and then io.EOF.
func (c *conn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.peer.in.add(piece{end: io.EOF})
	c.forget()
	return nil
}

// forget marks an end as closed. The Network knows both until both are, for
// faults may still strike what is on its way.
func (c *conn) forget() {
	c.closed = true
	if c.peer.closed {
		delete(c.net.conns, c)
		delete(c.net.conns, c.peer)
	}
	c.moved.Broadcast()
}

// kill ends a connection as the death of this end's host does.
func (c *conn) kill() {
	if c.closed {
		c.peer.in.release() // the host may have been frozen when it closed
		c.moved.Broadcast()
		return
	}
	c.in.clear()
	c.in.reset(false)
	c.peer.in.reset(c.net.parted[pairOf(c.host.name, c.peer.host.name)])
	c.moved.Broadcast()
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error      { return c.setDeadlines(&t, &t) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.setDeadlines(&t, nil) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(nil, &t) }

func (c *conn) setDeadlines(read, write *time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	if read != nil {
		c.readBy = *read
	}
	if write != nil {
		c.writeBy = *write
	}
	c.moved.Broadcast()
	return nil
}

// opError leaves io.EOF as it is: callers compare with it.
func (c *conn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return opError(op, c.local, c.remote, err)
}

// earlier returns the earlier of two times; a zero one stands for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
