package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote/wire"
)

// farLimits are the nodes whose shared limits a node asks. The zero value has
// none.
type farLimits struct {
	mu sync.Mutex
	by map[string]*farNode
}

func (f *farLimits) at(n *Node, addr string) *farNode {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = make(map[string]*farNode)
	}
	if f.by[addr] == nil {
		f.by[addr] = &farNode{node: n, addr: addr}
	}
	return f.by[addr]
}

// farNode is a node whose shared limits are asked, over one connection after
// the other. It has a goroutine while there is a connection or somebody waits
// for one. Its lock is held while the proxy is asked, and never while an asker
// is told.
//
//	idle ──asked──▶ dialling ──▶ connected ──lost──▶ idle, or dialling if some wait
//	                 │    ▲
//	                 ▼    │ while some wait
//	                 pause
type farNode struct {
	node *Node
	addr string

	mu      sync.Mutex
	running bool          // the goroutine is there
	proxy   *limitsProxy  // nil: not connected
	waiting []*farAsk     // for a connection, in the order in which they asked
	turn    chan struct{} // closed when the attempt to connect is over
	fault   error         // of the last attempt
}

// farAsk is a request that waits across connections. It is a limits.Ticket, and
// the asker of its present connection.
type farAsk struct {
	far *farNode
	set string
	r   map[string]int64
	to  asker

	// Guarded by the farNode.
	over   bool          // it was cancelled, or its asker is about to be told
	ticket limits.Ticket // at the proxy; nil: it is among those that wait
}

// ask implements limitsSource.
func (f *farNode) ask(set string, r map[string]int64, to asker) (limits.Ticket, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.start(); err != nil {
		return nil, err
	}
	a := &farAsk{far: f, set: set, r: r, to: to}
	if err := f.place(a); err != nil {
		return nil, err
	}
	return a, nil
}

// place hands a to the proxy, or lets it wait for one; with mu held.
func (f *farNode) place(a *farAsk) error {
	if f.proxy != nil {
		ticket, err := f.proxy.ask(a.set, a.r, a)
		if err == nil || !isLoss(err) {
			a.ticket = ticket
			return err
		}
	}
	if len(f.waiting) >= mostAsks {
		return errTooMany(f.addr)
	}
	a.ticket = nil
	f.waiting = append(f.waiting, a)
	return nil
}

func isLoss(err error) bool {
	_, lost := err.(*lostLimits) //nolint:errorlint // of this connection, not one that came over it
	return lost
}

// answered implements asker. Who has lost his connection waits for the next.
func (a *farAsk) answered(p *limits.Permit, err error) {
	f := a.far
	f.mu.Lock()
	switch {
	case a.over:
		f.mu.Unlock()
		p.Release()
		return
	case isLoss(err):
		a.ticket = nil
		f.waiting = append(f.waiting, a)
		f.mu.Unlock()
		return
	}
	a.over = true
	f.mu.Unlock()
	a.to.answered(p, err)
}

// Cancel implements limits.Ticket.
func (a *farAsk) Cancel() bool {
	f := a.far
	f.mu.Lock()
	if a.over {
		f.mu.Unlock()
		return false
	}
	a.over = true
	ticket := a.ticket
	if i := slices.Index(f.waiting, a); i >= 0 {
		f.waiting = slices.Delete(f.waiting, i, i+1)
	}
	f.mu.Unlock()
	if ticket != nil {
		ticket.Cancel() // if it is too late, answered releases what has come
	}
	return true
}

// try implements limitsSource.
func (f *farNode) try(set string, r map[string]int64) (*limits.Permit, error) {
	proxy, err := f.connected()
	if err != nil {
		return nil, err
	}
	p, err := proxy.try(set, r)
	if isLoss(err) {
		return nil, unavailable(err)
	}
	return p, err
}

// stats implements limitsSource.
func (f *farNode) stats(set string) ([]limits.Stat, error) {
	proxy, err := f.connected()
	if err != nil {
		return nil, err
	}
	return proxy.stats(set)
}

func unavailable(why error) error { return fmt.Errorf("%w: %w", limits.ErrUnavailable, why) }

// connected waits for the attempt to connect that is under way.
func (f *farNode) connected() (*limitsProxy, error) {
	f.mu.Lock()
	if err := f.start(); err != nil {
		f.mu.Unlock()
		return nil, err
	}
	turn := f.turn
	f.mu.Unlock()
	<-turn
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.proxy != nil:
		return f.proxy, nil
	case isRefusal(f.fault), errors.Is(f.fault, ErrNodeStopped):
		return nil, f.fault
	}
	return nil, unavailable(f.fault)
}

// start makes sure that somebody sees to the connection; with mu held.
func (f *farNode) start() error {
	if f.running {
		return nil
	}
	n := f.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		return ErrNodeStopped
	}
	f.running, f.turn = true, make(chan struct{})
	n.tasks.Go(f.run)
	return nil
}

// run connects until nobody needs it any more.
func (f *farNode) run() {
	pause := firstPause
	for {
		used, err := f.reach()
		if f.rest(err) {
			return
		}
		if pause = min(2*pause, longestPause); used {
			pause = firstPause
		}
		sleep(f.node.ctx, pause/2+rand.N(pause/2))
		f.mu.Lock()
		f.turn = make(chan struct{})
		f.mu.Unlock()
	}
}

// reach makes a connection and serves it until it ends.
func (f *farNode) reach() (used bool, err error) {
	n := f.node
	ctx, cancel := context.WithTimeout(n.ctx, dialTimeout)
	nc, err := n.dial(ctx, f.addr)
	cancel()
	if err != nil {
		return false, err
	}
	defer nc.Close()
	conn, _, err := link.Dial(n.ctx, nc, n.link, &wire.Hello{})
	if err != nil {
		return false, err
	}
	stop := context.AfterFunc(n.ctx, func() { conn.Close(context.Cause(n.ctx)) })
	defer stop()
	proxy := newLimitsProxy(conn)
	f.meet(proxy)
	err = conn.Serve(func(e *wire.Envelope) {
		if l := e.GetLimits(); l != nil {
			used = true
			proxy.receive(l)
		}
	})
	proxy.close(err)
	return used, err
}

// meet asks a new connection for all that is waited for.
func (f *farNode) meet(proxy *limitsProxy) {
	f.mu.Lock()
	waiting := f.waiting
	f.waiting, f.proxy = nil, proxy
	close(f.turn)
	var denied []*farAsk
	for _, a := range waiting {
		if err := f.place(a); err != nil {
			a.over = true
			denied = append(denied, a)
		}
	}
	f.mu.Unlock()
	for _, a := range denied {
		a.to.answered(nil, errTooMany(f.addr))
	}
}

// rest follows the end of a connection, or an attempt that failed. It reports
// true if there is nothing left to do: nobody waits, or nobody can be helped.
func (f *farNode) rest(err error) bool {
	stopped := f.node.ctx.Err() != nil
	if stopped {
		err = context.Cause(f.node.ctx)
	}
	fault := fmt.Errorf("remote: limits of %s: %w", f.addr, err)
	f.mu.Lock()
	if f.fault = fault; f.proxy == nil {
		close(f.turn)
	}
	f.proxy = nil
	var denied []*farAsk
	if stopped || isRefusal(err) {
		denied, f.waiting = f.waiting, nil
		for _, a := range denied {
			a.over = true
		}
	}
	f.running = len(f.waiting) > 0
	done := !f.running
	f.mu.Unlock()
	for _, a := range denied {
		a.to.answered(nil, fault)
	}
	return done
}
