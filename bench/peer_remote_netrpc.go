package main

import (
	"context"
	"net"
	"net/rpc"
)

// netRPC is what net/rpc serves. Its functions know no ctx.
type netRPC struct{ fn farFunction }

// Call is exported for net/rpc.
func (r netRPC) Call(in []byte, out *[]byte) (err error) {
	*out, err = r.fn(context.Background(), in)
	return err
}

func serveNetRPC(fn farFunction, _ int) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := rpc.NewServer()
	if err := s.RegisterName("Far", netRPC{fn}); err != nil {
		return "", err
	}
	go s.Accept(l)
	return l.Addr().String(), nil
}

// netRPCFar is a server and one connection to it.
type netRPCFar struct {
	server *server
	client *rpc.Client
}

func netRPCPeer() farPeer {
	return farPeer{name: "net/rpc", open: func(_ context.Context, o farOrder) (far, error) {
		return openSpread(o, func() (far, error) {
			s, err := startServer(service{Peer: "net/rpc", Function: o.Function, InFlight: o.InFlight})
			if err != nil {
				return nil, err
			}
			client, err := rpc.Dial("tcp", s.addr)
			if err != nil {
				s.Close()
				return nil, err
			}
			return &netRPCFar{server: s, client: client}, nil
		})
	}}
}

func (f *netRPCFar) Call(_ context.Context, in []byte) (out []byte, err error) {
	err = f.client.Call("Far.Call", in, &out)
	return out, err
}

func (f *netRPCFar) Close() {
	_ = f.client.Close() // nil, or that it was closed before
	f.server.Close()
}
