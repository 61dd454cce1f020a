package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// lossRows are about other processes that come, and that are gone or frozen. A
// cell is the median over a few.
func lossRows() []harness.Row {
	const held = 64
	row := func(name string, limit float64, competitors []harness.Competitor) harness.Row {
		return harness.Row{Name: name, Unit: "ms", Goals: []harness.Goal{harness.AtMost(limit, "ms")}, Competitors: competitors}
	}
	nodes := []farPeer{unaryPeer(), netRPCPeer(), troupeNodes()}
	children := []farPeer{netRPCPeer(), troupeChildren()}
	return []harness.Row{
		row("remote, server killed with 64 calls running: until all have failed", 100, losses(nodes, held, 10, kill)),
		row("remote, server frozen with 64 calls running: until all have failed", 1500, losses(nodes[2:], held, 2, freeze)),
		row("child process: start to ready", 20, starts(children)),
		row("child process killed with a call running: until that has failed", 100, losses(children, 1, 10, kill)),
		row("child process killed: until another has served a call", 50, replacements(children)),
	}
}

// kill is kill -9.
func kill(id int) error {
	p, err := os.FindProcess(id)
	if err != nil {
		return err
	}
	return p.Kill()
}

// losses reports how long after something was done to the one other process the
// last of the calls that it was running has failed.
func losses(peers []farPeer, inFlight, times int, harm func(id int) error) []harness.Competitor {
	return farCompetitors(peers, func(ctx context.Context, m *harness.Meter, p farPeer) error {
		return medianTime(m, times, func() (time.Duration, error) {
			f, err := p.open(ctx, farOrder{Servers: 1, Function: "hold", InFlight: inFlight})
			if err != nil {
				return 0, err
			}
			defer f.Close()
			_, took, err := p.lose(ctx, f, inFlight, harm)
			return took, err
		})
	})
}

// starts reports how long it takes until one child process takes calls.
func starts(peers []farPeer) []harness.Competitor {
	return farCompetitors(peers, func(ctx context.Context, m *harness.Meter, p farPeer) error {
		return medianTime(m, 10, func() (time.Duration, error) {
			start := time.Now()
			f, err := p.open(ctx, farOrder{Servers: 1, Function: "hold", InFlight: 1})
			took := time.Since(start)
			if err == nil {
				_, err = processOf(ctx, f)
				f.Close()
			}
			return took, err
		})
	})
}

// replacements reports how long after a child process was killed the next has
// answered a call; one is opened by hand where none comes by itself.
func replacements(peers []farPeer) []harness.Competitor {
	return farCompetitors(peers, func(ctx context.Context, m *harness.Meter, p farPeer) error {
		order := farOrder{Servers: 1, Function: "hold", InFlight: 1}
		f, err := p.open(ctx, order)
		if err != nil {
			return err
		}
		defer func() { f.Close() }()
		return medianTime(m, 10, func() (took time.Duration, err error) {
			f, took, err = p.replace(ctx, f, order)
			return took, err
		})
	})
}

// replace kills the one other process of f, and returns what has another, with
// the time from the kill to that one's first answer.
func (p farPeer) replace(ctx context.Context, f far, o farOrder) (far, time.Duration, error) {
	var killed time.Time
	before, _, err := p.lose(ctx, f, 1, func(id int) error {
		killed = time.Now()
		return kill(id)
	})
	if err != nil {
		return f, 0, err
	}
	if !p.heals {
		f.Close()
		next, err := p.open(ctx, o)
		if err != nil {
			return f, 0, err
		}
		f = next
	}
	after, err := processOf(ctx, f)
	if err == nil && after == before {
		err = fmt.Errorf("%w: process %d serves after it was killed", errWrong, after)
	}
	return f, time.Since(killed), err
}

// lose has the other process run so many calls, does harm to it, and returns
// which it was and how long after that the last of them has failed. What it
// cannot lose it closes.
func (p farPeer) lose(ctx context.Context, f far, inFlight int, harm func(id int) error) (id int, took time.Duration, err error) {
	c, err := capture(ctx, f, inFlight)
	if err != nil {
		return 0, 0, err
	}
	defer c.release()
	ids, err := c.lookout.Await(inFlight, c.ended)
	var start time.Time
	if err == nil {
		start = time.Now()
		err = harm(ids[0])
	}
	if err == nil {
		err = within(patience, f, func() error { return p.allFail(inFlight, c.ended) })
	}
	if err != nil {
		f.Close() // ends the calls, for which release waits
		return 0, 0, err
	}
	return ids[0], time.Since(start), nil
}

// captives are calls that are held.
type captives struct {
	lookout *lookout
	calls   sync.WaitGroup
	ended   chan error // what they end with
}

func capture(ctx context.Context, f far, n int) (*captives, error) {
	l, err := newLookout()
	if err != nil {
		return nil, err
	}
	c := &captives{lookout: l, ended: make(chan error, n)}
	for range n {
		c.calls.Go(func() {
			_, err := f.Call(ctx, l.Addr())
			c.ended <- err
		})
	}
	return c, nil
}

// release lets go what still runs and waits for it.
func (c *captives) release() {
	c.lookout.Close()
	c.calls.Wait()
}

// allFail waits for n calls, none of which may have a result.
func (p farPeer) allFail(n int, ended <-chan error) (fault error) {
	for range n {
		err := <-ended
		switch {
		case err == nil:
			fault = fmt.Errorf("%w: a call of a lost process has a result", errWrong)
		case p.lost != nil && !p.lost(err):
			fault = fmt.Errorf("a call of a lost process has another error: %w", err)
		}
	}
	return fault
}

// processOf asks which process serves.
func processOf(ctx context.Context, f far) (id int, err error) {
	var out []byte
	err = within(patience, f, func() (err error) {
		out, err = f.Call(ctx, nil)
		return err
	})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(out))
}

// medianTime takes a few times, and reports the median in milliseconds.
func medianTime(m *harness.Meter, times int, once func() (time.Duration, error)) error {
	var took []time.Duration
	for range m.Scale(times) {
		d, err := once()
		if err != nil {
			return err
		}
		if d <= 0 {
			return errors.New("it took no time")
		}
		took = append(took, d)
	}
	slices.Sort(took)
	m.Report(float64(took[len(took)/2]) / float64(time.Millisecond))
	return nil
}
