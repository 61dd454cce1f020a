package faultnet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Proxy is a TCP port on loopback that passes on to a target. It begins with
// Pass; each of the methods named after a mode sets it, for new and for live
// connections, and returns at once. A Proxy is safe for concurrent use.
//
// What it reads at once, up to 32 KiB, it treats as one piece.
type Proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	mode   *mode
	target string
	live   map[*relay]struct{}
	closed bool

	accepted, refused, sent, received atomic.Int64
}

// mode is what happens to pieces. Only over changes, once.
type mode struct {
	kind  kind
	delay time.Duration
	bytes int
	over  chan struct{} // closed when another mode is set
}

type kind int

const (
	passing kind = iota
	delaying
	stalling
	dropping
	truncating
	duplicating
	flipping
)

// Counts are what a Proxy has done since it was made. Bytes may be read at the
// other end a moment before they are counted; after Close all are.
type Counts struct {
	Accepted int64 // connections
	Refused  int64 // of them: dropped at once, or not got through to the target
	Live     int   // connections now
	Sent     int64 // bytes passed on to the target
	Received int64 // bytes passed on from the target
}

// NewProxy returns a Proxy for a target, host:port, which need not listen yet:
// it is dialled for each connection. Close it.
func NewProxy(target string) (*Proxy, error) {
	if err := checkTarget(target); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("faultnet: proxy for %s: %w", target, err)
	}
	p := &Proxy{
		listener: l,
		mode:     &mode{over: make(chan struct{})},
		target:   target,
		live:     make(map[*relay]struct{}),
	}
	p.running.Go(p.accept)
	return p, nil
}

func checkTarget(target string) error {
	if _, _, err := net.SplitHostPort(target); err != nil {
		return fmt.Errorf("faultnet: proxy for %q: want host:port: %w", target, err)
	}
	return nil
}

// Addr returns the address to dial, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Pass lets everything through.
func (p *Proxy) Pass() { p.set(&mode{kind: passing}) }

// Delay keeps each piece, and each new connection, for d. What comes in the meantime waits for its turn,
// so that the proxy is slow, too.
func (p *Proxy) Delay(d time.Duration) { p.set(&mode{kind: delaying, delay: d}) }

// Stall holds everything, ends and resets of connections too, until another
// mode is set. New connections are accepted and not passed on.
func (p *Proxy) Stall() { p.set(&mode{kind: stalling}) }

// Drop resets all connections, and new ones as soon as they are accepted, which
// a dial may meet as its own error or not, until another mode is set.
func (p *Proxy) Drop() {
	for _, r := range p.set(&mode{kind: dropping}) {
		r.abort()
	}
}

// Truncate passes n more bytes in each direction of each connection and closes
// the connection behind them; with 0, instead of its next byte.
func (p *Proxy) Truncate(n int) { p.set(&mode{kind: truncating, bytes: max(0, n)}) }

// Duplicate passes each piece twice.
func (p *Proxy) Duplicate() { p.set(&mode{kind: duplicating}) }

// Flip turns a bit in the middle of each piece.
func (p *Proxy) Flip() { p.set(&mode{kind: flipping}) }

// Retarget passes new connections on to another address; live ones stay where
// they are.
func (p *Proxy) Retarget(addr string) error {
	if err := checkTarget(addr); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
	return nil
}

// Counts returns what was done up to now.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	live := len(p.live)
	p.mu.Unlock()
	return Counts{
		Accepted: p.accepted.Load(),
		Refused:  p.refused.Load(),
		Live:     live,
		Sent:     p.sent.Load(),
		Received: p.received.Load(),
	}
}

// Close resets all connections and returns when no goroutine and no socket is
// left. It may be called again.
func (p *Proxy) Close() error {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	live := p.all()
	p.mu.Unlock()
	var err error
	if !again {
		err = p.listener.Close()
	}
	for _, r := range live {
		r.abort()
	}
	p.running.Wait()
	return err
}

// set ends the mode before and returns the connections that are live.
func (p *Proxy) set(m *mode) []*relay {
	m.over = make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.mode.over)
	p.mode = m
	return p.all()
}

func (p *Proxy) all() []*relay {
	var live []*relay
	for r := range p.live {
		live = append(live, r)
	}
	return live
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.accepted.Add(1)
		if !p.admit(c) {
			p.refused.Add(1)
			reset(c)
		}
	}
}

// admit starts a relay, or returns false if connections are not wanted.
func (p *Proxy) admit(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.mode.kind == dropping {
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &relay{proxy: p, cancel: cancel, conns: []net.Conn{c}}
	p.live[r] = struct{}{}
	p.running.Go(func() { r.run(ctx, c) })
	return true
}

// gate waits until the mode lets a piece through, and returns that mode; nil if
// ctx ended.
func (p *Proxy) gate(ctx context.Context) *mode {
	for {
		p.mu.Lock()
		m := p.mode
		p.mu.Unlock()
		if ctx.Err() != nil {
			return nil
		}
		var late <-chan time.Time
		switch m.kind {
		case stalling, dropping: // Drop ends ctx at once
		case delaying:
			late = time.After(m.delay)
		default:
			return m
		}
		select {
		case <-ctx.Done():
			return nil
		case <-m.over:
		case <-late:
			return m
		}
	}
}

func (p *Proxy) forget(r *relay) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.live, r)
}
