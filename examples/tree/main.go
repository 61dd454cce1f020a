// Tree supervises services, an actor, a task and a worker, whose failures it has made on purpose, and tells what it did.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tree:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	system := actor.NewSystem(actor.Logger(quiet))
	events := make(chan supervisor.Event, 1000)
	stream := system.ActorSystem().EventStream
	defer stream.Unsubscribe(stream.Subscribe(func(event any) {
		if e, ok := event.(supervisor.Event); ok {
			events <- e // never full here; a subscriber must not block
		}
	}))

	s, err := newShop(system)
	if err != nil {
		return err
	}
	if err := s.tree.Start(system); err != nil {
		return err
	}
	open := s.trade(ctx) // until everything has crashed and come back
	running := s.tree.Snapshot()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(open, s.tree.Stop(ctx), s.tree.Wait(ctx), system.Stop(ctx))

	start := time.Now()
	for i := 0; len(events) > 0; i++ {
		e := <-events
		if i == 0 {
			start = e.Time
		}
		fmt.Fprintf(out, "%4d ms  %s\n", e.Time.Sub(start).Milliseconds(), describe(e))
	}
	fmt.Fprintf(out, "stock has restarted its member itself: %d\n", s.stock.Stats().Restarts)
	fmt.Fprintln(out, "\nbefore the stop:")
	show(out, running, "  ")
	fmt.Fprintln(out, "after:")
	show(out, s.tree.Snapshot(), "  ")
	return err
}

func describe(e supervisor.Event) string {
	text := e.Tree
	if e.Child != "" {
		text += "/" + e.Child
	}
	text += " " + e.Kind.String()
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func show(out io.Writer, n supervisor.Node, indent string) {
	line := fmt.Sprintf("%s%s %s", indent, n.Name, n.State)
	if n.Restarts > 0 {
		line += fmt.Sprintf(", restarts: %d", n.Restarts)
	}
	if n.LastError != "" {
		line += ", last error: " + strings.TrimSpace(n.LastError)
	}
	fmt.Fprintln(out, line)
	for _, c := range n.Children {
		show(out, c, indent+"  ")
	}
}

// crasher is anybody's actor, which panics when it is told to.
func crasher(ctx proto.Context) {
	switch m := ctx.Message().(type) {
	case error:
		panic(m)
	case string:
		ctx.Respond(m)
	}
}
