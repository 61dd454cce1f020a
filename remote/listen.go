package remote

import (
	"container/list"
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/remote/wire"
)

const (
	mostGreeting = 128  // connections in their handshake at once
	mostConns    = 4096 // in all
)

// accept takes connections until the node stops.
func (n *Node) accept() {
	g := greeters{waiting: make(map[net.Conn]*list.Element)}
	for {
		nc, err := n.listener.Accept()
		if err != nil {
			if n.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			n.cfg.System.Log().Warn("troupe: a node could not accept a connection", "node", n.Addr(), "error", err)
			if !sleep(n.ctx, firstPause) {
				return
			}
			continue
		}
		if !n.keep(nc) {
			_ = nc.Close()
			continue
		}
		g.enter(nc)
		n.tasks.Go(func() {
			defer n.drop(nc)
			defer g.leave(nc)
			n.attend(nc, func() { g.leave(nc) })
		})
	}
}

// greeters are the connections in their handshake. If there are too many, which
// would cost memory before anybody has shown who he is, the oldest has to go: one
// that is honest is quick, and never the oldest for long.
type greeters struct {
	mu      sync.Mutex
	order   list.List // of net.Conn
	waiting map[net.Conn]*list.Element
}

func (g *greeters) enter(nc net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.order.Len() >= mostGreeting {
		oldest := g.order.Front()
		delete(g.waiting, g.order.Remove(oldest).(net.Conn))
		_ = oldest.Value.(net.Conn).Close()
	}
	g.waiting[nc] = g.order.PushBack(nc)
}

func (g *greeters) leave(nc net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.waiting[nc]; e != nil {
		g.order.Remove(e)
		delete(g.waiting, nc)
	}
}

// keep notes a connection; false if the node has stopped or has too many.
func (n *Node) keep(nc net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped || len(n.conns) >= mostConns {
		return false
	}
	n.conns[nc] = struct{}{}
	return true
}

func (n *Node) drop(nc net.Conn) {
	_ = nc.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, nc)
}

// attend serves one connection. It calls greeted when the handshake is over.
func (n *Node) attend(nc net.Conn, greeted func()) {
	secured := nc
	if n.cfg.TLS != nil {
		secured = tls.Server(nc, n.cfg.TLS)
	}
	conn, hello, err := link.Accept(n.ctx, secured, n.link, func(h *wire.Hello) *wire.Welcome {
		return n.house.welcome(schemas(h))
	})
	greeted()
	if err != nil {
		n.cfg.System.Log().Info("troupe: a node turned a connection away", "node", n.Addr(), "peer", nc.RemoteAddr(), "error", err)
		return
	}
	err = n.house.receive(conn, hello)
	n.cfg.System.Log().Debug("troupe: a connection has ended", "node", n.Addr(), "peer", nc.RemoteAddr(), "error", err)
}

// schemas returns what a Hello asks for.
func schemas(h *wire.Hello) (asks []wire.Schema) {
	for _, a := range h.GetTasks() {
		asks = append(asks, wire.Announced(a))
	}
	return asks
}
