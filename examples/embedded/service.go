package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

const statusClientLeft = 499 // nobody reads it; it is for the counters

type service struct {
	conns  *task.Worker[*conn]
	quotes *task.Task[string, string]
	ready  atomic.Bool

	answered, refused, left atomic.Int32
}

// newService puts its pools below an actor of the system that the program has anyway.
func newService(system *proto.ActorSystem, db *database) (s *service, parent *proto.PID, err error) {
	home := task.System(actor.Wrap(system))
	s = &service{}
	s.conns, err = task.NewWorker(db.open, home, task.Name("connections"), task.Workers(2))
	if err != nil {
		return nil, nil, err
	}
	s.quotes, err = task.New(s.quote, home, task.Name("quotes"), task.Workers(4), task.Queue(8), task.Reject())
	if err != nil {
		return nil, nil, err
	}
	spawned := make(chan error, 1)
	parent = system.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		if _, ok := ctx.Message().(*proto.Started); ok {
			_, err1 := ctx.SpawnNamed(s.conns.Props(), "connections")
			_, err2 := ctx.SpawnNamed(s.quotes.Props(), "quotes")
			spawned <- errors.Join(err1, err2)
		}
	}))
	if err := <-spawned; err != nil {
		system.Root.Stop(parent)
		return nil, nil, err
	}
	return s, parent, nil
}

// quote is what the pool runs: one query, with whichever connection is free.
func (s *service) quote(ctx context.Context, item string) (string, error) {
	return task.Ask(ctx, s.conns, (*conn).query, item).Await(ctx)
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /quote/{item}", s.handleQuote)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
		}
	})
	return mux
}

func (s *service) handleQuote(w http.ResponseWriter, r *http.Request) {
	text, err := s.quotes.Call(r.Context(), r.PathValue("item"))
	switch {
	case err == nil:
		s.answered.Add(1)
		fmt.Fprint(w, text)
	case r.Context().Err() != nil:
		s.left.Add(1)
		w.WriteHeader(statusClientLeft)
	case errors.Is(err, task.ErrQueueFull), errors.Is(err, task.ErrStopped):
		s.refused.Add(1)
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// drain turns readiness off, refuses new quotes, and waits for those that were accepted, then for the connections.
func (s *service) drain(ctx context.Context) (task.Report, error) {
	s.ready.Store(false)
	report, err1 := s.quotes.Drain(ctx)
	_, err2 := s.conns.Drain(ctx)
	return report, errors.Join(err1, err2)
}
