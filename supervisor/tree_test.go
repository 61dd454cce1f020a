package supervisor_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
)

var errEnded = errors.New("ended")

func isFailed(err error) bool { return errors.Is(err, supervisor.ErrFailed) }

func TestNewReportsAllFaults(t *testing.T) {
	var none *supervisor.Tree
	props := proto.PropsFromFunc(func(proto.Context) {})
	_, err := supervisor.New("a/b", supervisor.Policy{MaxRestarts: -7},
		nil, none,
		supervisor.Actor("", props), supervisor.Actor("x/y", props),
		supervisor.Actor("twice", props), supervisor.Actor("twice", props),
		supervisor.Actor("bare", nil), supervisor.Service("idle", nil))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`tree "a/b"`, "MaxRestarts is -7", "a child is nil", "Name panicked", "child without a name", `child "x/y"`,
		`child "twice": the name appears twice`, `child "bare": Props are nil`, `child "idle": the service's function is nil`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if _, err := supervisor.New("", supervisor.Policy{}); err == nil || !strings.Contains(err.Error(), "tree without a name") {
		t.Errorf("got %v, want a tree without a name", err)
	}
}

func TestTreeStartsInOrderAndStopsInReverse(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.tree("t", supervisor.Policy{}, r.players("a", "b", "c")...)
		r.expectTree(tree, "t idle [a idle, b idle, c idle]")
		if err := tree.Start(r.sys); err != nil {
			r.t.Fatal(err)
		}
		r.expectTree(tree, "t running [a running, b running, c running]")
		r.expectEvents("t/a started", "t/b started", "t/c started", "t/ started")
		r.stop(tree)
		r.expectDone("-c", "-b", "-a")
		r.expectTree(tree, "t stopped [a stopped, b stopped, c stopped]")
	})
}

func TestStopDrainsEachChildBeforeTheNextIsTold(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{}, r.players("a", "b", "c")...)
		release := make(wait)
		r.send("t/b", release)
		r.send("t/b", "last")
		stopped := make(chan error, 1)
		go func() { stopped <- tree.Stop(context.Background()) }()
		r.expectDone("-c")
		r.expectTree(tree, "t stopping [a running, b stopping, c stopped]")
		r.send("t/a", "still here")
		r.expectDone("a:still here")
		close(release)
		if err := <-stopped; err != nil {
			r.t.Error(err)
		}
		r.expectDone("b:last", "-b", "-a")
	})
}

func TestStopEndsWithItsContextAndNamesWhatRuns(t *testing.T) {
	fake(t, func(r *rig) {
		inner := r.tree("inner", supervisor.Policy{}, r.players("x", "stuck")...)
		tree := r.grow("t", supervisor.Policy{}, r.player("a"), inner, r.player("b"))
		release := make(wait)
		r.send("t/inner/stuck", release)
		start := time.Now()
		err := tree.Stop(r.within(time.Minute))
		if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "inner/stuck") || !strings.Contains(err.Error(), " a,") {
			r.t.Errorf("got %v, want the cause and the names of a and inner/stuck", err)
		}
		if got := time.Since(start); got != time.Minute {
			r.t.Errorf("Stop took %v", got)
		}
		r.told(false)
		err = tree.Stop(r.ended())
		if err == nil || strings.Contains(err.Error(), " a,") || !strings.Contains(err.Error(), "inner/stuck") {
			r.t.Errorf("got %v, want only inner/stuck, as a was told to stop without a drain", err)
		}
		close(release)
		r.stop(tree)
		r.expectTree(tree, "t stopped [a stopped, inner stopped [x stopped, stuck stopped], b stopped]")
	})
}

func TestStopWithoutDrainTellsInReverse(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{}, r.players("a", "b", "c")...)
		if err := tree.Stop(r.ended()); err != nil && !errors.Is(err, errEnded) { // it may be that fast
			r.t.Errorf("got %v, want the cause", err)
		}
		synctest.Wait()
		r.stop(tree)
	})
}

func TestStopMayBeCalledByManyAndBeforeStart(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{}, r.players("a", "b")...)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { r.stop(tree) })
		}
		wg.Wait()
		r.stop(tree)
		r.expectDone("-b", "-a")
		if err := tree.Start(r.sys); !errors.Is(err, supervisor.ErrStopped) {
			r.t.Errorf("Start after Stop: %v", err)
		}

		unused := r.tree("unused", supervisor.Policy{})
		waited := make(chan error, 1)
		go func() { waited <- unused.Wait(context.Background()) }()
		synctest.Wait()
		r.stop(unused)
		if err := <-waited; err != nil {
			r.t.Error(err)
		}
		if err := unused.Start(r.sys); !errors.Is(err, supervisor.ErrStopped) {
			r.t.Errorf("Start after Stop: %v", err)
		}
		r.expectTree(unused, "unused stopped")
	})
}

func TestNilArgumentsAreErrors(t *testing.T) {
	tree, err := supervisor.New("t", supervisor.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	var none context.Context
	for name, err := range map[string]error{
		"Start": tree.Start(nil), "Stop": tree.Stop(none), "Wait": tree.Wait(none),
		"Remove": tree.Remove(none, "a"), "Restart": tree.Restart(none, "a"), "Add": tree.Add(nil),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{}, r.players("a")...)
		if err := tree.Wait(r.within(time.Second)); !errors.Is(err, errEnded) {
			r.t.Errorf("got %v, want the cause", err)
		}
		waited := make(chan error, 1)
		go func() { waited <- tree.Wait(context.Background()) }()
		synctest.Wait()
		r.stop(tree)
		if err := <-waited; err != nil {
			r.t.Error(err)
		}
	})
}

func TestFailedSpawnUndoesTheStart(t *testing.T) {
	for name, props := range map[string]*proto.Props{
		"error": proto.PropsFromFunc(func(proto.Context) {}, proto.WithSpawnFunc(
			func(*proto.ActorSystem, string, *proto.Props, proto.SpawnerContext) (*proto.PID, error) {
				return nil, errBoom
			})),
		"producer panics": proto.PropsFromProducer(func() proto.Actor { panic(errBoom) }),
		"init panics":     proto.PropsFromFunc(func(proto.Context) {}, proto.WithOnInit(func(proto.Context) { panic(errBoom) })),
	} {
		t.Run(name, func(t *testing.T) {
			fake(t, func(r *rig) {
				children := append(r.players("a", "b"), supervisor.Actor("bad", props), r.player("never"))
				tree := r.tree("t", supervisor.Policy{}, children...)
				err := tree.Start(r.sys)
				const want = `supervisor: start of tree "t": supervisor: child "bad" of tree "t" could not be started: `
				if !errors.Is(err, errBoom) || !strings.HasPrefix(err.Error(), want) {
					r.t.Errorf("got %v, want %s...", err, want)
				}
				r.expectEvents("t/a started", "t/b started", "t/bad failed", "t/b stopped", "t/a stopped", "t/ gave up", "t/ stopped")
				if err := tree.Wait(r.ended()); !isFailed(err) {
					r.t.Errorf("Wait: %v", err)
				}
				if err := tree.Remove(context.Background(), "bad"); err != nil {
					r.t.Error(err)
				}
				if err := tree.Start(r.sys); err != nil {
					r.t.Errorf("second start: %v", err)
				}
				r.stop(tree)
			})
		})
	}
}

func TestStuckChildDoesNotHoldUpAFailedStart(t *testing.T) {
	fake(t, func(r *rig) {
		release := make(wait)
		stuck := supervisor.Service("stuck", func(context.Context) error { <-release; return nil })
		tree := r.tree("t", supervisor.Policy{}, stuck, supervisor.Actor("bad", proto.PropsFromProducer(func() proto.Actor { panic(errBoom) })))
		start := time.Now()
		if err := tree.Start(r.sys); !errors.Is(err, errBoom) || time.Since(start) != 5*time.Second {
			r.t.Errorf("got %v after %v", err, time.Since(start))
		}
		close(release)
	})
}

func TestTreeLivesOnce(t *testing.T) {
	fake(t, func(r *rig) {
		tree := r.grow("t", supervisor.Policy{}, r.players("a")...)
		if err := tree.Start(r.sys); err == nil || !strings.Contains(err.Error(), "lives already") {
			r.t.Errorf("got %v, want that it lives already", err)
		}
		if _, err := r.sys.ActorSystem().Root.SpawnNamed(tree.Props(), "elsewhere"); err == nil {
			r.t.Error("spawned twice")
		}
		twin := r.tree("t", supervisor.Policy{})
		if err := twin.Start(r.sys); err == nil || !strings.Contains(err.Error(), "taken") {
			r.t.Errorf("got %v, want that the name is taken", err)
		}
		r.stop(tree)
		if err := twin.Start(r.sys); err != nil {
			r.t.Error(err)
		}
	})
}

func TestSystemShowsAndStopsRoots(t *testing.T) {
	fake(t, func(r *rig) {
		inner := r.tree("inner", supervisor.Policy{}, r.players("a")...)
		tree := r.grow("t", supervisor.Policy{}, inner)
		want := []actor.TreeSnapshot{{Name: "t", State: "running", Children: []actor.TreeSnapshot{
			{Name: "inner", State: "running", Children: []actor.TreeSnapshot{{Name: "a", State: "running"}}},
		}}}
		synctest.Wait()
		if got := r.sys.Snapshot().Trees; !reflect.DeepEqual(got, want) {
			r.t.Errorf("got %+v, want %+v", got, want)
		}
		if r.sys.Units().Lookup("tree/t") == nil {
			r.t.Error("no unit")
		}
		if err := r.sys.Stop(context.Background()); err != nil {
			r.t.Error(err)
		}
		r.expectTree(tree, "t stopped [inner stopped [a stopped]]")
	})
}

func TestSnapshotIsPlainJSON(t *testing.T) {
	n := supervisor.Node{Name: "t", State: supervisor.StateRunning, Children: []supervisor.Node{{Name: "a", State: supervisor.StateDone, Restarts: 2, LastError: "boom"}}}
	data, err := json.Marshal(n)
	const want = `{"name":"t","state":"running","children":[{"name":"a","state":"done","restarts":2,"lastError":"boom"}]}`
	if err != nil || string(data) != want {
		t.Errorf("got %s, %v", data, err)
	}
	var back supervisor.Node
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, n) {
		t.Errorf("got %+v, %v", back, err)
	}
}

func TestFailedTreeCanBeStartedAgainAsSoonAsWaitReturns(t *testing.T) {
	fake(t, func(r *rig) {
		r.sys.ActorSystem().EventStream.Subscribe(func(e any) {
			if e, ok := e.(supervisor.Event); ok && e.Child == "" {
				time.Sleep(time.Second) // the tree takes its time
			}
		})
		tree := r.tree("t", supervisor.Policy{Decide: byText}, supervisor.Service("s", func(context.Context) error { return errEscalate }))
		for range 3 {
			if err := tree.Start(r.sys); err != nil {
				r.t.Fatal(err)
			}
			if err := tree.Wait(context.Background()); !isFailed(err) {
				r.t.Fatal(err)
			}
		}
		r.stop(tree)
	})
}

func TestStartThatStopOvertakesIsAnError(t *testing.T) {
	fake(t, func(r *rig) {
		var tree *supervisor.Tree
		stopped := make(chan error, 1)
		// The actor exists and has not come to its start.
		r.sys.Units().OnAdd = func() {
			go func() { stopped <- tree.Stop(context.Background()) }()
			synctest.Wait()
		}
		tree = r.tree("t", supervisor.Policy{}, r.players("a")...)
		if err := tree.Start(r.sys); !errors.Is(err, supervisor.ErrStopped) {
			r.t.Errorf("Start: %v", err)
		}
		if err := <-stopped; err != nil {
			r.t.Errorf("Stop: %v", err)
		}
		r.sys.Units().OnAdd = nil
		r.expectDone()
		r.expectTree(tree, "t stopped [a idle]")
	})
}
