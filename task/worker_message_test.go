package task_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// asking asks on a goroutine of its own.
func asking[Out any](t *testing.T, sys *actor.System, to *actor.PID, message any) <-chan task.Result[Out] {
	c := make(chan task.Result[Out], 1)
	go func() {
		got, err := sys.ActorSystem().Root.RequestFuture(to, message, time.Hour).Result()
		r, ok := got.(task.Result[Out])
		if !ok {
			t.Errorf("got an answer %#v, %v, want a Result by value", got, err)
		}
		c <- r
	}()
	return c
}

func TestAMessageMayBeSentAgainAndByMany(t *testing.T) {
	t.Parallel()
	someMembers(t, func(t *testing.T, sys *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		pid, add := w.PID(), task.MessageKey("a", (*till).Add, 1)
		var answers []<-chan task.Result[int]
		for range 20 {
			answers = append(answers, asking[int](t, sys, pid, add))
		}
		seen := map[int]bool{}
		for _, a := range answers {
			r := <-a
			is(t, "Err", r.Err, nil)
			seen[r.Value] = true
		}
		equal(t, "different sums", len(seen), 20)
		equal(t, "the same member as that of AskKey", result(t, task.AskKey(context.Background(), w, "a", (*till).Add, 0)), 20)
		sum := ask[string](t, sys, pid, task.MessageKey("a", func(k *till, _ context.Context, f string) (string, error) { return fmt.Sprintf(f, k.sum), nil }, "<%d>"))
		equal(t, "a method of other types", sum.Value, "<20>")
		equal(t, "Submitted", w.Stats().Submitted, 22)
		w.Stop()
		s.settled()
	})
}

func TestWrongMessagesToAWorkerAreAnsweredAndHurtNobody(t *testing.T) {
	t.Parallel()
	someMembers(t, func(t *testing.T, sys *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		other := task.Message(func(_ *Counter, _ context.Context, x int) (int, error) { return x, nil }, 1)
		deeper := task.MessageKey("a", func(_ **till, _ context.Context, x int) (int, error) { return x, nil }, 1)
		for what, m := range map[string]any{"text": "text", "number": 3, "another state": other, "a pointer too many": deeper, "a bound text": task.WithContext(context.Background(), "text")} {
			e := as[*actor.MessageError](t, what, ask[any](t, sys, w.PID(), m).Err)
			says(t, what, e, "task.Message", "*task_test.till")
			if what != "a bound text" {
				equal(t, what, e.Got, m)
			}
		}
		says(t, "nil method", ask[int](t, sys, w.PID(), task.Message[*till, int, int](nil, 1)).Err, "nil method")
		var nowhere context.Context
		says(t, "nil context", ask[int](t, sys, w.PID(), task.WithContext(nowhere, task.Message((*till).Add, 1))).Err, "nil context")
		equal(t, "Submitted", w.Stats().Submitted, 0)
		equal(t, "states", s.opened.Load(), 0)
		equal(t, "a good one", ask[int](t, sys, w.PID(), task.MessageKey("a", (*till).Add, 1)).Value, 1)
		w.Stop()
		isStopped(t, "after Stop", failure(task.Do(context.Background(), w, (*till).Sum)), false)
		s.settled()
	})
}

func TestMessagesToAFullQueueAreAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	for _, balance := range []task.Balancing{task.Shared, task.RoundRobin} {
		for _, reject := range []bool{false, true} {
			t.Run(fmt.Sprint(balance, " reject ", reject), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					opts := []task.Option{task.System(sys), task.Workers(1), task.Balance(balance), task.Queue(1)}
					if reject {
						opts = append(opts, task.Reject())
					}
					s, g := newShop(t), newGate()
					w, p := task.MustNewWorker(s.open, opts...), task.MustNew(g.pass, opts...)
					running, also := asking[int](t, sys, w.PID(), task.Message((*till).Pass, 1)), asking[int](t, sys, p.PID(), 1)
					synctest.Wait()
					waiting, alike := asking[int](t, sys, w.PID(), task.MessageKey("a", (*till).Add, 1)), asking[int](t, sys, p.PID(), 2)
					synctest.Wait()
					for range 2 {
						is(t, "Message", ask[int](t, sys, w.PID(), task.Message((*till).Add, 1)).Err, task.ErrQueueFull)
						is(t, "MessageKey", ask[int](t, sys, w.PID(), task.MessageKey("b", (*till).Add, 1)).Err, task.ErrQueueFull)
						is(t, "to a task", ask[int](t, sys, p.PID(), 3).Err, task.ErrQueueFull)
						is(t, "bounded, to a task", ask[int](t, sys, p.PID(), task.WithContext(context.Background(), 3)).Err, task.ErrQueueFull)
					}
					equal(t, "Rejected of the worker", w.Stats().Rejected, 4)
					equal(t, "Rejected of the task", p.Stats().Rejected, 4)
					close(s.gate.open)
					close(g.open)
					equal(t, "running", (<-running).Value, 1)
					equal(t, "running", (<-also).Value, 1)
					equal(t, "waiting", (<-waiting).Value, 1)
					equal(t, "waiting", (<-alike).Value, 2)
					equal(t, "Submitted", w.Stats().Submitted, 2)
					w.Stop()
					p.Stop()
					s.settled()
				})
			})
		}
	}
}

func TestWithContextBoundsTheCallThatAMessageAsksFor(t *testing.T) {
	t.Parallel()
	for name, opts := range engines() {
		if name == "inline" {
			continue // the sender waits
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, sys *actor.System) {
				g := newGate()
				p := task.MustNew(g.pass, append(opts, task.System(sys))...)
				ctx, cancel := context.WithCancelCause(context.Background())
				running := asking[int](t, sys, p.PID(), task.WithContext(ctx, 1))
				unbound := asking[int](t, sys, p.PID(), 2)
				synctest.Wait()
				third := asking[int](t, sys, p.PID(), task.WithContext(ctx, 3)) // waits, except on demand
				synctest.Wait()
				cancel(errCause)
				is(t, "running", (<-running).Err, errCause)
				is(t, "waiting", (<-third).Err, errCause)
				is(t, "after its end", ask[int](t, sys, p.PID(), task.WithContext(ctx, 4)).Err, errCause)
				start := time.Now()
				late, done := context.WithTimeout(context.Background(), time.Second)
				defer done()
				is(t, "deadline", ask[int](t, sys, p.PID(), task.WithContext(late, 5)).Err, context.DeadlineExceeded)
				equal(t, "after", time.Since(start), time.Second)
				close(g.open)
				equal(t, "the other", (<-unbound).Value, 2)
				p.Stop()
			})
		})
	}
}

func TestWithContextBoundsTheCallThatAMessageToAWorkerAsksFor(t *testing.T) {
	t.Parallel()
	someMembers(t, func(t *testing.T, sys *actor.System, engine string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		type key struct{}
		ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), key{}, "value"))
		value := func(_ *till, ctx context.Context, _ int) (any, error) { return ctx.Value(key{}), nil }
		equal(t, "a value of it", ask[any](t, sys, w.PID(), task.WithContext(ctx, task.Message(value, 1))).Value, any("value"))
		running := asking[int](t, sys, w.PID(), task.WithContext(ctx, task.MessageKey("a", (*till).Pass, 1)))
		<-s.gate.started
		if engine != "interleave" {
			waiting := asking[int](t, sys, w.PID(), task.WithContext(ctx, task.MessageKey("a", (*till).Add, 0)))
			synctest.Wait()
			defer func() { is(t, "waiting", (<-waiting).Err, errCause) }()
		}
		synctest.Wait()
		cancel(errCause)
		is(t, "running", (<-running).Err, errCause)
		is(t, "after its end", ask[int](t, sys, w.PID(), task.WithContext(ctx, task.Message((*till).Add, 1))).Err, errCause)
		synctest.Wait()
		equal(t, "the member goes on", ask[int](t, sys, w.PID(), task.WithContext(context.Background(), task.MessageKey("a", (*till).Add, 1))).Value, 1)
		w.Stop()
		s.settled()
	})
}

// clerk is an actor that requests what it is sent and collects the answers.
func clerk(sys *actor.System, to *actor.PID) (*actor.PID, <-chan any) {
	answers := make(chan any, 100)
	return sys.ActorSystem().Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		switch m := ctx.Message().(type) {
		case *proto.Started, *proto.Stopping, *proto.Stopped:
		case task.Result[int]:
			answers <- m.Value
		case task.Result[any]:
			answers <- m.Err
		default:
			ctx.Request(to, m)
		}
	})), answers
}

func TestActorsRequestCallsOfWorkers(t *testing.T) {
	t.Parallel()
	someMembers(t, func(t *testing.T, sys *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, opts...)
		pid, answers := clerk(sys, w.PID())
		for i := range 10 {
			sys.ActorSystem().Root.Send(pid, task.MessageKey("a", (*till).Add, 1))
			equal(t, "answer", <-answers, any(i+1))
		}
		sys.ActorSystem().Root.Send(pid, "text")
		as[*actor.MessageError](t, "wrong message", (<-answers).(error))
		sys.ActorSystem().Root.Stop(pid)
		synctest.Wait()
		w.Stop()
		s.settled()
	})
}

func TestACallOutlivesTheActorThatAskedForIt(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, sys *actor.System) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys))
		pid, answers := clerk(sys, w.PID())
		sys.ActorSystem().Root.Send(pid, task.Message((*till).Pass, 1))
		<-s.gate.started
		sys.ActorSystem().Root.Stop(pid)
		synctest.Wait()
		close(s.gate.open)
		use(t, w, 1)
		equal(t, "Finished", w.Stats().Finished, 2)
		equal(t, "answers", len(answers), 0)
		w.Stop()
		s.settled()
	})
}

// lockedBuffer collects a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestMessagesWithoutSenderAreServedAndTheirRefusalsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &lockedBuffer{}
		sys := actor.NewSystem(actor.Logger(slog.New(slog.NewTextHandler(log, nil))))
		s := newShop(t)
		w := task.MustNewWorker(s.open, task.System(sys), task.Name("mute"), task.Queue(1))
		root, pid := sys.ActorSystem().Root, w.PID()
		root.Send(pid, task.Message((*till).Add, 3))
		root.Send(pid, task.MessageKey("a", func(*till, context.Context, int) (int, error) { panic(errBoom) }, 3))
		synctest.Wait()
		st := w.Stats()
		equal(t, "Finished", st.Finished, 1)
		equal(t, "Panicked", st.Panicked, 1)
		root.Send(pid, "text")
		root.Send(pid, nil)
		root.Send(pid, task.Message((*till).Pass, 1))
		<-s.gate.started
		root.Send(pid, task.Message((*till).Add, 1))
		root.Send(pid, task.Message((*till).Add, 1)) // the queue is full
		synctest.Wait()
		for _, want := range []string{"mute", "string", "queue full"} {
			if !bytes.Contains([]byte(log.String()), []byte(want)) {
				t.Errorf("the log does not say %q: %s", want, log)
			}
		}
		close(s.gate.open)
		w.Stop()
		s.settled()
		time.Sleep(time.Millisecond) // the engine counts dead letters for a moment
	})
}

// household is an actor with pools as children, under a strategy.
type household struct {
	sys    *actor.System
	pid    *actor.PID
	spawns chan error
}

// crash is a message that a household panics at.
type crash struct{}

func newHousehold(sys *actor.System, strategy proto.SupervisorStrategy, children map[string]*proto.Props) *household {
	h := &household{sys: sys, spawns: make(chan error, 100)}
	parent := proto.PropsFromFunc(func(ctx proto.Context) {
		switch ctx.Message().(type) {
		case *proto.Started:
			for name, props := range children {
				_, err := ctx.SpawnNamed(props, name)
				h.spawns <- err
			}
		case crash:
			panic(errBoom)
		}
	}, proto.WithSupervisor(strategy))
	up := make(chan *actor.PID, 1)
	h.pid = sys.ActorSystem().Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		switch ctx.Message().(type) {
		case *proto.Started:
			up <- ctx.Spawn(parent)
		case crash:
			ctx.Forward(ctx.Children()[0])
		}
	}))
	<-up
	return h
}

func TestAnAllForOneParentRestartsAllItsWorkers(t *testing.T) {
	t.Parallel()
	someMembers(t, func(t *testing.T, sys *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		escalate := task.Supervise(supervisor.Policy{Decide: func(error) supervisor.Directive { return supervisor.Escalate }})
		fragile := task.MustNewWorker(s.open, append(opts, escalate, task.Name("fragile"))...)
		sibling := task.MustNewWorker(s.open, append(opts, task.Name("sibling"))...)
		plain := task.MustNew(sq, task.System(sys), task.Name("plain"), task.Workers(2))
		h := newHousehold(sys, proto.NewAllForOneStrategy(10, time.Hour, func(any) proto.Directive { return proto.RestartDirective }),
			map[string]*proto.Props{"fragile": fragile.Props(), "sibling": sibling.Props(), "plain": plain.Props()})
		synctest.Wait()
		use(t, fragile, 4)
		use(t, sibling, 4)
		ready := func() {
			t.Helper()
			for _, w := range []*task.Worker[*till]{fragile, sibling} {
				is(t, "Ready", w.Ready(context.Background()), nil)
			}
			is(t, "Ready", plain.Ready(context.Background()), nil)
			synctest.Wait()
		}
		ready()
		entries := registered(sys)
		for range 3 {
			open := s.opened.Load() - s.closed.Load()
			opened := s.opened.Load()
			is(t, "panic", failure(task.Do(context.Background(), fragile, (*till).Crash)), errBoom)
			synctest.Wait()
			use(t, fragile, 4)
			use(t, sibling, 4)
			equal(t, "the task", result(t, plain.Submit(context.Background(), 3)), 9)
			ready()
			equal(t, "open states", s.opened.Load()-s.closed.Load(), open)
			equal(t, "states opened anew", s.opened.Load()-opened, open)
		}
		equal(t, "registry entries", registered(sys), entries)
		sys.ActorSystem().Root.Stop(h.pid)
		synctest.Wait()
		s.settled()
		isStopped(t, "after the parent's end", failure(task.Do(context.Background(), sibling, (*till).Sum)), false)
		fragile.Stop()
		sibling.Stop()
		plain.Stop()
	})
}

func TestWorkersOfAParentThatPanicsComeBackWithIt(t *testing.T) {
	t.Parallel()
	someMembers(t, func(t *testing.T, sys *actor.System, _ string, opts []task.Option) {
		s := newShop(t)
		w := task.MustNewWorker(s.open, append(opts, task.Name("w"))...)
		plain := task.MustNew(sq, task.System(sys), task.Name("plain"), task.Workers(2))
		h := newHousehold(sys, proto.DefaultSupervisorStrategy(), map[string]*proto.Props{"w": w.Props(), "plain": plain.Props()})
		for range 2 {
			is(t, "spawn", <-h.spawns, nil)
		}
		use(t, w, 4)
		var entries int
		for round := range 4 {
			is(t, "Ready", w.Ready(context.Background()), nil)
			is(t, "Ready", plain.Ready(context.Background()), nil)
			synctest.Wait()
			switch round {
			case 0:
				entries = registered(sys)
			case 3:
				equal(t, "registry entries", registered(sys), entries)
			}
			equal(t, "pools in the snapshot", len(sys.Snapshot().Tasks), 2)
			opened := s.opened.Load()
			sys.ActorSystem().Root.Send(h.pid, crash{})
			for range 2 {
				is(t, "spawn", <-h.spawns, nil)
			}
			synctest.Wait()
			equal(t, "states of the life before that are open", s.closed.Load(), opened)
			use(t, w, 4)
			equal(t, "the task", result(t, plain.Submit(context.Background(), 3)), 9)
		}
		sys.ActorSystem().Root.Stop(h.pid)
		synctest.Wait()
		s.settled()
		w.Stop()
		plain.Stop()
	})
}
