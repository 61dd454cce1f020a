package remote

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

// guest is a connection of somebody who has calls run here.
type guest struct {
	house *house
	conn  *link.Conn
	asks  []wire.Schema // the tasks that it wants to place

	limits *limitsProxy // for its calls
	desk   *limitsDesk  // of what we share

	greeting sync.Mutex // held while greet looks and tells

	methods methodBook

	mu      sync.Mutex
	gone    bool
	last    uint64 // id of a call; they count up
	visits  map[uint64]*visit
	bytes   int // of their arguments
	lodgers map[uint64]*lodger
	known   map[string]*place.Function // of those asked for, what fits
}

// welcome is the answer to those who ask for tasks: what this program has under
// their names.
func (h *house) welcome(asks []wire.Schema) *wire.Welcome {
	w := &wire.Welcome{Serving: h.serving()}
	for _, ask := range asks {
		if f := h.closest(ask); f != nil {
			w.Tasks = append(w.Tasks, schemaOf(f).Announce())
		}
	}
	return w
}

// closest returns what is called as ask says, and of several what fits; nil if
// there is nothing.
func (h *house) closest(ask wire.Schema) *place.Function {
	fs := h.find(ask.Name)
	for _, f := range fs {
		if schemaOf(f).Same(ask) {
			return f
		}
	}
	if len(fs) > 0 {
		return fs[0]
	}
	return nil
}

func schemaOf(f *place.Function) wire.Schema {
	if f.Kind == place.KindWorker {
		return wire.WorkerSchema(f.Name, f.State)
	}
	return wire.TaskSchema(f.Name, f.In, f.Out)
}

// receive serves the connection until it ends.
func (h *house) receive(conn *link.Conn, hello *wire.Hello) error {
	g := &guest{
		house: h, conn: conn, visits: make(map[uint64]*visit), lodgers: make(map[uint64]*lodger),
		known: make(map[string]*place.Function), limits: newLimitsProxy(conn),
		desk: newLimitsDesk(conn, h.shared.find),
	}
	for _, a := range hello.GetTasks() {
		g.asks = append(g.asks, wire.Announced(a))
	}
	h.mu.Lock()
	if h.guests == nil {
		h.guests = make(map[*guest]struct{})
	}
	h.guests[g] = struct{}{}
	h.mu.Unlock()
	g.greet() // its state may have changed since the handshake
	err := conn.Serve(g.take)
	h.mu.Lock()
	delete(h.guests, g)
	h.mu.Unlock()
	h.part(g)
	g.leave(err)
	return err
}

// greet tells what has changed: whether calls are taken, and how many.
func (g *guest) greet() {
	g.mu.Lock()
	clear(g.known)
	g.mu.Unlock()
	// Together, or one that was quicker to look would overwrite what one saw that
	// looked later.
	g.greeting.Lock()
	defer g.greeting.Unlock()
	g.conn.SetWelcome(g.house.welcome(g.asks))
	g.conn.SetStatus(g.house.status())
	g.conn.Kick()
}

// function returns what runs calls of that name for this guest, or why nothing
// does.
func (g *guest) function(name string) (*place.Function, error) {
	g.mu.Lock()
	f := g.known[name]
	g.mu.Unlock()
	if f != nil {
		return f, nil
	}
	for _, ask := range g.asks {
		if ask.Name != name {
			continue
		}
		f := g.house.closest(ask)
		if f == nil {
			break
		}
		if ours := schemaOf(f); !ours.Same(ask) {
			return nil, &SchemaError{Task: name, Node: g.house.name, Ours: ask.String(), Theirs: ours.String()}
		}
		g.mu.Lock()
		g.known[name] = f
		g.mu.Unlock()
		return f, nil
	}
	return nil, &UnknownTaskError{Task: name, Node: g.house.name}
}

// take handles what has come.
func (g *guest) take(e *wire.Envelope) {
	if calls := e.GetCalls(); len(calls) > 0 {
		visits, now := make([]*visit, 0, len(calls)), time.Now()
		g.mu.Lock()
		for _, c := range calls {
			if c.GetId() <= g.last {
				continue // nobody sends a call twice: it is run once
			}
			g.last = c.GetId()
			g.bytes += len(c.GetPayload())
			v := &visit{guest: g, call: c, came: now, task: e.Name(c.GetTask()), method: e.Name(c.GetMethod()), codec: e.Name(c.GetCodec())}
			g.visits[c.GetId()] = v
			visits = append(visits, v)
		}
		over := g.over()
		g.mu.Unlock()
		if over != nil {
			g.conn.Close(over)
			return
		}
		g.house.enter(visits)
	}
	for _, c := range e.GetCancels() {
		g.mu.Lock()
		v := g.visits[c.GetId()]
		g.mu.Unlock()
		if v != nil {
			v.cancel(c)
		}
	}
	if g.conn.Waiting() > 2*g.mostUnread() { // of cancelled calls, for which nobody waits in push
		g.conn.Close(g.unread())
	}
	if s := e.GetStatus(); s.GetDraining() { // after its calls, see drain
		g.house.part(g)
	}
	if l := e.GetLimits(); l != nil {
		g.limits.receive(l)
		g.desk.receive(l)
	}
}

// What one connection may have here unanswered, far more than any owner sends.
const (
	mostVisits     = 1 << 16
	mostVisitBytes = 256 << 20 // of arguments, beside one of the largest for each call that can run
)

// over says that the other side sends more than it was given credit for, if it
// does; with mu held.
func (g *guest) over() error {
	most := mostVisitBytes + (g.house.capacity+len(g.lodgers))*g.house.maxPayload
	if len(g.visits) <= mostVisits && g.bytes <= most {
		return nil
	}
	return fmt.Errorf("remote: node %s: %d calls with %d bytes wait here for one connection: want at most %d with %d",
		g.house.name, len(g.visits), g.bytes, mostVisits, most)
}

// Answers that a connection may have here unread, far more than any owner leaves.
const (
	unreadBytes = 64 << 20        // beside one of the largest for each call that can run
	unreadTime  = 3 * time.Second // for which a call waits for room
)

func (g *guest) mostUnread() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return unreadBytes + (g.house.capacity+len(g.lodgers))*g.house.maxPayload
}

// unread is the end of a connection whose other side asks and does not read.
func (g *guest) unread() error {
	return fmt.Errorf("remote: node %s: %d bytes of answers wait for %s: %w",
		g.house.name, g.conn.Waiting(), cmp.Or(g.conn.Peer().Name, "one connection"), link.ErrUnread)
}

// push sends the answers, and keeps a goroutine of the house, which is for all
// guests, only while there is no room for more of them, and not for long. more
// says that others follow.
func (g *guest) push(more bool) {
	if g.house.serial {
		_ = g.conn.FlushWait() // its failure ends the connection, and that is noticed there
		return
	}
	switch most := g.mostUnread(); {
	case g.conn.Waiting() > most:
		late := time.AfterFunc(unreadTime, func() { g.conn.Close(g.unread()) })
		_ = g.conn.Shrink(most) // likewise
		late.Stop()
	case more:
		g.conn.Kick()
	default:
		g.conn.Push()
	}
}

// giveBack answers a call that has not begun.
func (g *guest) giveBack(v *visit) {
	if v.begin() {
		g.answer(v, &wire.Answer{Id: v.call.GetId(), Undone: true}, "")
		g.conn.Kick()
	}
}

// answer ends a call.
func (g *guest) answer(v *visit, a *wire.Answer, codec string) {
	g.mu.Lock()
	delete(g.visits, v.call.GetId())
	g.bytes -= len(v.call.GetPayload())
	v.call.Payload = nil // it may wait in the queue for long, though nobody runs it
	g.mu.Unlock()
	g.conn.AddAnswer(a, codec)
}

// leave ends everything that belongs to the connection.
func (g *guest) leave(err error) {
	g.mu.Lock()
	g.gone = true
	visits := make([]*visit, 0, len(g.visits))
	for _, v := range g.visits {
		visits = append(visits, v)
	}
	var idle []*lodger
	for id, l := range g.lodgers {
		if l.busy == 0 {
			idle = append(idle, l)
			delete(g.lodgers, id)
		}
	}
	g.mu.Unlock()
	g.limits.close(err)
	g.desk.close()
	for _, v := range visits {
		v.abandon()
	}
	for _, l := range idle {
		g.house.dispatch.Schedule(func() { _ = l.close(g.house) })
	}
}
