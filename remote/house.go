package remote

import (
	"context"
	"log/slog"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-go/troupe/internal/elastic"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

// house runs the calls of others: up to capacity at once, in the order in which
// they came, whoever sent them. It has one lock, under which nothing else is
// locked and no function runs.
type house struct {
	name       string // of this side, and of its worker, as functions see them in task.Info
	worker     string
	codecs     *wire.Codecs
	maxPayload int
	capacity   int
	serial     bool                                // a child: each answer is written before the next call begins
	find       func(name string) []*place.Function // what this program has of that name
	log        func() *slog.Logger
	tracers    trace.TracerProvider
	shared     sharedLimits

	dispatch elastic.Dispatcher

	mu      sync.Mutex
	phase   housePhase
	queue   []*visit // from first on
	first   int
	running int  // goroutines at work, or about to be
	hiring  bool // one of them has not taken a call yet
	lodgers int
	guests  map[*guest]struct{}
	ebb     *ebb // while it is draining
}

// housePhase is what a house does with calls.
//
//	shut ──Serve──▶ open ──Drain──▶ draining ──▶ shut
type housePhase int

const (
	shut     housePhase = iota // it takes none yet, or no more
	open                       // it runs them
	draining                   // it finishes what runs, and gives back what waits
)

// open begins to take calls; false if it does already.
func (h *house) open() bool {
	h.mu.Lock()
	if h.phase != shut {
		h.mu.Unlock()
		return false
	}
	h.phase = open
	guests := h.everyone()
	h.mu.Unlock()
	for _, g := range guests {
		g.greet()
	}
	return true
}

// everyone is called with mu held.
func (h *house) everyone() []*guest {
	guests := make([]*guest, 0, len(h.guests))
	for g := range h.guests {
		guests = append(guests, g)
	}
	return guests
}

// drain takes no more calls, gives back those that wait, and returns when those
// that run are done and the members are closed, and the guests know; or when ctx
// ends, with the cause. Without that last condition a call that was on its way
// here, or an answer on its way back, would be lost if the program ended now.
//
// Several may wait for the same ebb. It ends when nothing is left, or with the
// last that has lost patience.
func (h *house) drain(ctx context.Context) error {
	e := h.recede()
	if e == nil {
		return nil
	}
	var err error
	select {
	case <-e.quiet:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	e.waiters--
	if h.ebb == e && e.waiters == 0 {
		h.phase, h.ebb = shut, nil
	}
	return err
}

// ebb is what drains wait for.
type ebb struct {
	waiters int
	staying map[*guest]struct{} // who has not said yet that it has nothing here any more
	quiet   chan struct{}       // closed when nothing is left; the house is shut then
}

// recede joins the ebb, or begins one; nil if there is nothing to wait for.
func (h *house) recede() *ebb {
	h.mu.Lock()
	if h.ebb == nil && h.phase == shut && h.running == 0 && h.lodgers == 0 {
		h.mu.Unlock()
		return nil
	}
	if e := h.ebb; e != nil {
		e.waiters++
		h.mu.Unlock()
		return e
	}
	h.phase = draining
	waiting, guests := h.foreclose(), h.everyone()
	e := &ebb{waiters: 1, staying: make(map[*guest]struct{}), quiet: make(chan struct{})}
	h.ebb = e
	for _, g := range guests {
		if len(g.asks) > 0 {
			e.staying[g] = struct{}{}
		}
	}
	h.calm()
	h.mu.Unlock()
	for _, g := range guests {
		g.greet()
	}
	for _, v := range waiting {
		v.guest.giveBack(v)
	}
	return e
}

// calm ends the ebb if nothing is left; with mu held.
func (h *house) calm() {
	if e := h.ebb; e != nil && h.running == 0 && h.lodgers == 0 && len(e.staying) == 0 {
		h.phase, h.ebb = shut, nil
		close(e.quiet)
	}
}

// part notes that a guest has nothing here any more.
func (h *house) part(g *guest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ebb != nil {
		delete(h.ebb.staying, g)
	}
	h.calm()
}

// enter takes calls that have come. Those that it does not take go back.
func (h *house) enter(visits []*visit) {
	h.mu.Lock()
	if h.phase != open {
		var rest []*visit
		for _, v := range visits {
			if h.owes(v) {
				h.queue = append(h.queue, v)
			} else {
				rest = append(rest, v)
			}
		}
		h.staff()
		h.mu.Unlock()
		for _, v := range rest {
			v.guest.giveBack(v)
		}
		return
	}
	h.queue = append(h.queue, visits...)
	h.staff()
	h.mu.Unlock()
}

// foreclose takes what waits out of the queue, but for what is owed; with mu
// held.
func (h *house) foreclose() (out []*visit) {
	var owed []*visit
	for _, v := range h.queue[h.first:] {
		if h.owes(v) {
			owed = append(owed, v)
		} else {
			out = append(out, v)
		}
	}
	h.queue, h.first = owed, 0
	return out
}

// owes reports whether a call is run although no others are taken: what members
// have begun is finished, and they are closed. With mu held.
func (h *house) owes(v *visit) bool {
	switch v.call.GetOp() {
	case wire.Op_CLOSE:
		return true
	case wire.Op_RUN:
		return h.phase == draining && v.call.GetMember() != 0
	}
	return false
}

// staff puts a goroutine to work if one is needed and may be. One at a time is on
// its way, and puts the next to work when it has taken a call: for quick ones a
// few are enough. With mu held.
func (h *house) staff() {
	if h.hiring || h.first == len(h.queue) || h.running == h.capacity {
		return
	}
	h.hiring = true
	h.running++
	h.dispatch.Schedule(func() { h.work(true) })
}

// work runs calls until none is left. Goexit in a function ends the goroutine:
// another goes on.
func (h *house) work(hired bool) {
	finished := false
	defer func() {
		if !finished {
			h.dispatch.Schedule(func() { h.work(false) })
		}
	}()
	for v, more := h.next(hired); v != nil; v, more = h.next(false) {
		v.run(more)
	}
	finished = true
}

// next returns the call to run, and whether others wait; nil lets the goroutine
// go. hired is set for the first call of one that staff has put to work.
func (h *house) next(hired bool) (v *visit, more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if hired {
		h.hiring = false
	}
	for h.first < len(h.queue) {
		v, h.queue[h.first] = h.queue[h.first], nil
		h.first++
		if h.first == len(h.queue) {
			h.queue, h.first = h.queue[:0], 0
		} else if h.first >= 1024 && h.first*2 >= len(h.queue) {
			h.queue, h.first = append(h.queue[:0], h.queue[h.first:]...), 0
		}
		if v.begin() {
			h.staff()
			return v, h.first < len(h.queue)
		}
	}
	h.running--
	h.calm()
	return nil, false
}

// status is what guests are told.
func (h *house) status() *wire.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &wire.Status{
		Running: uint32(h.running), Queued: uint32(len(h.queue) - h.first), Capacity: uint32(h.capacity),
		Draining: h.phase == draining,
	}
}

func (h *house) serving() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.phase == open
}

// lodge counts members.
func (h *house) lodge(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lodgers += n
	h.calm()
}
