package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// farTasks are the tasks that nodes serve and that children run, by the name of
// their function.
var farTasks = map[string]*task.Task[[]byte, []byte]{
	"echo": task.MustNew(echoBack, task.Name("bench-echo")),
	"hold": task.MustNew(holdOn, task.Name("bench-hold")),
}

// serveTroupe serves all tasks of the program.
func serveTroupe(_ farFunction, inFlight int) (string, error) {
	node, err := remote.Start(remote.Config{Capacity: inFlight})
	if err != nil {
		return "", err
	}
	go func() { _ = node.Serve(context.Background()) }() // until the process ends
	return node.Addr(), nil
}

// troupeFar is a task placed elsewhere, with what it needs for that.
type troupeFar struct {
	task    *task.Task[[]byte, []byte]
	node    *remote.Node // nil with children
	servers []*server
}

// troupeNodes has nodes in other processes, and a call for each goroutine.
func troupeNodes() farPeer {
	return farPeer{name: subject, heals: true, lost: isLost, open: func(ctx context.Context, o farOrder) (far, error) {
		return openTroupeNodes(ctx, o)
	}}
}

// troupePipe has one goroutine make all calls, and look at their futures in order.
func troupePipe() farPeer {
	p := troupeNodes()
	p.name, p.pipes = "troupe Submit", true
	return p
}

// troupeChildren has child processes.
func troupeChildren() farPeer {
	return farPeer{name: subject, heals: true, lost: isLost, open: func(ctx context.Context, o farOrder) (far, error) {
		t := &troupeFar{task: farTasks[o.Function].On(remote.Processes(o.Servers), task.Workers(o.InFlight),
			task.Supervise(supervisor.Policy{MaxRestarts: -1}))}
		return t, t.ready(ctx)
	}}
}

func isLost(err error) bool { return errors.Is(err, task.ErrLost) }

func openTroupeNodes(ctx context.Context, o farOrder) (*troupeFar, error) {
	t := &troupeFar{}
	var addrs []string
	for range o.Servers {
		s, err := startServer(service{Peer: "troupe", Function: o.Function, InFlight: o.InFlight})
		if err != nil {
			t.Close()
			return nil, err
		}
		t.servers, addrs = append(t.servers, s), append(addrs, s.addr)
	}
	node, err := remote.Start(remote.Config{})
	if err != nil {
		t.Close()
		return nil, err
	}
	t.node = node
	t.task = farTasks[o.Function].On(remote.Nodes(node, addrs...), task.Workers(o.InFlight))
	return t, t.ready(ctx)
}

// ready closes what never gets ready.
func (f *troupeFar) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := f.task.Ready(ctx)
	if err != nil {
		f.Close()
	}
	return err
}

func (f *troupeFar) Call(ctx context.Context, in []byte) ([]byte, error) { return f.task.Call(ctx, in) }

// Pipe implements piper.
func (f *troupeFar) Pipe(ctx context.Context, inFlight, n, size int) error {
	payloads := newPayloads(inFlight, size)
	futures := make([]*task.Future[[]byte], inFlight)
	for i := range n + inFlight {
		slot := i % inFlight
		if made := i - inFlight; made >= 0 && made < n {
			out, err := futures[slot].Await(ctx)
			if err != nil {
				return fmt.Errorf("call %d: %w", made, err)
			}
			if err := payloads[slot].check(out); err != nil {
				return err
			}
		}
		if i < n {
			payloads[slot].number(i)
			futures[slot] = f.task.Submit(ctx, payloads[slot])
		}
	}
	return nil
}

func (f *troupeFar) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if f.task != nil {
		f.task.Stop()
	}
	if f.node != nil {
		_ = f.node.Stop(ctx)
	}
	for _, s := range f.servers {
		s.Close()
	}
}
