package remote

import (
	"context"
	"net"
	"time"
)

// transport is how nodes reach each other.
type transport interface {
	Listen(addr string) (net.Listener, error)
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// tcp is the transport of real nodes. Heartbeats make the kernel's keep-alive
// unnecessary.
type tcp struct{}

const dialTimeout = 3 * time.Second

func (tcp) Listen(addr string) (net.Listener, error) {
	l := net.ListenConfig{KeepAlive: -1}
	return l.Listen(context.Background(), "tcp", addr)
}

func (tcp) Dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	return d.DialContext(ctx, "tcp", addr)
}
