package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

var quiet = slog.New(slog.DiscardHandler) // run prints the events itself

// shop is a tree of everything that a tree can hold:
//
//	shop ─┬─ audit    an actor that panics once
//	      ├─ prices   a task that gives up at the first panic
//	      ├─ stock    a worker that restarts its member by itself
//	      ├─ feeds ───┬─ orders   a service that fails three times
//	      │           └─ mails    a service that shares the fate of orders
//	      └─ clock    a service that is done after a while
type shop struct {
	system *actor.System
	tree   *supervisor.Tree
	prices *task.Task[string, int]
	stock  *task.Worker[*shelf]
	orders atomic.Int32  // how often they were started
	steady chan struct{} // closed when they no longer fail
}

// shelf is the state of the worker's only member.
type shelf struct{ items int }

func (s *shelf) take(_ context.Context, n int) (int, error) {
	if n > 5 {
		panic(errors.New("the shelf breaks"))
	}
	s.items += n
	return s.items, nil
}

func newShop(system *actor.System) (s *shop, err error) {
	s = &shop{system: system, steady: make(chan struct{})}
	home, backoff := task.System(system), supervisor.Backoff{Initial: 20 * time.Millisecond, Max: time.Second}
	escalate := supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Escalate }}
	s.prices, err = task.New(price, home, task.Name("prices"), task.Workers(2), task.Supervise(escalate))
	if err != nil {
		return nil, err
	}
	s.stock, err = task.NewWorker(func(context.Context) (*shelf, error) { return &shelf{}, nil }, home, task.Name("stock"))
	if err != nil {
		return nil, err
	}
	feeds, err := supervisor.New("feeds", supervisor.Policy{Scope: supervisor.RestForOne, MaxRestarts: 2, Backoff: backoff},
		supervisor.Service("orders", s.serveOrders),
		supervisor.Service("mails", func(ctx context.Context) error { <-ctx.Done(); return nil }))
	if err != nil {
		return nil, err
	}
	s.tree, err = supervisor.New("shop", supervisor.Policy{Backoff: backoff},
		supervisor.Actor("audit", proto.PropsFromFunc(crasher)), s.prices, s.stock, feeds,
		supervisor.Service("clock", func(context.Context) error { return nil }))
	return s, err
}

func price(_ context.Context, item string) (int, error) {
	if item == "" {
		panic(errors.New("an item without a name"))
	}
	return 10 * len(item), nil
}

// serveOrders fails three times, which is more than the budget of its tree: the third failure is then the tree's own.
func (s *shop) serveOrders(ctx context.Context) error {
	if n := s.orders.Add(1); n <= 3 {
		return fmt.Errorf("no orders, attempt %d", n)
	}
	close(s.steady)
	<-ctx.Done()
	return nil
}

// trade makes the leaves crash, and uses them again when they are back.
func (s *shop) trade(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	root, audit := s.system.ActorSystem().Root, s.system.ActorSystem().NewLocalPID("tree/shop/audit")
	root.Send(audit, errors.New("the books are wrong"))
	_, broken := task.Ask(ctx, s.stock, (*shelf).take, 9).Await(ctx)
	_, unnamed := s.prices.Call(ctx, "")
	if !errors.Is(broken, task.ErrPanicked) || !errors.Is(unnamed, task.ErrPanicked) {
		return fmt.Errorf("no panics: %w, %w", broken, unnamed)
	}
	select {
	case <-s.steady:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if _, err := root.RequestFuture(audit, "well?", time.Second).Result(); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if _, err := task.Ask(ctx, s.stock, (*shelf).take, 2).Await(ctx); err != nil {
		return err
	}
	_, err := s.prices.Call(ctx, "tea")
	return err
}
