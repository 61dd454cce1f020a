package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Event tells what a [Tree] has done or seen. It is published by value on the
// event stream of the tree's ActorSystem, and the tree waits for that: a
// subscriber must not block, nor wait for the tree. One that panics, or calls
// runtime.Goexit, does not hurt the tree. Each event is logged once, too.
type Event struct {
	Tree     string // name of the tree
	Child    string // name of its child; empty if it is about the tree itself
	Kind     EventKind
	Err      error // of Failed, Restarting and GaveUp; else nil
	Time     time.Time
	Restarts int // of the child so far
}

// EventKind says what an [Event] is about. The events of a child come in this
// order: started, then any number of failed, restarting, restarted, at last
// stopped or done.
type EventKind int

// The kinds of events.
const (
	EventStarted    EventKind = iota // with the tree, or when it was added
	EventFailed                      // a panic, an error of a service, a failed spawn
	EventRestarting                  // a restart was decided, its own or that of its scope
	EventRestarted                   // on its way again; also by command
	EventStopped                     // ended by whomever
	EventDone                        // the service returned nil
	EventGaveUp                      // budget spent or failure escalated; all children have been told to stop
)

// String returns the kind as logs show it.
func (k EventKind) String() string {
	switch k {
	case EventStarted:
		return "started"
	case EventFailed:
		return "failed"
	case EventRestarting:
		return "restarting"
	case EventRestarted:
		return "restarted"
	case EventStopped:
		return "stopped"
	case EventDone:
		return "done"
	case EventGaveUp:
		return "gave up"
	}
	return fmt.Sprintf("EventKind(%d)", int(k))
}

func (k EventKind) level() slog.Level {
	switch k {
	case EventGaveUp:
		return slog.LevelError
	case EventFailed:
		return slog.LevelWarn
	case EventRestarting, EventRestarted, EventDone:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// tell publishes and logs an event of k, or of the tree if k is nil. That is
// user code: it is called without a lock.
func (r *runner) tell(k *kid, kind EventKind, err error) {
	e := Event{Tree: r.tree.name, Kind: kind, Err: err, Time: time.Now(), Restarts: r.tree.restarts}
	if k != nil {
		e.Child, e.Restarts = k.name, k.restarts
	}
	contain(r.system.Logger(), func() { r.system.EventStream.Publish(e) }, func() { e.log(r.host.Log()) })
}

// contain runs subscribers or log handlers, and returns when they have: what
// they do must not end up as a failure of a supervisor, nor end its goroutine,
// on which others wait. Hence one for them, where runtime.Goexit may end it.
func contain(log *slog.Logger, userCode ...func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, code := range slices.Backward(userCode) {
			defer contained(log, code) // each runs, whatever became of the one before
		}
	}()
	<-done
}

func contained(log *slog.Logger, userCode func()) {
	returned := false
	defer func() {
		p := recover()
		if returned {
			return
		}
		if p == nil {
			p = errGoexit
		}
		defer func() { _ = recover() }() // it may be this handler
		log.Error("supervisor: a subscriber or a log handler panicked", slog.Any("panic", p))
	}()
	userCode()
	returned = true
}

func (e Event) log(to *slog.Logger) {
	attrs := []slog.Attr{slog.String("tree", e.Tree)}
	if e.Child != "" {
		attrs = append(attrs, slog.String("child", e.Child))
	}
	if e.Restarts > 0 {
		attrs = append(attrs, slog.Int("restarts", e.Restarts))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	to.LogAttrs(context.Background(), e.Kind.level(), "supervisor: "+e.Kind.String(), attrs...)
}
