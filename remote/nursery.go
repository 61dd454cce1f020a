package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/internal/child"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/supervisor"
)

// nursery keeps the child processes of a crew alive.
type nursery struct {
	crew     *crew
	cfg      child.Config
	cradle   cradle
	failures chan failure // to judge; made by Start
	graves   graveyard    // guarded by the crew's lock
}

// nursed is a crew of child processes.
type nursed struct {
	*crew
	nursery *nursery
}

// Start implements place.Site.
func (n *nursed) Start(pool place.Pool) {
	n.nursery.failures = make(chan failure)
	n.nursery.cradle.renew()
	n.crew.Start(pool)
	n.now().tasks.Go(func() { n.nursery.judge(n.now().ctx) })
	n.now().tasks.Go(func() { n.nursery.lull(n.now().ctx) })
}

// man keeps a child in a seat, one after another, until the crew's ctx ends.
func (n *nursery) man(s *seat) {
	ctx := n.crew.now().ctx
	for life, ok := n.cradle.await(ctx, 0); ok; life, ok = n.cradle.await(ctx, life) {
		err := n.raise(s)
		n.note(s, err)
		switch {
		case errors.Is(err, errRecycled), errors.Is(err, errResting), ctx.Err() != nil:
			n.vacate(s, vacant, err, true)
		case isUnfit(err):
			n.vacate(s, refused, fmt.Errorf("%w; what runs in child processes has to be made before remote.Main, in a variable of a package", err), true)
			life++
		case overdue(err):
			n.restarted(n.vacate(s, vacant, err, true))
		default:
			v := n.ask(ctx, failure{err: crashOf(n.crew.job.Name, s.name, err), life: life})
			lived := n.vacate(s, vacant, err, v.Directive != supervisor.Stop)
			if !n.carryOut(ctx, v, lived) {
				life++
			}
		}
	}
}

// note logs the end of a child.
func (n *nursery) note(s *seat, err error) {
	log := n.crew.log().With("task", n.crew.job.Name, "process", s.name)
	switch {
	case n.crew.now().ctx.Err() != nil:
	case errors.Is(err, errRecycled), errors.Is(err, errResting):
		log.Debug("troupe: a child process has left", "reason", err)
	default:
		log.Warn("troupe: a child process was lost", "error", err)
	}
}

// raise starts a child, serves it until it is lost, and returns why when nothing
// is left of it.
func (n *nursery) raise(s *seat) error {
	ctx := n.crew.now().ctx
	trust, secret, err := child.Credentials()
	if err != nil {
		return err
	}
	cfg := n.cfg
	cfg.Bootstrap, err = bootstrap{
		Credentials: secret, Name: s.name, MaxPayload: n.crew.maxPayload, Heartbeat: childBeat,
		Capacity: max(1, n.crew.job.Concurrent),
	}.encode()
	if err != nil {
		return err
	}
	cfg.Log = n.logOf(s)
	p, err := child.Start(ctx, cfg)
	if err != nil {
		return err
	}
	n.crew.mu.Lock()
	s.overdue = func(f *flight) { s.killFor(f, p.Kill) }
	n.crew.mu.Unlock()
	return n.bury(ctx, p, n.tend(ctx, s, p, trust))
}

// logOf takes what a child prints.
func (n *nursery) logOf(s *seat) func(child.Line) {
	job := n.crew.job
	return func(line child.Line) {
		child.LogTo(job.System.Log().With("task", job.Name, "process", s.name))(line)
	}
}

// tend serves a child until the connection ends.
func (n *nursery) tend(ctx context.Context, s *seat, p *child.Process, trust *tls.Config) error {
	addr, err := p.Ready(ctx)
	if err != nil {
		return err
	}
	nc, err := dialChild(ctx, string(addr))
	if err != nil {
		return err
	}
	defer nc.Close()
	_, err = s.attend(tls.Client(nc, trust), n.crew.link)
	return err
}

// failure is the end of a child that nobody wanted.
type failure struct {
	err     error
	life    int // of the pool, see cradle
	verdict chan supervisor.Verdict
}

// ask returns what follows a failure.
func (n *nursery) ask(ctx context.Context, f failure) supervisor.Verdict {
	f.verdict = make(chan supervisor.Verdict, 1)
	select {
	case n.failures <- f:
	case <-ctx.Done():
		return supervisor.Verdict{Directive: supervisor.Stop, Err: f.err}
	}
	select {
	case v := <-f.verdict:
		return v
	case <-ctx.Done(): // or Decide has ended its goroutine
		return supervisor.Verdict{Directive: supervisor.Stop, Err: f.err}
	}
}

// judge answers, one at a time: the policy's Decide is the user's.
func (n *nursery) judge(ctx context.Context) {
	c := court{policy: n.crew.job.Policy, seats: len(n.crew.seats)}
	for {
		select {
		case f := <-n.failures:
			f.verdict <- c.judge(f, time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// carryOut reports whether the seat gets another child, and waits until it is
// time.
func (n *nursery) carryOut(ctx context.Context, v supervisor.Verdict, lived bool) bool {
	switch v.Directive {
	case supervisor.Restart, supervisor.Resume: // there is nothing that could go on
		n.restarted(lived)
		return v.Delay <= 0 || sleep(ctx, v.Delay)
	case supervisor.Escalate:
		n.cradle.turn(true) // before the pool is told, whose parent may begin it anew
		n.crew.now().pool.Fail(v.Err)
	}
	return false
}

// restarted counts a restart, unless the pool does since a member lived there.
func (n *nursery) restarted(lived bool) {
	if !lived {
		n.crew.now().pool.Restarted()
	}
}

// court decides about the failures of one crew.
type court struct {
	policy  supervisor.Policy
	seats   int
	life    int
	history supervisor.History
	gone    int  // seats that the policy has closed in this life
	over    bool // it has given up
}

func (c *court) judge(f failure, now time.Time) supervisor.Verdict {
	if f.life > c.life {
		*c = court{policy: c.policy, seats: c.seats, life: f.life}
	}
	v := supervisor.Verdict{Directive: supervisor.Escalate, Err: f.err}
	switch {
	case f.life < c.life: // it has been pardoned meanwhile
		return supervisor.Verdict{Directive: supervisor.Resume, Err: f.err}
	case c.over:
		return supervisor.Verdict{Directive: supervisor.Stop, Err: f.err}
	case !hopeless(f.err):
		v = c.policy.Next(now, &c.history, f.err)
	}
	if v.Directive == supervisor.Stop {
		if c.gone++; c.gone == c.seats {
			v.Directive, v.Err = supervisor.Escalate, fmt.Errorf("its policy stopped the last process: %w", v.Err)
		}
	}
	c.over = v.Directive == supervisor.Escalate
	return v
}
