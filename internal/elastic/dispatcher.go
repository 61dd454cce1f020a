// Package elastic runs actors on goroutines that linger for a moment after
// their work, so that a busy system does not pay for a new stack at every
// wake-up and an idle one holds no goroutine.
package elastic

import (
	"sync"
	"time"
)

const (
	linger     = 10 * time.Millisecond // how long an unused goroutine may stay
	maxParked  = 1024                  // more than this never stay
	throughput = 300                   // messages between two yields of the engine's own mailboxes
)

// Dispatcher implements protoactor's Dispatcher. Schedule never blocks: it
// hands the work to a parked goroutine or starts one. The zero value is ready.
//
// Every goroutine is started by a caller of Schedule, so a dispatcher that is
// used inside a synctest bubble stays inside it.
type Dispatcher struct {
	mu     sync.Mutex
	parked []*runner // last parked is used first
	unused int       // least number parked since the last trim
	live   int
	timer  *time.Timer
	armed  bool
	closed bool
	gone   chan struct{} // made by Close; closed when live is 0
}

type runner struct{ work chan func() }

// Throughput is read by the engine's mailboxes.
func (d *Dispatcher) Throughput() int { return throughput }

// Schedule runs fn soon, on a goroutine of the dispatcher.
func (d *Dispatcher) Schedule(fn func()) {
	d.mu.Lock()
	if n := len(d.parked); n > 0 {
		r := d.parked[n-1]
		d.parked[n-1] = nil
		d.parked = d.parked[:n-1]
		d.unused = min(d.unused, n-1)
		d.mu.Unlock()
		r.work <- fn // has room for one: the runner is parked or about to be
		return
	}
	d.live++
	d.mu.Unlock()
	go d.run(fn)
}

func (d *Dispatcher) run(fn func()) {
	defer d.exit() // also on runtime.Goexit
	var r *runner
	for fn != nil {
		fn()
		if r == nil {
			r = &runner{work: make(chan func(), 1)}
		}
		if !d.park(r) {
			return
		}
		fn = <-r.work
	}
}

func (d *Dispatcher) park(r *runner) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.parked) >= maxParked {
		return false
	}
	d.parked = append(d.parked, r)
	if !d.armed {
		d.armed = true
		d.unused = 0
		if d.timer == nil {
			d.timer = time.AfterFunc(linger, d.trim)
		} else {
			d.timer.Reset(linger)
		}
	}
	return true
}

// trim lets the goroutines go that nobody needed since the last trim.
func (d *Dispatcher) trim() {
	d.mu.Lock()
	idle := d.parked[:d.unused]
	release(idle)
	d.parked = append(d.parked[:0], d.parked[d.unused:]...)
	clear(d.parked[len(d.parked):cap(d.parked)])
	d.unused = len(d.parked)
	d.armed = len(d.parked) > 0 && !d.closed
	if d.armed {
		d.timer.Reset(linger)
	}
	d.mu.Unlock()
}

func release(rs []*runner) {
	for _, r := range rs {
		r.work <- nil
	}
}

func (d *Dispatcher) exit() {
	d.mu.Lock()
	d.live--
	if d.closed && d.live == 0 {
		d.end()
	}
	d.mu.Unlock()
}

func (d *Dispatcher) end() {
	select {
	case <-d.gone: // work scheduled after Close has ended too
	default:
		close(d.gone)
	}
}

// Close lets all parked goroutines go and keeps new ones from lingering; work
// that is scheduled later still runs. The channel is closed when the last
// goroutine has ended.
func (d *Dispatcher) Close() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return d.gone
	}
	d.closed = true
	d.gone = make(chan struct{})
	release(d.parked)
	d.parked, d.unused = nil, 0
	if d.timer != nil {
		d.timer.Stop()
	}
	if d.live == 0 {
		d.end()
	}
	return d.gone
}

// Reopen undoes Close.
func (d *Dispatcher) Reopen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		d.end()
		d.closed, d.armed = false, false
	}
}
