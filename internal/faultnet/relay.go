package faultnet

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// pieceSize bounds what a Proxy reads at once.
const pieceSize = 32 << 10

// relay is one connection through a Proxy.
type relay struct {
	proxy  *Proxy
	cancel context.CancelFunc

	mu      sync.Mutex
	conns   []net.Conn // the client's and, once it is dialled, the target's
	aborted bool
}

// run dials the target and passes on until both directions have ended.
func (r *relay) run(ctx context.Context, client net.Conn) {
	defer r.proxy.forget(r)
	defer r.cancel()
	defer client.Close()
	if r.proxy.gate(ctx) == nil {
		return
	}
	target, err := r.dial(ctx)
	if err != nil {
		r.proxy.refused.Add(1)
		r.abort()
		return
	}
	defer target.Close()
	var both sync.WaitGroup
	there := &direction{relay: r, dst: target, src: client, count: &r.proxy.sent}
	back := &direction{relay: r, dst: client, src: target, count: &r.proxy.received}
	both.Go(func() { there.pump(ctx) })
	both.Go(func() { back.pump(ctx) })
	both.Wait()
}

func (r *relay) dial(ctx context.Context) (net.Conn, error) {
	r.proxy.mu.Lock()
	addr := r.proxy.target
	r.proxy.mu.Unlock()
	target, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aborted {
		reset(target)
		return nil, context.Canceled
	}
	r.conns = append(r.conns, target)
	return target, nil
}

// abort resets both connections; what uses them ends. Only then may ctx end,
// or run could come first with its regular Close.
func (r *relay) abort() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aborted = true
	for _, c := range r.conns {
		reset(c)
	}
	r.cancel()
}

// reset closes a connection so that the other end does not take it for its
// regular end.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// direction is one of the two of a relay.
type direction struct {
	relay    *relay
	dst, src net.Conn
	count    *atomic.Int64

	mode *mode // of the piece before
	left int   // bytes that may pass yet if mode truncates
}

// pump passes on up to the end of src, which is passed on alone; an error is
// the end of both directions.
func (d *direction) pump(ctx context.Context) {
	buf := make([]byte, pieceSize)
	for {
		n, end := d.src.Read(buf)
		m := d.relay.proxy.gate(ctx)
		if m == nil {
			return
		}
		n, cut := d.cut(m, n)
		if err := d.write(m.damage(buf[:n])); err != nil {
			end = err
		}
		switch {
		case cut:
			d.dst.Close() // before it could be reset: what was sent is to arrive
			d.relay.abort()
			return
		case errors.Is(end, io.EOF):
			closeWrite(d.dst)
			return
		case end != nil:
			d.relay.abort()
			return
		}
	}
}

// cut says how many of n bytes pass, and if the connection ends behind them.
func (d *direction) cut(m *mode, n int) (int, bool) {
	if m.kind != truncating || n == 0 {
		return n, false
	}
	if m != d.mode {
		d.mode, d.left = m, m.bytes
	}
	pass := min(n, d.left)
	d.left -= pass
	return pass, d.left == 0
}

func (d *direction) write(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	n, err := d.dst.Write(data)
	d.count.Add(int64(n))
	return err
}

// damage returns what is sent instead of data, of which it may make use.
func (m *mode) damage(data []byte) []byte {
	switch {
	case len(data) == 0:
	case m.kind == flipping:
		data[len(data)/2] ^= 1
	case m.kind == duplicating:
		return append(data[:len(data):len(data)], data...)
	}
	return data
}

func closeWrite(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.CloseWrite() // if it fails, the other end has gone already
	}
}
