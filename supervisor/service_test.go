package supervisor_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

// script is a service that records its runs and takes what each is to do from
// a channel: an error to return, or a function to call.
type script chan any

func (r *rig) service(name string, s script) supervisor.Child {
	return supervisor.Service(name, func(ctx context.Context) error {
		r.note("+" + name)
		defer r.note("-" + name)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case do := <-s:
			switch do := do.(type) {
			case func():
				do()
			case error:
				return do
			}
			return nil
		}
	})
}

func TestServiceThatReturnsNilIsDone(t *testing.T) {
	fake(t, func(r *rig) {
		s := make(script)
		tree := r.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, r.service("s", s), r.player("a"))
		s <- nil
		r.expectEvents("t/s done")
		r.send("t/a", errBoom)
		r.expectTree(tree, `t running [s done, a running 1 "boom"]`)
		r.stop(tree)
		r.expectTree(tree, `t stopped [s done, a stopped 1 "boom"]`)
	})
}

func TestServiceFailsByErrorPanicAndGoexit(t *testing.T) {
	fake(t, func(r *rig) {
		var failures []error
		r.sys.ActorSystem().EventStream.Subscribe(func(e any) {
			if e, ok := e.(supervisor.Event); ok && e.Kind == supervisor.EventFailed {
				failures = append(failures, e.Err)
			}
		})
		s := make(script)
		tree := r.grow("t", supervisor.Policy{}, r.service("s", s))
		for _, failure := range []any{errBoom, func() { panic(errBoom) }, func() { panic("text") }, runtime.Goexit} {
			s <- failure
			r.expectDone("-s", "+s")
		}
		if len(failures) != 4 || failures[0] != errBoom { //nolint:errorlint // this very error
			r.t.Fatalf("got %v", failures)
		}
		var p *supervisor.PanicError
		if !errors.As(failures[1], &p) || !errors.Is(p, errBoom) || p.Service != "s" || !strings.Contains(string(p.Stack), "service_test.go") {
			r.t.Errorf("got %+v, want a PanicError with boom and the stack", failures[1])
		}
		if got := failures[2].Error(); got != `supervisor: service "s" panicked: text` || errors.Unwrap(failures[2]) != nil {
			r.t.Errorf("got %v", got)
		}
		if !strings.Contains(failures[3].Error(), "Goexit") {
			r.t.Errorf("got %v, want a Goexit", failures[3])
		}
		if n := tree.Snapshot().Children[0]; n.Restarts != 4 || n.State != supervisor.StateRunning {
			r.t.Errorf("got %+v", n)
		}
	})
}

func TestServiceIsCancelledAndAwaitedByStop(t *testing.T) {
	fake(t, func(r *rig) {
		slow := supervisor.Service("slow", func(ctx context.Context) error {
			<-ctx.Done()
			r.note(context.Cause(ctx).Error())
			time.Sleep(time.Second)
			r.note("-slow")
			return errBoom // counts for nothing
		})
		tree := r.grow("t", supervisor.Policy{}, r.player("a"), slow)
		start := time.Now()
		r.stop(tree)
		if took := time.Since(start); took != time.Second {
			r.t.Errorf("Stop took %v", took)
		}
		r.expectDone("supervisor: stopped", "-slow", "-a")
		r.expectTree(tree, "t stopped [a stopped, slow stopped]")
	})
}

func TestServiceThatIgnoresItsContextHoldsUpNobodyForEver(t *testing.T) {
	fake(t, func(r *rig) {
		release := make(wait)
		deaf := supervisor.Service("deaf", func(context.Context) error { <-release; return nil })
		tree := r.grow("t", supervisor.Policy{}, r.player("a"), deaf)
		err := tree.Stop(r.within(time.Second))
		if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "deaf") {
			r.t.Errorf("got %v", err)
		}
		r.expectDone("-a")
		close(release)
		r.stop(tree)
	})
}

func TestServiceIsRestartedOnlyAfterItsRunHasReturned(t *testing.T) {
	fake(t, func(r *rig) {
		slow := supervisor.Service("slow", func(ctx context.Context) error {
			r.note("+slow")
			<-ctx.Done()
			time.Sleep(time.Second)
			r.note("-slow")
			return nil // told to: not done
		})
		tree := r.grow("t", supervisor.Policy{Scope: supervisor.OneForAll}, r.player("a"), slow)
		r.send("t/a", errBoom)
		r.sleep(time.Second)
		r.expectSet("-slow -a +a +slow")
		r.expectTree(tree, `t running [a running 1 "boom", slow running 1]`)
	})
}

func TestServiceIsRunAgainWhenResumed(t *testing.T) {
	fake(t, func(r *rig) {
		s := make(script)
		tree := r.grow("t", supervisor.Policy{Decide: byText, MaxRestarts: 1}, r.service("s", s))
		for range 3 {
			s <- errResume
			r.expectDone("-s", "+s")
		}
		r.expectTree(tree, `t running [s running "resume"]`)
		s <- errBoom
		r.expectDone("-s", "+s")
		s <- nil
		r.expectTree(tree, `t running [s done 1 "boom"]`)
	})
}

// A service is a Child for any supervisor, not only for a tree.
func TestServiceRunsUnderAnyActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f := newFamily(t, r.sys.ActorSystem(), with(supervisor.Policy{MaxRestarts: 1}))
		s := make(script)
		f.spawnService(r.service("s", s))
		r.expectDone("+s")
		s <- errBoom
		r.expectDone("-s", "+s")
		f.stop(f.parent)
		r.expectDone("-s")
	})
}
