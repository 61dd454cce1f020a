package supervisor

import (
	"reflect"
	"runtime"
	"slices"
	"sync"
	"time"
	"weak"

	proto "github.com/asynkron/protoactor-go/actor"
)

// ledger keeps a record for each supervisor that a strategy serves. It must
// not keep the supervisors themselves: one strategy, through one Props, may
// serve thousands that come and go, and nothing tells it that one is gone. So
// they are held weakly, and a record goes with the memory of its supervisor.
type ledger struct {
	mu      sync.Mutex
	records map[weak.Pointer[byte]]*record
}

// of returns the record of a supervisor, a new one at its first call.
func (l *ledger) of(supervisor any) *record {
	var at *byte
	if v := reflect.ValueOf(supervisor); v.Kind() == reflect.Pointer {
		// The engine's types are unexported, hence a pointer to their first byte.
		at = (*byte)(v.UnsafePointer())
	}
	key := weak.Make(at)
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.records[key]
	if r != nil {
		return r
	}
	if l.records == nil {
		l.records = make(map[weak.Pointer[byte]]*record)
	}
	r = &record{}
	l.records[key] = r
	if at != nil {
		runtime.AddCleanup(at, l.drop, key)
	}
	return r
}

func (l *ledger) drop(key weak.Pointer[byte]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.records, key)
}

// record is what a strategy remembers of one supervisor. An actor uses it from
// one goroutine at a time; a guardian from those of all its children.
//
// Nothing in it may keep the supervisor, or neither would ever go. A PID does:
// it leads to a process, that to an actor, and that to its parent. Hence the
// weak pointers here, too.
type record struct {
	mu      sync.Mutex
	history History
	pending []weak.Pointer[restart]          // waiting for their delay; a timer holds them
	order   order                            // in which children started
	leaving map[weak.Pointer[proto.PID]]bool // children that were told to stop; true: and helped to
	staying int                              // how many of them were not gone when last looked at
}

// restart is a restart on its way, of all children in a scope.
type restart struct{ targets []target }

// target is a process as it was when it was seen. Names are used again, so the
// PID alone does not tell one incarnation of an actor from the next.
type target struct {
	pid     *proto.PID
	process proto.Process // nil if there was none
}

func seen(system *proto.ActorSystem, pid *proto.PID) target {
	process, ok := system.ProcessRegistry.Get(pid)
	if !ok {
		return target{pid: pid}
	}
	return target{pid: pid, process: process}
}

// present reports whether the process is still there and the same.
func (t target) present(system *proto.ActorSystem) bool {
	process, ok := system.ProcessRegistry.Get(t.pid)
	return ok && process == t.process
}

func (r *record) settle(p Policy, d Directive, err error) Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.settle(time.Now(), &r.history, d, err)
}

// forget empties the history.
func (r *record) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = History{}
}

// schedule enters a restart. Those of its targets that already wait for an
// earlier one wait for this one now.
func (r *record) schedule(targets []target) *restart {
	covered := make(map[string]bool, len(targets))
	for _, t := range targets {
		covered[t.pid.Id] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.pending {
		earlier := w.Value()
		if earlier == nil {
			continue
		}
		earlier.targets = slices.DeleteFunc(earlier.targets, func(t target) bool { return covered[t.pid.Id] })
	}
	entry := &restart{targets: targets}
	r.pending = append(r.pending, weak.Make(entry))
	return entry
}

// restarting reports whether a restart of child is on its way.
func (r *record) restarting(child *proto.PID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.pending {
		entry := w.Value()
		if entry != nil && slices.ContainsFunc(entry.targets, func(t target) bool { return t.pid.Equal(child) }) {
			return true
		}
	}
	return false
}

// take removes a restart that is due and returns who is still to be restarted.
func (r *record) take(entry *restart) []target {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = slices.DeleteFunc(r.pending, func(w weak.Pointer[restart]) bool {
		e := w.Value()
		return e == nil || e == entry
	})
	return slices.DeleteFunc(entry.targets, func(t target) bool {
		_, leaving := r.leaving[weak.Make(t.pid)]
		return leaving
	})
}
