package faultnet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// firstPort is below those that hosts get for dials and for port 0.
const firstPort = 49151

// address is a host and a port, or in errors a host alone.
type address string

func (a address) Network() string { return "faultnet" }
func (a address) String() string  { return string(a) }

// opError words an error of this package as those of package net are.
func opError(op string, from, to address, err error) error {
	e := &net.OpError{Op: op, Net: address("").Network(), Addr: to, Err: err}
	if from != "" {
		e.Source = from
	}
	return e
}

// listener is the net.Listener at one address.
type listener struct {
	net  *Network
	host *host
	addr address

	backlog []*conn // made, not accepted yet
	closed  bool
}

// Listen returns a listener at the address, host:port; port 0 gives one that is
// free. It does not block. The error is EADDRINUSE if somebody listens there
// already; a killed host's listeners are gone.
func (n *Network) Listen(addr string) (net.Listener, error) {
	name, port, err := net.SplitHostPort(addr)
	if err != nil || name == "" || port == "" {
		return nil, opError("listen", "", address(addr), fmt.Errorf("want host:port, got %q", addr))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.host(name)
	if port == "0" {
		addr = string(n.newPort(h))
	}
	if n.listeners[addr] != nil {
		return nil, opError("listen", "", address(addr), syscall.EADDRINUSE)
	}
	l := &listener{net: n, host: h, addr: address(addr)}
	n.listeners[addr] = l
	n.changed.Broadcast()
	return l, nil
}

// newPort returns an address of h at which nobody listens.
func (n *Network) newPort(h *host) address {
	for {
		h.port++
		addr := net.JoinHostPort(h.name, strconv.Itoa(h.port))
		if n.listeners[addr] == nil {
			return address(addr)
		}
	}
}

// Accept waits for a connection. It ends with net.ErrClosed when the listener
// is closed or its host is killed.
func (l *listener) Accept() (net.Conn, error) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	for {
		switch {
		case l.closed:
			return nil, opError("accept", "", l.addr, net.ErrClosed)
		case len(l.backlog) > 0 && !l.host.frozen:
			c := l.backlog[0]
			l.backlog = l.backlog[1:]
			return c, nil
		}
		l.net.changed.Wait()
	}
}

// Close resets the connections that were not accepted yet. The accepted ones
// live on.
func (l *listener) Close() error {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	if l.closed {
		return opError("close", "", l.addr, net.ErrClosed)
	}
	l.close()
	return nil
}

func (l *listener) close() {
	l.closed = true
	delete(l.net.listeners, string(l.addr))
	for _, c := range l.backlog {
		c.kill()
		c.forget() // nobody else has it to close it
	}
	l.backlog = nil
	l.net.changed.Broadcast()
}

func (l *listener) Addr() net.Addr { return l.addr }

// Dial connects a host to an address. With latency it takes one round trip.
// Where nobody listens it fails at once with ECONNREFUSED; if the two are
// parted, or one is frozen, it hangs until that is over or ctx ends, then with
// context.Cause(ctx). It fails with ECONNRESET if the dialling host is killed.
// A connection may be used before it was accepted; buffers hold 64 KiB in each
// direction.
func (n *Network) Dial(ctx context.Context, from, addr string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { n.wake(n.changed) })
	defer stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	c, err := n.dial(ctx, n.host(from), addr)
	if err != nil {
		return nil, opError("dial", address(from), address(addr), err)
	}
	return c, nil
}

func (n *Network) dial(ctx context.Context, from *host, addr string) (*conn, error) {
	to, life, name := n.host(addr), from.life, from.name+">"+addr
	n.dials[name]++
	name += "#" + strconv.Itoa(n.dials[name])
	var ready time.Time // when the handshake is over; zero: it must begin anew
	for draws := n.stream(name); ; {
		l, now := n.listeners[addr], time.Now()
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case from.life != life:
			return nil, syscall.ECONNRESET
		case from.frozen || to.frozen || n.parted[pairOf(from.name, to.name)]:
			ready = time.Time{}
			n.sleep(n.changed, time.Time{})
		case l == nil:
			return nil, syscall.ECONNREFUSED
		case ready.IsZero():
			ready = now.Add(n.delay(draws) + n.delay(draws))
		case ready.After(now):
			n.sleep(n.changed, ready)
		default:
			return n.connect(from, l, draws), nil
		}
	}
}

// connect makes both ends of a connection and returns that of the dialling
// host.
func (n *Network) connect(from *host, l *listener, draws *rand.Rand) *conn {
	moved := sync.NewCond(&n.mu)
	a := &conn{net: n, host: from, local: n.newPort(from), remote: l.addr, moved: moved}
	b := &conn{net: n, host: l.host, local: l.addr, remote: a.local, moved: moved}
	a.peer, b.peer = b, a
	a.in = n.newPipe(l.host, from, rand.New(rand.NewPCG(n.seed, draws.Uint64())))
	b.in = n.newPipe(from, l.host, rand.New(rand.NewPCG(n.seed, draws.Uint64())))
	n.conns[a], n.conns[b] = struct{}{}, struct{}{}
	l.backlog = append(l.backlog, b)
	n.changed.Broadcast()
	return a
}
