package faultnet

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A Network connects hosts in memory, and breaks what lies between them when
// told to. It is safe for concurrent use; its faults act at once, on live
// connections too.
type Network struct {
	seed uint64

	mu        sync.Mutex
	changed   *sync.Cond // for dials and listeners: a fault, a listener or a connection came or went
	min, max  time.Duration
	hosts     map[string]*host
	listeners map[string]*listener // by address
	conns     map[*conn]struct{}   // both ends of each connection, until both are closed
	parted    map[pair]bool
	mangles   map[way]Mangle
	dials     map[string]int // by host and address
}

// host is what a Network knows of one.
type host struct {
	name   string
	life   int // how often it was killed
	port   int // given out last
	frozen bool
}

// way is a direction, from one host to another.
type way struct{ from, to string }

// pair is two hosts, the lesser name first.
type pair struct{ a, b string }

func pairOf(a, b string) pair {
	a, b = hostOf(a), hostOf(b)
	return pair{a: min(a, b), b: max(a, b)}
}

// New returns a Network without faults and without latency. All it draws
// comes from the seed.
func New(seed uint64) *Network {
	n := &Network{
		seed:      seed,
		hosts:     make(map[string]*host),
		listeners: make(map[string]*listener),
		conns:     make(map[*conn]struct{}),
		parted:    make(map[pair]bool),
		mangles:   make(map[way]Mangle),
		dials:     make(map[string]int),
	}
	n.changed = sync.NewCond(&n.mu)
	return n
}

// Latency sets the delay of what is written from now on, drawn for each Write
// between least and most, both included, and of each way of a dial's handshake.
// It panics unless 0 <= least <= most.
func (n *Network) Latency(least, most time.Duration) {
	if least < 0 || most < least {
		panic(fmt.Sprintf("faultnet: Latency(%v, %v): want 0 <= least <= most", least, most))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.min, n.max = least, most
}

// Cut resets all connections between two hosts. What has arrived can still be
// read; what was on its way is lost. New connections may be made.
func (n *Network) Cut(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.between(a, b) {
		c.in.reset(false)
		c.moved.Broadcast()
	}
}

// Partition parts two hosts until [Network.Heal]: what one sends to the other,
// an end of the connection too, is held, up to the bound of the buffers. Dials
// between them hang. What had arrived before can still be read.
func (n *Network) Partition(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.parted[pairOf(a, b)] = true
	for _, c := range n.between(a, b) {
		c.in.hold()
	}
}

// Heal ends a Partition. What was held arrives after the latency of now.
func (n *Network) Heal(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.parted, pairOf(a, b))
	for _, c := range n.between(a, b) {
		c.in.release()
		c.moved.Broadcast()
	}
	n.changed.Broadcast()
}

// Freeze stops a host until [Network.Thaw], as SIGSTOP does a process: its
// Read, Write and Accept stand still, beyond their deadlines too, and dials from
// and to it hang. What was sent to it stays in the buffers, and what it had
// written arrives. Its Close returns at once and wakes its Reads and Writes,
// but the other end learns of it after the Thaw.
func (n *Network) Freeze(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.host(host).frozen = true
}

// Thaw ends a Freeze.
func (n *Network) Thaw(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.host(host)
	h.frozen = false
	for c := range n.conns {
		if c.host == h {
			c.peer.in.release()
			c.moved.Broadcast()
		}
	}
	n.changed.Broadcast()
}

// Kill ends a host as kill -9 does a process, a frozen one too: its listeners
// are gone, its dials fail, and its connections are reset, at the other end
// after a Partition if there is one. What had arrived there can still be read;
// what was on its way is lost. The host may dial and listen again at once.
func (n *Network) Kill(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.host(host)
	h.life++
	h.frozen = false
	for _, l := range n.listeners {
		if l.host == h {
			l.close()
		}
	}
	for c := range n.conns {
		if c.host == h {
			c.kill()
		}
	}
	n.changed.Broadcast()
}

// Mangle sets the damage that is done to bytes from one host to another from
// now on; the zero Mangle does none. It panics if a probability is not within
// 0 and 1, or TruncateAfter is negative.
func (n *Network) Mangle(from, to string, m Mangle) {
	if err := m.check(); err != nil {
		panic(err.Error())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	w := way{from: hostOf(from), to: hostOf(to)}
	n.mangles[w] = m
	for c := range n.conns {
		if c.in.way == w {
			c.in.mangle = m
		}
	}
}

// Open returns how many ends of connections have not been closed by their
// owners. Those that a fault has reset are among them.
func (n *Network) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	open := 0
	for c := range n.conns {
		if !c.closed {
			open++
		}
	}
	return open
}

// between returns the ends, at both sides, of connections between two hosts.
func (n *Network) between(a, b string) []*conn {
	var found []*conn
	for c := range n.conns {
		if pairOf(c.host.name, c.peer.host.name) == pairOf(a, b) {
			found = append(found, c)
		}
	}
	return found
}

// host returns the host of that name or address.
func (n *Network) host(of string) *host {
	name := hostOf(of)
	h := n.hosts[name]
	if h == nil {
		h = &host{name: name, port: firstPort}
		n.hosts[name] = h
	}
	return h
}

// hostOf returns the host of an address; anything else is a host itself.
func hostOf(addr string) string {
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return addr
}

// stream returns the draws that belong to what is named.
func (n *Network) stream(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(n.seed, h.Sum64()))
}

// delay draws the latency of one way.
func (n *Network) delay(r *rand.Rand) time.Duration {
	return n.min + time.Duration(r.Int64N(int64(n.max-n.min)+1))
}

// sleep waits for a Broadcast to c or, unless it is zero, for the time until.
// It is called, and returns, with the lock held.
func (n *Network) sleep(c *sync.Cond, until time.Time) {
	if !until.IsZero() {
		timer := time.AfterFunc(time.Until(until), func() { n.wake(c) })
		defer timer.Stop()
	}
	c.Wait()
}

// wake takes the lock, or it could come between a waiter's look and its Wait.
func (n *Network) wake(c *sync.Cond) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c.Broadcast()
}
