package actor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
)

// echo spawns an actor that answers a request with the request; a func it
// calls with its context.
func echo(t *testing.T, as *proto.ActorSystem) *actor.PID {
	t.Helper()
	pid := as.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		if ctx.Sender() == nil {
			return
		}
		if fn, ok := ctx.Message().(func(proto.Context)); ok {
			fn(ctx)
			return
		}
		ctx.Respond(ctx.Message())
	}))
	t.Cleanup(func() { halt(t, as, pid) })
	return pid
}

// mute is a request that is never answered.
func mute(proto.Context) {}

// openFuture returns a protoactor future that is answered by answer, once.
func openFuture(as *proto.ActorSystem) (f *proto.Future, answer func(any)) {
	f = proto.NewFuture(as, time.Minute)
	return f, func(m any) { as.Root.Send(f.PID(), m) }
}

// fromProto asks pid for message and describes what comes of it.
func fromProto[T any](as *proto.ActorSystem, pid *actor.PID, message any) string {
	v, err := actor.FromProto[T](as.Root.RequestFuture(pid, message, time.Minute)).Result()
	var wrong *actor.MessageError
	if errors.As(err, &wrong) {
		return "refused " + wrong.Error()
	}
	return fmt.Sprintf("%v %v", any(v), err)
}

func TestFromProtoTakesAnAnswerAsAPIDDoes(t *testing.T) {
	as := newEngine()
	pid := echo(t, as)
	refused := func(want, got string) string {
		return fmt.Sprintf("refused actor: want a message of type %s, got %s", want, got)
	}
	for name, tt := range map[string]struct{ got, want string }{
		"Result":            {fromProto[int](as, pid, actor.Result[int]{Value: 1}), "1 <nil>"},
		"Result with error": {fromProto[int](as, pid, actor.Result[int]{Value: 1, Err: errOwn}), "1 " + errOwn.Error()},
		"bare value":        {fromProto[int](as, pid, 3), "3 <nil>"},
		"error":             {fromProto[int](as, pid, errOwn), "0 " + errOwn.Error()},
		"wrong type":        {fromProto[int](as, pid, "three"), refused("int", "string")},
		"other Result":      {fromProto[int](as, pid, actor.Result[string]{}), refused("int", "actor.Result[string]")},
		"interface":         {fromProto[greeter](as, pid, english{name: "you"}), "{you} <nil>"},
		"anything":          {fromProto[any](as, pid, []int{1}), "[1] <nil>"},
		"error for any":     {fromProto[any](as, pid, errOwn), "<nil> " + errOwn.Error()},
		"dead letter":       {fromProto[int](as, as.NewLocalPID("nobody"), 3), "0 " + proto.ErrDeadLetter.Error()},
		"dead letter, any":  {fromProto[any](as, as.NewLocalPID("nobody"), 3), "<nil> " + proto.ErrDeadLetter.Error()},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", name, tt.got, tt.want)
		}
	}
}

func TestFromProtoTellsADeadLetter(t *testing.T) {
	as := newEngine()
	pid := as.Root.Spawn(proto.PropsFromFunc(func(proto.Context) {}))
	halt(t, as, pid)
	_, err := actor.FromProto[int](as.Root.RequestFuture(pid, 1, time.Minute)).Result()
	is(t, "asking an actor that has stopped", err, proto.ErrDeadLetter)
}

func TestFromProtoTellsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		as := newEngine()
		asked := time.Now()
		f := actor.FromProto[int](as.Root.RequestFuture(echo(t, as), mute, time.Second))
		_, err := f.Result()
		is(t, "timeout", err, proto.ErrTimeout)
		is(t, "timeout", err, context.DeadlineExceeded)
		equal(t, "waited", time.Since(asked), time.Second)

		// An answer that wraps it is the actor's.
		own := fmt.Errorf("asking further: %w", proto.ErrTimeout)
		_, err = actor.FromProto[int](as.Root.RequestFuture(echo(t, as), own, time.Second)).Result()
		equal(t, "answer", err, own)
	})
}

func TestFromProtoOfAStopTellsTheEnd(t *testing.T) {
	as := newEngine()
	pid := as.Root.Spawn(proto.PropsFromFunc(func(proto.Context) {}))
	end, err := actor.FromProto[*proto.Terminated](as.Root.PoisonFuture(pid)).Result()
	equal(t, "error", err, nil)
	equal(t, "who", end.GetWho().GetId(), pid.Id)
}

func TestFromProtoOfNilIsAnErrorAtOnce(t *testing.T) {
	for name, f := range map[string]*proto.Future{"nil": nil, "zero": {}} {
		_, err, done := actor.FromProto[int](f).Poll()
		if !done || err == nil || !strings.Contains(err.Error(), "nil future") {
			t.Errorf("%s: got error %v, done %v", name, err, done)
		}
	}
}

func TestFromProtoOfACompleteFutureIsComplete(t *testing.T) {
	as := newEngine()
	f, answer := openFuture(as)
	answer(5)
	outcome(t, actor.FromProto[int](f), 5, nil)
	outcome(t, actor.FromProto[int](f), 5, nil)
	synctest.Test(t, func(t *testing.T) {
		late := proto.NewFuture(as, 0)
		is(t, "Wait", late.Wait(), proto.ErrTimeout)
		outcome(t, actor.FromProto[int](late), 0, context.DeadlineExceeded)
	})
}

// One only waits by the engine's own means: it wakes no more than one.
func TestAProtoFutureServesSeveralAndOneWhoWaitsForItself(t *testing.T) {
	as := newEngine()
	root, pid := as.Root, echo(t, as)
	for range 200 {
		f := root.RequestFuture(pid, func(ctx proto.Context) { ctx.Respond(7) }, time.Minute)
		var a, b, c *actor.Future[int]
		race(
			func() { a = actor.FromProto[int](f) },
			func() { b = actor.FromProto[int](f); _, _ = b.Result() },
			func() {
				if v, err := f.Result(); v != 7 || err != nil {
					t.Errorf("f's own: got %v, %v, want 7", v, err)
				}
			},
			func() { c = actor.FromProto[int](f); c.Cancel() },
		)
		for _, f := range []*actor.Future[int]{a, b} {
			if v, err := f.Result(); v != 7 || err != nil {
				t.Errorf("got %v, %v, want 7", v, err)
			}
		}
		if v, err := c.Result(); !errors.Is(err, context.Canceled) && v != 7 {
			t.Errorf("the cancelled one: got %v, %v", v, err)
		}
	}
	equal(t, "futures left", registered(as, "future"), 0)
}

func TestFromProtoServesFuturesOfSeveralSystems(t *testing.T) {
	a, b := newEngine(), newEngine()
	fa, answerA := openFuture(a)
	fb, answerB := openFuture(b)
	da, db := actor.FromProto[string](fa), actor.FromProto[string](fb)
	equal(t, "registered in a", registered(a, "future"), 1) // fa itself
	answerA("from a")
	answerB("from b")
	for want, f := range map[string]*actor.Future[string]{"from a": da, "from b": db} {
		v, err := f.Result()
		equal(t, "value", v, want)
		equal(t, "error", err, nil)
	}
	equal(t, "registered", registered(a, "future")+registered(b, "future"), 0)
}

func TestASecondAnswerChangesNothing(t *testing.T) {
	as := newEngine()
	through := make(chan struct{})
	first := make(chan *actor.Future[int], 1)
	f := as.Root.RequestFuture(echo(t, as), func(ctx proto.Context) {
		derived := <-first
		ctx.Respond(1)
		<-derived.Done()
		ctx.Respond(2) // overwrites the result of protoactor's future
		ctx.Respond(&proto.DeadLetterResponse{})
		close(through)
	}, time.Minute)
	derived := actor.FromProto[int](f)
	first <- derived
	<-through
	outcome(t, derived, 1, nil)
}

func TestCancelLeavesTheProtoFutureAlone(t *testing.T) {
	as := newEngine()
	f, answer := openFuture(as)
	derived, other := actor.FromProto[int](f), actor.FromProto[int](f)
	equal(t, "Cancel", derived.Cancel(), true)
	outcome(t, derived, 0, context.Canceled)
	equal(t, "still registered", registered(as, "future"), 1)
	answer(3)
	v, err := f.Result()
	equal(t, "value", v, any(3))
	equal(t, "error", err, nil)
	if v, err := other.Result(); v != 3 || err != nil {
		t.Errorf("the other: got %v, %v, want 3", v, err)
	}
	outcome(t, derived, 0, context.Canceled)
}

func TestAProtoFutureForgetsWhatItHasServed(t *testing.T) {
	f, answer := openFuture(newEngine())
	served := make([]weak.Pointer[actor.Future[int]], 10)
	for i := range served {
		derived := actor.FromProto[int](f)
		if i%2 == 0 {
			derived.Cancel()
		}
		served[i] = weak.Make(derived)
	}
	answer(1)
	left := func() (n int) {
		for _, p := range served {
			if p.Value() != nil {
				n++
			}
		}
		return n
	}
	for i := 0; left() > 0; i++ {
		if i == 100 {
			t.Fatalf("%d Futures are kept in memory", left())
		}
		runtime.GC()
		runtime.Gosched()
	}
	runtime.KeepAlive(f)
}

func TestFromProtoHoldsNoGoroutine(t *testing.T) {
	as := newEngine()
	before := runtime.NumGoroutine()
	answers := make([]func(any), 1000)
	for i := range answers {
		f, answer := openFuture(as)
		actor.FromProto[int](f).OnDone(func(int, error) {})
		answers[i] = answer
	}
	if got := runtime.NumGoroutine(); got > before {
		t.Errorf("goroutines: got %d, want %d", got, before)
	}
	for _, answer := range answers {
		answer(1)
	}
}

// The engine pipes under the lock of its future.
func TestACallbackMayUseTheProtoFutureItself(t *testing.T) {
	as := newEngine()
	f, answer := openFuture(as)
	got := make(chan string, 1)
	derived := actor.FromProto[int](f)
	derived.OnDone(func(int, error) { runtime.Goexit() }) // would leave the lock held
	derived.OnDone(func(int, error) {
		v, err := f.Result()
		again, _, done := actor.FromProto[int](f).Poll()
		got <- fmt.Sprint(v, err, again, done)
	})
	answer(1)
	equal(t, "in the callback", <-got, "1 <nil> 1 true")
	is(t, "f afterwards", f.Wait(), nil)
}

func TestFromProtoAtTheSameTimeAsTheAnswer(t *testing.T) {
	as := newEngine()
	ended := make(chan bool, 10)
	end := func(v int, err error) {
		ended <- v == 9 && err == nil || v == 0 && errors.Is(err, context.Canceled)
	}
	for range 1000 {
		f, answer := openFuture(as)
		race(
			func() { actor.FromProto[int](f).OnDone(end) },
			func() { answer(9) },
			func() { b := actor.FromProto[int](f); b.OnDone(end); b.Cancel() },
		)
		equal(t, "one ends as it should", <-ended, true)
		equal(t, "the other too", <-ended, true)
	}
	equal(t, "further ends", len(ended), 0)
}

func TestFromProtoInAnActor(t *testing.T) {
	sys := actor.Wrap(newEngine())
	as := sys.ActorSystem()
	asked := echo(t, as)
	answers := make(chan any, 1)
	asker := as.Root.Spawn(proto.PropsFromFunc(func(ctx proto.Context) {
		switch m := ctx.Message().(type) {
		case string: // ask, and have the answer as a message
			actor.FromProto[string](ctx.RequestFuture(asked, m, time.Minute)).PipeTo(sys, ctx.Self())
		case actor.Result[string]:
			answers <- m
		}
	}))
	defer halt(t, as, asker)
	as.Root.Send(asker, "hello")
	equal(t, "answer", <-answers, any(actor.Result[string]{Value: "hello"}))
}
