package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// grpcPipe is one stream of gRPC for all calls: its answers come in the order of
// the calls.
type grpcPipe struct{ *grpcFar }

func streamPeer() farPeer {
	return farPeer{name: "gRPC stream", pipes: true, open: func(_ context.Context, o farOrder) (far, error) {
		if o.Servers != 1 {
			return nil, errOneServer
		}
		f, err := openGRPC(o)
		if err != nil {
			return nil, err
		}
		return grpcPipe{f}, nil
	}}
}

// Pipe implements piper: one goroutine sends, this one receives.
func (p grpcPipe) Pipe(ctx context.Context, inFlight, n, size int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := p.conn.NewStream(ctx, &grpcService.Streams[0], grpcStream)
	if err != nil {
		return err
	}
	payloads := newPayloads(inFlight, size)
	room := make(chan struct{}, inFlight)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		sendAll(ctx, stream, room, payloads, n)
	}()
	err = receiveAll(stream, room, payloads, n)
	cancel()
	<-sent
	return err
}

// sendAll sends n payloads, each when there is room. What fails here fails the
// receiver too.
func sendAll(ctx context.Context, stream grpc.ClientStream, room chan struct{}, payloads []payload, n int) {
	for i := range n {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		p := payloads[i%len(payloads)]
		p.number(i)
		if stream.SendMsg(wrapperspb.Bytes(p)) != nil {
			return
		}
	}
}

func receiveAll(stream grpc.ClientStream, room chan struct{}, payloads []payload, n int) error {
	for i := range n {
		out := new(wrapperspb.BytesValue)
		if err := stream.RecvMsg(out); err != nil {
			return err
		}
		if err := payloads[i%len(payloads)].check(out.GetValue()); err != nil {
			return err
		}
		<-room
	}
	return nil
}
