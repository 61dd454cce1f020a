package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/supervisor"
)

// Everything at once, in real time: whatever wins, nothing stays behind and
// nobody hangs.
func TestTreeSurvivesEverythingAtOnce(t *testing.T) {
	for scope := supervisor.OneForOne; scope <= supervisor.RestForOne; scope++ {
		t.Run(scope.String(), func(t *testing.T) {
			r := newRig(t)
			for range 20 {
				r.storm(supervisor.Policy{
					Scope: scope, MaxRestarts: 500, Decide: byText,
					Backoff: supervisor.Backoff{Initial: 1, Max: 100_000, Jitter: 1},
				})
			}
			if err := r.sys.Stop(r.within(patience)); err != nil {
				t.Error(err)
			}
			if n := len(r.sys.Units().Units()); n > 0 {
				t.Errorf("%d units are left", n)
			}
		})
	}
}

// storm lets many crash, add, remove, restart and look at a tree until somebody
// stops it.
func (r *rig) storm(p supervisor.Policy) {
	flaky := supervisor.Service("flaky", func(ctx context.Context) error {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rand.IntN(1_000_000))):
		}
		return errBoom
	})
	v := &victims{rig: r, living: make(map[string]proto.Process)}
	low := r.tree("low", p, v.player("x"), v.player("y"))
	tree := r.tree("t", p, v.player("a"), v.player("b"), low, flaky)
	if err := tree.Start(r.sys); err != nil {
		r.t.Error(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { v.mischief(ctx, tree, i) })
	}
	wg.Go(func() {
		<-time.After(time.Duration(rand.IntN(10_000_000)))
		if err := tree.Stop(ctx); err != nil {
			r.t.Error(err)
		}
	})
	if err := tree.Wait(ctx); err != nil && !isFailed(err) {
		r.t.Error(err)
	}
	wg.Wait()
	for _, n := range tree.Snapshot().Children {
		if n.State == supervisor.StateRunning || n.State == supervisor.StateRestarting || n.State == supervisor.StateStopping {
			r.t.Errorf("left: %+v", n)
		}
	}
}

func (v *victims) mischief(ctx context.Context, tree *supervisor.Tree, i int) {
	names := []string{"a", "b", "x", "y", "n0", "n1", "n2", "n3"}
	for {
		var err error
		own := fmt.Sprint("n", i)
		switch rand.IntN(6) {
		case 0:
			err = tree.Add(v.player(own))
		case 1:
			err = tree.Remove(ctx, own)
		case 2:
			err = tree.Restart(ctx, []string{"a", "b", "low", "flaky", own}[rand.IntN(5)])
		case 3:
			tree.Snapshot()
		default:
			for range 5 {
				v.crash(names[rand.IntN(len(names))], errBoom)
			}
		}
		if errors.Is(err, supervisor.ErrStopped) || ctx.Err() != nil {
			return
		}
	}
}

// victims are the living processes of children by name. Sending to a name
// could meet an actor half made: the engine registers it before it can take
// messages, and it would never take any then.
type victims struct {
	*rig
	mu     sync.Mutex
	living map[string]proto.Process
}

func (v *victims) player(name string) supervisor.Child {
	return supervisor.Actor(name, proto.PropsFromFunc(func(ctx proto.Context) {
		switch msg := ctx.Message().(type) {
		case *proto.Started:
			process, _ := ctx.ActorSystem().ProcessRegistry.Get(ctx.Self())
			v.mu.Lock()
			defer v.mu.Unlock()
			v.living[name] = process
		case error:
			panic(msg)
		}
	}))
}

func (v *victims) crash(name string, err error) {
	v.mu.Lock()
	process := v.living[name]
	v.mu.Unlock()
	if process != nil {
		process.SendUserMessage(nil, err)
	}
}
