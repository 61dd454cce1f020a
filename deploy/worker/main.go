// Worker is a node that runs the named tasks of this program for others. Take it as the pattern for one's own: what is
// particular to it is in fetch.go. The files beside it run it in a container, under systemd and in Kubernetes.
//
//	worker -listen :7000 -token-file token                serve until SIGTERM, finish what runs, and end
//	worker -listen :7000 -token-file token -probe ready   exit 0 if the node there takes calls
//	worker -listen :7000 -token-file token -probe alive   exit 0 if it answers at all, also while it drains
//
// Every flag can be given as a variable of the environment too: -token-file as WORKER_TOKEN_FILE.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/troupe-go/troupe/remote"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	s, err := parse(os.Args[1:], os.LookupEnv)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, s, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings, log *slog.Logger) error {
	cfg, err := s.config()
	if err != nil {
		return err
	}
	if s.probe != "" {
		return probe(ctx, s, cfg)
	}
	return serve(ctx, s, cfg, log)
}

// serve runs the calls of others until ctx ends, and then for as long as those that run take, but not longer than
// s.drain: what still runs then is cut off, and the error says so.
func serve(ctx context.Context, s settings, cfg remote.Config, log *slog.Logger) error {
	node, err := remote.Start(cfg)
	if err != nil {
		return err
	}
	defer farewell(node, log)
	served := make(chan error, 1)
	go func() { served <- node.Serve(ctx) }()
	log.Info("serving", "address", node.Addr())
	tell(log, "READY=1")
	select {
	case err := <-served: // nobody else ends it
		return err
	case <-ctx.Done():
	}

	log.Info("draining", "for", s.drain)
	tell(log, "STOPPING=1")
	bound := time.NewTimer(s.drain)
	defer bound.Stop()
	select {
	case err := <-served:
		if err == nil {
			log.Info("drained")
		}
		return err
	case <-bound.C:
		return fmt.Errorf("cut off what still ran after %v of draining", s.drain)
	}
}

// patience is how long functions may take to notice that their ctx has ended.
const patience = time.Second

// farewell ends the node, and leaves behind what does not listen: the process ends next.
func farewell(node *remote.Node, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := node.Stop(ctx); err != nil {
		log.Warn("left behind", "error", err)
	}
}
