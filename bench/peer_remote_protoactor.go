package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
	protoremote "github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// protoPatience is when a future gives up: nothing else ends a request whose
// answer is lost.
const protoPatience = 30 * time.Second

// protoNode is an actor system with a node, shared as protoSystem is: its start
// sets the logger of all gRPC in the process, which races with whoever uses that
// already. A batch of messages may be larger than gRPC takes by default, and is
// then lost without a word; a peer that is not there would be tried for ten seconds.
var protoNode = sync.OnceValues(func() (*proto.ActorSystem, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	system := proto.NewActorSystem(
		proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		proto.WithDeadLetterRequestLogging(false),
	)
	cfg := protoremote.Configure("127.0.0.1", port,
		protoremote.WithServerOptions(grpc.MaxRecvMsgSize(largestMessage)),
		protoremote.WithDialOptions(
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestMessage))),
		protoremote.WithEndpointWriterQueueSize(4096))
	cfg.MaxRetryCount = 1
	protoremote.NewRemote(system, cfg).Start()
	return system, nil
})

// freePort finds a port before protoactor panics for want of one.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

func serveProtoactor(fn farFunction, _ int) (string, error) {
	system, err := protoNode()
	if err != nil {
		return "", err
	}
	props := proto.PropsFromFunc(func(c proto.Context) {
		if in, ok := c.Message().(*wrapperspb.BytesValue); ok {
			if out, err := fn(context.Background(), in.GetValue()); err == nil {
				c.Respond(wrapperspb.Bytes(out))
			}
		}
	})
	if _, err := system.Root.SpawnNamed(props, "far"); err != nil {
		return "", err
	}
	return system.Address(), nil
}

// protoFar is a server, and the actor there.
type protoFar struct {
	server *server
	system *proto.ActorSystem
	actor  *proto.PID
}

func protoRemotePeer() farPeer {
	return farPeer{name: "protoactor", open: func(_ context.Context, o farOrder) (far, error) {
		if o.Servers != 1 {
			return nil, errOneServer
		}
		s, err := startServer(service{Peer: "protoactor", Function: o.Function, InFlight: o.InFlight})
		if err != nil {
			return nil, err
		}
		system, err := protoNode()
		if err != nil {
			s.Close()
			return nil, err
		}
		return &protoFar{server: s, system: system, actor: proto.NewPID(s.addr, "far")}, nil
	}}
}

func (f *protoFar) Call(_ context.Context, in []byte) ([]byte, error) {
	reply, err := f.system.Root.RequestFuture(f.actor, wrapperspb.Bytes(in), protoPatience).Result()
	if err != nil {
		return nil, err
	}
	out, ok := reply.(*wrapperspb.BytesValue)
	if !ok {
		return nil, fmt.Errorf("%w: a reply of type %T", errWrong, reply)
	}
	return out.GetValue(), nil
}

func (f *protoFar) Close() { f.server.Close() }
