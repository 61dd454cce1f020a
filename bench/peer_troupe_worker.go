package main

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// troupeWorker is a stateful worker asked through Ask.
type troupeWorker struct {
	worker *task.Worker[*tally]
}

func newTroupeWorker(members int) troupeWorker {
	return troupeWorker{task.MustNewWorker(newTally, task.Workers(members))}
}

func (w troupeWorker) ask(ctx context.Context, x int) *task.Future[int] {
	return task.Ask(ctx, w.worker, (*tally).square, x)
}

func (w troupeWorker) Call(ctx context.Context, x int) (int, error) { return w.ask(ctx, x).Await(ctx) }
func (w troupeWorker) Stop()                                        { w.worker.Stop() }

func (w troupeWorker) Submit(ctx context.Context, in []int) func() ([]int, error) {
	return askAll(ctx, w.ask, in)
}

// troupeKeyed is the same asked through AskKey, with a thousand keys in turn.
type troupeKeyed struct {
	troupeWorker
	keys []string
}

func newTroupeKeyed(members int) troupeKeyed {
	k := troupeKeyed{troupeWorker: newTroupeWorker(members)}
	for i := range 1000 {
		k.keys = append(k.keys, "account-"+strconv.Itoa(i))
	}
	return k
}

func (k troupeKeyed) ask(ctx context.Context, x int) *task.Future[int] {
	return task.AskKey(ctx, k.worker, k.keys[x%len(k.keys)], (*tally).square, x)
}

func (k troupeKeyed) Call(ctx context.Context, x int) (int, error) { return k.ask(ctx, x).Await(ctx) }

func (k troupeKeyed) Submit(ctx context.Context, in []int) func() ([]int, error) {
	return askAll(ctx, k.ask, in)
}

// askAll asks for all of in and returns how to collect the values.
func askAll(ctx context.Context, ask func(context.Context, int) *task.Future[int], in []int) func() ([]int, error) {
	futures := make([]*task.Future[int], len(in))
	for i, x := range in {
		futures[i] = ask(ctx, x)
	}
	return func() ([]int, error) {
		values := make([]int, len(in))
		for i, f := range futures {
			v, err := f.Await(ctx)
			if err != nil {
				return nil, err
			}
			values[i] = v
		}
		return values, nil
	}
}

// troupeCrowd is many workers of one member each.
type troupeCrowd struct {
	workers []troupeWorker
}

func newTroupeCrowd(n int) (crowd, error) {
	c := &troupeCrowd{workers: make([]troupeWorker, n)}
	// A literal has no name to share: the registry looks for a free suffix one by
	// one, which for 100,000 workers of one top-level init takes minutes.
	init := func(ctx context.Context) (*tally, error) { return newTally(ctx) }
	for i := range c.workers {
		w, err := task.NewWorker(init)
		if err != nil {
			return nil, err
		}
		c.workers[i] = troupeWorker{w}
	}
	return c, nil
}

func (c *troupeCrowd) Ready(ctx context.Context) error {
	for _, w := range c.workers {
		if err := w.worker.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *troupeCrowd) CallAll(ctx context.Context) error {
	futures := make([]*task.Future[int], len(c.workers))
	for i, w := range c.workers {
		futures[i] = w.ask(ctx, i)
	}
	for i, f := range futures {
		v, err := f.Await(ctx)
		if err != nil {
			return err
		}
		if v != i*i {
			return errWrong
		}
	}
	return nil
}

func (c *troupeCrowd) Stop() {
	for _, w := range c.workers {
		w.Stop()
	}
}

// troupeMortal is a worker that survives any number of panics, in a system
// that keeps quiet about them, as protoactor's does here.
type troupeMortal struct {
	worker *task.Worker[*fuse]
	system *actor.System
}

func newTroupeMortal() (mortal, error) {
	system := actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
	var blown time.Time
	newFuse := func(context.Context) (*fuse, error) { return &fuse{blown: &blown}, nil }
	w, err := task.NewWorker(newFuse, task.System(system), task.Supervise(supervisor.Policy{MaxRestarts: -1}))
	return &troupeMortal{w, system}, err
}

func (m *troupeMortal) Ready(ctx context.Context) error { return m.worker.Ready(ctx) }

func (m *troupeMortal) Crash(ctx context.Context, told bool) (served, error) {
	failed := task.Do(ctx, m.worker, (*fuse).blow)
	if told {
		if _, err := failed.Await(ctx); err == nil {
			return served{}, errNoPanic
		}
	}
	return task.Do(ctx, m.worker, (*fuse).serve).Await(ctx)
}

func (m *troupeMortal) Stop() {
	m.worker.Stop()
	_ = m.system.Stop(context.Background()) // nothing is left in it
}
