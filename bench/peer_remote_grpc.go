package main

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// largestMessage is what gRPC is told to take, here and below protoactor; its
// own bound of 4 MB would fail the large payloads.
const largestMessage = 1 << 30

// grpcService is written by hand: one method, unary and as a stream.
var grpcService = grpc.ServiceDesc{
	ServiceName: "bench.Far",
	HandlerType: (*grpcHandler)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Call", Handler: answerUnary}},
	Streams:     []grpc.StreamDesc{{StreamName: "Stream", Handler: answerStream, ServerStreams: true, ClientStreams: true}},
}

const (
	grpcCall   = "/bench.Far/Call"
	grpcStream = "/bench.Far/Stream"
)

type grpcHandler interface {
	run(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error)
}

type grpcFunction struct{ fn farFunction }

func (f grpcFunction) run(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
	out, err := f.fn(ctx, in.GetValue())
	if err != nil {
		return nil, err
	}
	return wrapperspb.Bytes(out), nil
}

func answerUnary(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.BytesValue)
	if err := decode(in); err != nil {
		return nil, err
	}
	return srv.(grpcHandler).run(ctx, in)
}

// answerStream answers in the order of the requests.
func answerStream(srv any, stream grpc.ServerStream) error {
	for {
		in := new(wrapperspb.BytesValue)
		if err := stream.RecvMsg(in); err != nil {
			return err
		}
		out, err := srv.(grpcHandler).run(stream.Context(), in)
		if err != nil {
			return err
		}
		if err := stream.SendMsg(out); err != nil {
			return err
		}
	}
}

func serveGRPC(fn farFunction, _ int) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(largestMessage))
	s.RegisterService(&grpcService, grpcFunction{fn})
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), nil
}

// grpcFar is a server and one connection to it.
type grpcFar struct {
	server *server
	conn   *grpc.ClientConn
}

func unaryPeer() farPeer {
	return farPeer{name: "gRPC unary", open: func(_ context.Context, o farOrder) (far, error) {
		return openSpread(o, func() (far, error) { return openGRPC(o) })
	}}
}

func openGRPC(o farOrder) (*grpcFar, error) {
	s, err := startServer(service{Peer: "gRPC", Function: o.Function, InFlight: o.InFlight})
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(s.addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestMessage)))
	if err != nil {
		s.Close()
		return nil, err
	}
	return &grpcFar{server: s, conn: conn}, nil
}

func (f *grpcFar) Call(ctx context.Context, in []byte) ([]byte, error) {
	out := new(wrapperspb.BytesValue)
	if err := f.conn.Invoke(ctx, grpcCall, wrapperspb.Bytes(in), out); err != nil {
		return nil, err
	}
	return out.GetValue(), nil
}

func (f *grpcFar) Close() {
	_ = f.conn.Close() // nil, or that it was closed before
	f.server.Close()
}
