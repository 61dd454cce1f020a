// Embedded is an HTTP service with an actor system of its own, whose handlers hand work to a bounded pool.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "embedded:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("embedded", flag.ExitOnError)
	addr := flags.String("addr", "", "serve here until a signal comes; without it, serve a burst of requests and end")
	_ = flags.Parse(args)

	db, err := startDatabase()
	if err != nil {
		return err
	}
	defer db.stop()
	system := proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}))
	defer system.Shutdown()
	s, parent, err := newService(system, db)
	if err != nil {
		return err
	}
	defer func() { _ = system.Root.StopFuture(parent).Wait() }()
	if err := s.conns.Ready(ctx); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cmp.Or(*addr, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	s.ready.Store(true)
	fmt.Fprintf(out, "serving on http://%s\n", listener.Addr())

	var clients sync.WaitGroup
	if *addr == "" {
		burst(ctx, "http://"+listener.Addr().String(), &clients)
	} else {
		select {
		case err = <-served:
		case <-ctx.Done():
		}
	}

	fmt.Fprintln(out, "draining")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	report, drained := s.drain(ctx)
	err = errors.Join(err, drained, server.Shutdown(ctx))
	clients.Wait()
	fmt.Fprintf(out, "finished while draining: %d, cancelled: %d, never started: %d, abandoned: %d\n",
		report.Finished, report.Cancelled, report.NeverStarted, report.Abandoned)
	fmt.Fprintf(out, "answered: %d, refused: %d, clients that left: %d\n", s.answered.Load(), s.refused.Load(), s.left.Load())
	fmt.Fprintf(out, "connections opened: %d, closed: %d\n", db.opened.Load(), db.closed.Load())
	return err
}
