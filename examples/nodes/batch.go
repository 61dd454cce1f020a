package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// batch is n calls on the fleet, with an accident half-way.
type batch struct {
	first, n int // inputs are first, first+1, ...
	again    bool
	node     *remote.Node
	fleet    []*process
	dir      string
	out      io.Writer

	saying  sync.Mutex
	start   time.Time
	back    chan struct{} // closed when the accident is over
	wrong   int           // results
	lost    []int         // inputs whose call ended with a *task.LostError
	failed  error         // the first of other failures
	results int
}

func (b *batch) say(format string, args ...any) {
	b.saying.Lock()
	defer b.saying.Unlock()
	fmt.Fprintf(b.out, "%5d ms  %s\n", time.Since(b.start).Milliseconds(), fmt.Sprintf(format, args...))
}

// inputs keeps the last quarter until the node has come back, which it may take longer for than the rest of the batch.
func (b *batch) inputs(ctx context.Context) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range b.n {
			if i == b.n*3/4 {
				select {
				case <-b.back:
				case <-ctx.Done():
					return
				}
			}
			if !yield(b.first + i) {
				return
			}
		}
	}
}

// run is the batch. The line that matters is the one with On: without it, the calls run here.
func (b *batch) run(ctx context.Context, opts ...task.Option) error {
	var addrs []string
	for _, p := range b.fleet {
		addrs = append(addrs, p.addr)
	}
	far := square.On(remote.Nodes(b.node, addrs...), opts...)
	defer far.Stop()
	if err := far.Ready(ctx); err != nil {
		return err
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b.start, b.back = time.Now(), make(chan struct{})
	i, accident := b.first, make(chan error, 1)
	for v, err := range far.Map(ctx, b.inputs(ctx), task.Window(b.n/8)) { // in order: i is the input
		b.note(i, v, err)
		if i++; i == b.first+b.n/2 {
			go func() {
				err := b.accident(ctx, b.fleet[1])
				if err != nil {
					cancel(err)
				}
				close(b.back)
				accident <- err
			}()
		}
	}
	if i < b.first+b.n/2 {
		return errors.Join(b.failed, context.Cause(ctx))
	}
	if err := <-accident; err != nil {
		return err
	}
	b.say("all calls have ended: %d results, %d lost", b.results, len(b.lost))
	return b.check()
}

func (b *batch) note(x, v int, err error) {
	var lost *task.LostError
	switch {
	case errors.As(err, &lost) && lost.Started:
		if len(b.lost) == 0 {
			b.say("a call has ended with: %v", err)
		}
		b.lost = append(b.lost, x)
	case err != nil && b.failed == nil:
		b.failed = fmt.Errorf("call of %d: %w", x, err)
	case err == nil:
		if b.results++; v != x*x {
			b.wrong++
		}
	}
}

// accident kills a node, looks how soon that is noticed, and starts it again.
func (b *batch) accident(ctx context.Context, p *process) error {
	b.say("kill -9 %s, half of the batch is done", p.name)
	killed := time.Now()
	p.kill()
	if err := b.await(ctx, p.addr, "lost"); err != nil {
		return err
	}
	b.say("%s is lost, noticed %.1f ms after the kill", p.name, float64(time.Since(killed).Microseconds())/1000)
	if err := p.start(b.dir); err != nil {
		return err
	}
	b.say("%s is started again at %s", p.name, p.addr)
	if err := b.await(ctx, p.addr, "serving"); err != nil {
		return err
	}
	b.say("%s takes calls again", p.name)
	return nil
}

// await looks at a node's state until it is as wanted.
func (b *batch) await(ctx context.Context, addr, state string) error {
	for tick := time.NewTicker(time.Millisecond); ; {
		for _, m := range b.node.Members() {
			if m.Addr == addr && !m.Self && m.State == state {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("node %s is not %s: %w", addr, state, context.Cause(ctx))
		}
	}
}
