package remote

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// simPlan is all that happens in a run of the simulation, drawn from its seed:
// who is there, which calls are made, what goes wrong, and how it ends.
type simPlan struct {
	seed      uint64
	hosts     []string // of the workers
	capacity  int      // of each
	members   int      // of the placed worker
	slots     int      // of the Resource that the placed task takes one of
	tools     int      // of another one, that functions ask for; 0: there is none
	secure    bool     // mutual TLS
	heartbeat time.Duration
	calls     []*simOrder
	faults    []simFault
}

const (
	simOwner = "owner"
	simSpan  = 6 * time.Second // in which calls and faults begin
)

// simKind is how a call is made.
type simKind int

const (
	simSubmit simKind = iota // Submit to the placed task
	simCall                  // Call of the same, which blocks
	simAgain                 // Submit to the idempotent one
	simAsk                   // AskKey of the placed worker
	simKinds
)

func (k simKind) String() string { return [...]string{"submit", "call", "again", "ask"}[k] }

// simArg is the argument of a call, and what its function is to do.
type simArg struct {
	ID    int
	Takes time.Duration
	Deaf  bool   // it ignores its ctx
	Fate  string // "", "fail" or "panic"
	Tool  bool   // it takes a tool meanwhile
}

// simOrder is a call of the plan. Times are from the begin of the run.
type simOrder struct {
	kind  simKind
	at    time.Duration
	arg   simArg
	key   string        // of simAsk
	end   time.Duration // when it is ended by Cancel, or its ctx; 0: it is not
	byCtx bool
	run   time.Duration // Timeout; 0: none
	queue time.Duration // QueueTimeout; 0: none
}

func (o *simOrder) String() string {
	s := fmt.Sprintf("%8v call %d: %v, takes %v", o.at, o.arg.ID, o.kind, o.arg.Takes)
	for _, part := range []struct {
		is   bool
		text string
	}{
		{o.key != "", "key " + o.key}, {o.arg.Deaf, "deaf"}, {o.arg.Fate != "", o.arg.Fate + "s"}, {o.arg.Tool, "with a tool"},
		{o.end > 0 && !o.byCtx, fmt.Sprint("cancelled at ", o.end)}, {o.end > 0 && o.byCtx, fmt.Sprint("ctx ends at ", o.end)},
		{o.run > 0, fmt.Sprint("Timeout ", o.run)}, {o.queue > 0, fmt.Sprint("QueueTimeout ", o.queue)},
	} {
		if part.is {
			s += ", " + part.text
		}
	}
	return s
}

// simFault is something that goes wrong, or ends: until says when it is over.
type simFault struct {
	at, until time.Duration
	what      string
	host      string
	least     time.Duration // of latency
	most      time.Duration
	back      bool // mangle: what the host sends, not what it gets
	repeat    float64
	truncate  float64
	flip      float64
}

func (f simFault) String() string {
	s := fmt.Sprintf("%8v %s %s", f.at, f.what, f.host)
	switch {
	case f.what == "latency":
		return fmt.Sprintf("%8v latency %v to %v", f.at, f.least, f.most)
	case f.what == "mangle":
		s += fmt.Sprintf(" (back %v, repeat %.2f, truncate %.2f, flip %.2f)", f.back, f.repeat, f.truncate, f.flip)
	}
	if f.until > 0 {
		s += fmt.Sprint(" until ", f.until)
	}
	return s
}

// loses reports whether a fault may end connections.
func (f simFault) loses() bool {
	return slices.Contains([]string{"cut", "partition", "freeze", "kill", "mangle"}, f.what)
}

func (p *simPlan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: workers %v of capacity %d, %d members, %d slots, %d tools, TLS %v, heartbeat %v\n",
		p.seed, p.hosts, p.capacity, p.members, p.slots, p.tools, p.secure, p.heartbeat)
	for _, f := range p.faults {
		fmt.Fprintln(&b, f)
	}
	for _, o := range p.calls {
		fmt.Fprintln(&b, o)
	}
	return b.String()
}

// latency returns the longest that a message may be under way.
func (p *simPlan) latency() (most time.Duration) {
	for _, f := range p.faults {
		most = max(most, f.most)
	}
	return most
}

// garbles reports whether TLS finds damage.
func (p *simPlan) garbles() bool {
	return p.secure && slices.ContainsFunc(p.faults, func(f simFault) bool { return f.what == "mangle" })
}

// drawPlan draws a run.
func drawPlan(seed uint64) *simPlan {
	r := rand.New(rand.NewPCG(seed, 1))
	p := &simPlan{
		seed: seed, capacity: 1 + r.IntN(4), members: 1 + r.IntN(4), slots: 2 + r.IntN(12),
		secure: r.IntN(5) == 0, heartbeat: time.Duration(100+r.IntN(4)*100) * time.Millisecond,
	}
	for i := range 2 + r.IntN(3) {
		p.hosts = append(p.hosts, string(rune('a'+i)))
	}
	if r.IntN(3) == 0 {
		p.tools = 1 + r.IntN(3)
	}
	for range 2 + r.IntN(8) {
		p.faults = append(p.faults, p.drawFault(r))
	}
	if r.IntN(5) == 0 { // a storm: what is begun is hardly ever finished
		for range 10 + r.IntN(20) {
			at := span(r, simSpan)
			p.faults = append(p.faults, simFault{
				what: []string{"cut", "kill"}[r.IntN(2)], at: at, until: at + span(r, 100*time.Millisecond), host: p.hosts[r.IntN(len(p.hosts))],
			})
		}
	}
	if r.IntN(4) == 0 {
		what := []string{"end: Stop", "end: Drain", "end: Node.Stop"}[r.IntN(3)]
		p.faults = append(p.faults, simFault{at: span(r, simSpan), what: what})
	}
	slices.SortFunc(p.faults, func(a, b simFault) int { return cmp.Compare(a.at, b.at) })
	for id := 1; id <= 120; { // in bursts
		at := span(r, simSpan)
		for range 1 + r.IntN(20) {
			p.calls = append(p.calls, p.drawCall(r, id, at))
			id++
		}
	}
	slices.SortStableFunc(p.calls, func(a, b *simOrder) int { return cmp.Compare(a.at, b.at) })
	return p
}

// span draws a time, in whole milliseconds and the odd microsecond, so that few
// things happen in the same instant but for those that are meant to.
func span(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(most/time.Millisecond)))*time.Millisecond + time.Duration(r.IntN(3))*time.Microsecond
}

func (p *simPlan) drawFault(r *rand.Rand) simFault {
	f := simFault{at: span(r, simSpan), host: p.hosts[r.IntN(len(p.hosts))]}
	f.until = f.at + time.Millisecond + span(r, []time.Duration{50 * time.Millisecond, time.Second, 3 * time.Second}[r.IntN(3)])
	switch f.what = []string{"latency", "cut", "partition", "partition", "freeze", "kill", "kill", "mangle", "drain"}[r.IntN(9)]; f.what {
	case "latency":
		f.most = span(r, []time.Duration{2 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond}[r.IntN(3)])
		f.least, f.host, f.until = f.most/time.Duration(1+r.IntN(10)), "", 0
	case "cut":
		f.until = 0
	case "freeze":
		if r.IntN(4) == 0 {
			f.host = simOwner
		}
	case "mangle":
		f.back = r.IntN(2) == 0
		switch r.IntN(3) {
		case 0:
			f.repeat = 0.5 * r.Float64()
		case 1:
			f.truncate = 0.1 * r.Float64()
		case 2:
			f.repeat = 0.2
			if p.secure { // or nothing says that the bytes are not those that were sent
				f.flip = 0.1 * r.Float64()
			}
		}
	}
	return f
}

func (p *simPlan) drawCall(r *rand.Rand, id int, at time.Duration) *simOrder {
	o := &simOrder{kind: simKind(r.IntN(int(simKinds))), at: at}
	most := []time.Duration{time.Millisecond, 3 * time.Millisecond, 60 * time.Millisecond, 600 * time.Millisecond}[r.IntN(4)]
	o.arg = simArg{ID: id, Takes: span(r, most), Deaf: r.IntN(4) == 0, Tool: p.tools > 0 && o.kind != simAsk && r.IntN(3) == 0}
	switch r.IntN(12) {
	case 0:
		o.arg.Fate = "fail"
	case 1:
		o.arg.Fate = "panic"
	}
	if o.kind == simAsk {
		o.key = string(rune('p' + r.IntN(6)))
	}
	switch r.IntN(10) {
	case 0:
		o.end, o.byCtx = at+span(r, 500*time.Millisecond), o.kind == simCall || r.IntN(2) == 0
	case 1:
		o.run = time.Millisecond + span(r, 500*time.Millisecond)
	case 2:
		o.queue = time.Millisecond + span(r, 500*time.Millisecond)
	}
	return o
}
