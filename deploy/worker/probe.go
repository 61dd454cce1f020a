package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// What a probe asks.
const (
	ready = "ready" // does the node take calls?
	alive = "alive" // does it answer, if only that it takes none yet, or no more?
)

// probe connects to the node at -listen as a caller would, with the same token and certificate, and asks for its task. It
// sends no call, so a node that is busy passes.
func probe(ctx context.Context, s settings, cfg remote.Config) error {
	addr, err := local(cfg.Listen)
	if err != nil {
		return err
	}
	system := actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
	node, err := remote.Start(remote.Config{Token: cfg.Token, TLS: cfg.TLS, System: system})
	if err != nil {
		return err
	}
	defer func() { _ = system.Stop(context.WithoutCancel(ctx)) }() // with the node
	far, err := task.New(fetch, task.Name(pages.Name()), task.System(system), task.On(remote.Nodes(node, addr)))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.probeWithin, fmt.Errorf("not %s after %v", s.probe, s.probeWithin))
	defer cancel()
	err = far.Ready(ctx)
	if err != nil && s.probe == alive {
		for _, m := range node.Members() {
			if m.Addr == addr && (m.State == "starting" || m.State == "draining") {
				return nil
			}
		}
	}
	return err
}

// local is where this machine reaches what listens at addr.
func local(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("-listen: %w", err)
	}
	if port == "0" {
		return "", fmt.Errorf("-listen %s: a probe has to know the port", addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}
