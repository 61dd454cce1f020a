package main

import (
	"context"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
)

// protoMortal is an actor whose parent restarts it after each panic.
type protoMortal struct {
	system        *proto.ActorSystem
	parent, actor *proto.PID
}

type (
	protoChild struct{}
	protoBlow  struct{}
	protoServe struct{}
)

func newProtoMortal() (mortal, error) {
	var blown time.Time
	child := proto.PropsFromProducer(func() proto.Actor {
		f := &fuse{blown: &blown}
		return proto.ReceiveFunc(func(c proto.Context) {
			switch c.Message().(type) {
			case *protoBlow:
				_, _ = f.blow(context.Background())
			case *protoServe:
				s, _ := f.serve(context.Background())
				c.Respond(s)
			}
		})
	})
	m := &protoMortal{system: protoSystem()}
	m.parent = m.system.Root.Spawn(proto.PropsFromFunc(func(c proto.Context) {
		if _, ok := c.Message().(*protoChild); ok {
			c.Respond(c.Spawn(child))
		}
	}, proto.WithSupervisor(proto.RestartingSupervisorStrategy())))
	pid, err := m.system.Root.RequestFuture(m.parent, &protoChild{}, noTimeout).Result()
	if err != nil {
		return nil, err
	}
	m.actor = pid.(*proto.PID)
	return m, nil
}

func (m *protoMortal) Ready(context.Context) error { return nil }

func (m *protoMortal) Crash(context.Context, bool) (served, error) {
	m.system.Root.Send(m.actor, &protoBlow{})
	reply, err := m.system.Root.RequestFuture(m.actor, &protoServe{}, noTimeout).Result()
	if err != nil {
		return served{}, err
	}
	return reply.(served), nil
}

func (m *protoMortal) Stop() { _ = m.system.Root.StopFuture(m.parent).Wait() }
