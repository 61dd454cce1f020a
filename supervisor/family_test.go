package supervisor_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
)

// patience is how long a test waits for what must happen, more than a minute
// because some of it is delayed by one, of fake time.
const patience = 90 * time.Second

func quietSystem(handler slog.Handler) *proto.ActorSystem {
	return proto.NewActorSystem(
		proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger { return slog.New(handler) }),
		proto.WithDeadLetterRequestLogging(false),
		proto.WithDeadLetterThrottleInterval(time.Millisecond), // for so long a dead letter holds a goroutine
	)
}

// family is a supervisor with scripted children, and what they report.
type family struct {
	t      *testing.T
	system *proto.ActorSystem
	parent *proto.PID
	events chan string
	linger time.Duration // that children take to stop
}

// crash makes a child panic with its reason, count makes it report how often
// this incarnation has counted.
type (
	crash struct{ reason any }
	count struct{}
)

// newFamily spawns a supervisor at the root and waits for it.
func newFamily(t *testing.T, system *proto.ActorSystem, opts ...proto.PropsOption) *family {
	f := emptyFamily(t, system)
	f.parent = system.Root.Spawn(f.supervisor(opts...))
	f.expect("+supervisor")
	return f
}

func emptyFamily(t *testing.T, system *proto.ActorSystem) *family {
	return &family{t: t, system: system, events: make(chan string, 10_000)}
}

// supervisor is the Props of an actor that runs the functions sent to it.
func (f *family) supervisor(opts ...proto.PropsOption) *proto.Props {
	return proto.PropsFromFunc(func(ctx proto.Context) {
		switch msg := ctx.Message().(type) {
		case *proto.Started:
			f.events <- "+supervisor"
		case *proto.Stopped:
			f.events <- "-supervisor"
		case func(proto.Context):
			msg(ctx)
		}
	}, opts...)
}

// child is the Props of a child that reports "+name" when an incarnation
// starts, "-name" when one ends, and "name n" when it counts.
func (f *family) child(name string, opts ...proto.PropsOption) *proto.Props {
	return proto.PropsFromProducer(func() proto.Actor {
		counted := 0
		return proto.ReceiveFunc(func(ctx proto.Context) {
			switch msg := ctx.Message().(type) {
			case *proto.Started:
				f.events <- "+" + name
			case *proto.Restarting, *proto.Stopped:
				f.events <- "-" + name
			case *proto.Stopping:
				if f.linger > 0 {
					<-time.After(f.linger)
				}
			case crash:
				panic(msg.reason)
			case count:
				counted++
				f.events <- fmt.Sprint(name, " ", counted)
			case func(proto.Context):
				msg(ctx)
			}
		})
	}, opts...)
}

// inside runs fn in an actor and waits for it.
func (f *family) inside(pid *proto.PID, fn func(proto.Context)) {
	f.t.Helper()
	done := make(chan struct{})
	f.system.Root.Send(pid, func(ctx proto.Context) { defer close(done); fn(ctx) })
	select {
	case <-done:
	case <-time.After(patience):
		f.t.Fatalf("%v does not answer", pid)
	}
}

// spawn starts named children under the supervisor, one after another.
func (f *family) spawn(names ...string) []*proto.PID {
	f.t.Helper()
	var pids []*proto.PID
	for _, name := range names {
		f.inside(f.parent, func(ctx proto.Context) {
			pid, err := ctx.SpawnNamed(f.child(name), name)
			if err != nil {
				f.t.Error(err)
			}
			pids = append(pids, pid)
		})
		f.expect("+" + name)
	}
	return pids
}

func (f *family) crash(pid *proto.PID, reason any) { f.system.Root.Send(pid, crash{reason: reason}) }

// expect waits for exactly these events, in any order.
func (f *family) expect(want ...string) {
	f.t.Helper()
	var got []string
	for range want {
		select {
		case e := <-f.events:
			got = append(got, e)
		case <-time.After(patience):
			f.t.Fatalf("got only %q, want %q", got, want)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.t.Fatalf("got %q, want %q", got, want)
	}
}

// quiet fails if anything has been reported that nobody expected.
func (f *family) quiet() {
	f.t.Helper()
	select {
	case e := <-f.events:
		f.t.Errorf("got unexpected %q", e)
	default:
	}
}

// stop ends an actor and all below it, and waits for it.
func (f *family) stop(pid *proto.PID) {
	f.t.Helper()
	watching, gone := make(chan struct{}), make(chan struct{})
	watcher := f.system.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		switch ctx.Message().(type) {
		case *proto.Started:
			ctx.Watch(pid)
			close(watching)
		case *proto.Terminated:
			ctx.Stop(ctx.Self())
		case *proto.Stopped:
			close(gone)
		}
	}))
	<-watching // an actor that is stopping already would answer too early
	f.system.Root.Stop(pid)
	select {
	case <-gone:
	case <-time.After(patience):
		f.t.Errorf("%v did not stop", pid)
		f.system.Root.Stop(watcher)
	}
}

// awaitChildren waits until the supervisor has n children. It hears of an end
// later than watchers do, and until then it must not use the name again.
func (f *family) awaitChildren(n int) {
	f.t.Helper()
	for children := -1; children != n; {
		f.inside(f.parent, func(ctx proto.Context) { children = len(ctx.Children()) })
	}
}

// left lists the processes that live at or below pid.
func (f *family) left(pid *proto.PID) (ids []string) {
	for _, bucket := range f.system.ProcessRegistry.LocalPIDs.LocalPIDs {
		bucket.IterCb(func(id string, _ any) {
			if id == pid.Id || strings.HasPrefix(id, pid.Id+"/") {
				ids = append(ids, id)
			}
		})
	}
	return ids
}

// watchEvents collects what supervisors publish about children of f.
func (f *family) watchEvents() func() []string {
	var (
		mu  sync.Mutex
		got []string
	)
	sub := f.system.EventStream.Subscribe(func(e any) {
		if e, ok := e.(*proto.SupervisorEvent); ok && f.parent != nil && strings.HasPrefix(e.Child.Id, f.parent.Id) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprintf("%v %v: %v", e.Directive, strings.TrimPrefix(e.Child.Id, f.parent.Id+"/"), e.Reason))
		}
	})
	f.t.Cleanup(func() { f.system.EventStream.Unsubscribe(sub) })
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

// journal is a log handler that keeps the messages.
type journal struct {
	slog.Handler
	lines chan string
}

func newJournal() journal {
	return journal{Handler: slog.DiscardHandler, lines: make(chan string, 1000)}
}

func (j journal) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (j journal) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true })
	j.lines <- line
	return nil
}
