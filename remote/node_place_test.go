package remote_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// whereabouts tells which node it runs on.
func whereabouts(ctx context.Context, _ int) (string, error) { return task.Info(ctx).Node, nil }

func TestBalanceSpreadsCallsOverNodes(t *testing.T) {
	for _, b := range []task.Balancing{task.Shared, task.RoundRobin, task.LeastActive, task.LeastTotal, task.Random} {
		t.Run(b.String(), func(t *testing.T) {
			var hosts []*site
			for range 3 {
				hosts = append(hosts, serving(t, remote.Config{}, "where", whereabouts))
			}
			far := placed[int, string](newSite(t, remote.Config{}), "where", []task.Option{task.Balance(b)}, hosts...)
			ready(t, far)
			const calls = 300
			got := make(map[string]int)
			for range calls {
				got[value(t, far.Submit(t.Context(), 0))]++
			}
			sum := 0
			for _, h := range hosts {
				n := got[h.node.Addr()]
				sum += n
				exact := b == task.RoundRobin || b == task.LeastTotal
				if exact && n != calls/3 || b == task.Random && (n < calls/6 || n > calls/2) {
					t.Errorf("%d of %d calls at a node", n, calls)
				}
			}
			if sum != calls {
				t.Errorf("ran at %v", got)
			}
			s := far.Stats()
			if len(s.PerWorker) != 3 || s.Finished != calls {
				t.Errorf("Stats = %+v", s)
			}
			for _, w := range s.PerWorker {
				if int(w.Total) != got[w.Name] || w.Active != 0 {
					t.Errorf("Stats of %s = %+v, want %d", w.Name, w, got[w.Name])
				}
			}
		})
	}
}

func TestNothingIsStuckBehindASlowNode(t *testing.T) {
	for _, b := range []task.Balancing{task.Shared, task.RoundRobin, task.LeastTotal, task.Random} {
		t.Run(b.String(), func(t *testing.T) {
			slow, quick := newLatch(), newLatch()
			close(quick.open)
			s := serving(t, remote.Config{Capacity: 1}, "wait", slow.pass)
			q := serving(t, remote.Config{Capacity: 1}, "wait", quick.pass)
			far := placed[int, int](newSite(t, remote.Config{}), "wait", []task.Option{task.Balance(b)}, s, q)
			ready(t, far)
			var fs []*task.Future[int]
			for i := range 200 {
				fs = append(fs, far.Submit(t.Context(), i))
			}
			await(t, "a call at the slow node", slow.began)
			for range len(fs) - 1 {
				await(t, "a call at the quick node", quick.began)
			}
			close(slow.open)
			for i, f := range fs {
				if v := value(t, f); v != i {
					t.Errorf("got %d", v)
				}
			}
			if n := len(slow.began); n != 0 {
				t.Errorf("%d more calls ran at the slow node", n)
			}
		})
	}
}

func TestTheLeastLoadedNodeGetsTheCall(t *testing.T) {
	large, small := newLatch(), newLatch()
	l := serving(t, remote.Config{Capacity: 6}, "wait", large.pass)
	s := serving(t, remote.Config{Capacity: 2}, "wait", small.pass)
	far := placed[int, int](newSite(t, remote.Config{}), "wait", []task.Option{task.Workers(8)}, s, l)
	ready(t, far)
	var fs []*task.Future[int]
	for i := range 8 {
		fs = append(fs, far.Submit(t.Context(), i))
	}
	for range 6 {
		await(t, "a call at the large node", large.began)
	}
	for range 2 {
		await(t, "a call at the small node", small.began)
	}
	close(large.open)
	close(small.open)
	for _, f := range fs {
		value(t, f)
	}
}

func TestActorsTalkToAPlacedTask(t *testing.T) {
	b := serving(t, remote.Config{}, "square", square)
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "square", nil, b)
	answer, err := a.sys.ActorSystem().Root.RequestFuture(far.PID(), 12, patience).Result()
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := answer.(actor.Result[int]); !ok || r.Err != nil || r.Value != 144 {
		t.Errorf("got %+v", answer)
	}
	wrong, err := a.sys.ActorSystem().Root.RequestFuture(far.PID(), "twelve", patience).Result()
	if r, ok := wrong.(actor.Result[int]); err != nil || !ok || !errors.As(r.Err, new(*actor.MessageError)) {
		t.Errorf("got %+v, %v", wrong, err)
	}
}

func TestAPlacedTaskLivesUnderAnyActor(t *testing.T) {
	b := serving(t, remote.Config{}, "square", square)
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "square", nil, b)
	root, spawned := a.sys.ActorSystem().Root, make(chan *proto.PID, 1)
	parent := root.Spawn(proto.PropsFromFunc(func(c proto.Context) {
		if _, ok := c.Message().(*proto.Started); ok {
			spawned <- c.Spawn(far.Props())
		}
	}))
	await(t, "the pool", spawned)
	if v := value(t, far.Submit(t.Context(), 5)); v != 25 {
		t.Errorf("got %d", v)
	}
	if err := root.StopFuture(parent).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := fault(t, far.Submit(t.Context(), 5)); !errors.Is(err, task.ErrStopped) {
		t.Errorf("got %v", err)
	}
}

func TestPlacedPoolsInASupervisionTree(t *testing.T) {
	b := serving(t, remote.Config{}, "square", square)
	s := newShelf()
	hosts := library(t, s, 1, remote.Config{})
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "square", nil, b)
	w := task.MustNewWorker(s.at("here"), task.Name("book"), task.System(a.sys), task.On(remote.Nodes(a.node, hosts[0].node.Addr())))
	tree, err := supervisor.New("tree", supervisor.Policy{}, far, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Start(a.sys); err != nil {
		t.Fatal(err)
	}
	if v := value(t, far.Submit(t.Context(), 5)); v != 25 {
		t.Errorf("got %d", v)
	}
	value(t, task.Ask(t.Context(), w, (*Book).Write, 1))
	if err := tree.Stop(soon(t.Context(), t)); err != nil {
		t.Errorf("Stop = %v", err)
	}
	if _, open := s.counts(); open != 0 {
		t.Errorf("%d books are open after the stop of the tree", open)
	}
}

func TestResizeOfAPlacedTask(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{Capacity: 8}, "wait", l.pass)
	far := placed[int, int](newSite(t, remote.Config{}), "wait", []task.Option{task.Workers(1)}, b)
	var fs []*task.Future[int]
	for i := range 6 {
		fs = append(fs, far.Submit(t.Context(), i))
	}
	await(t, "the first", l.began)
	if err := far.Resize(3); err != nil {
		t.Fatal(err)
	}
	await(t, "the second", l.began)
	await(t, "the third", l.began)
	if n := len(l.began); n != 0 {
		t.Errorf("%d more calls run", n)
	}
	close(l.open)
	for _, f := range fs {
		value(t, f)
	}
}

func TestDrainOfAPlacedTaskFinishesItsCalls(t *testing.T) {
	b := serving(t, remote.Config{}, "square", square)
	far := placed[int, int](newSite(t, remote.Config{}), "square", nil, b)
	var fs []*task.Future[int]
	for i := range 500 {
		fs = append(fs, far.Submit(t.Context(), i))
	}
	if r, err := far.Drain(soon(t.Context(), t)); err != nil || r.Cancelled+r.NeverStarted+r.Abandoned != 0 {
		t.Errorf("Drain = %+v, %v", r, err)
	}
	for i, f := range fs {
		if v := value(t, f); v != i*i {
			t.Errorf("got %d", v)
		}
	}
	if err := fault(t, far.Submit(t.Context(), 1)); !errors.Is(err, task.ErrStopped) {
		t.Errorf("got %v", err)
	}
}

func TestAWrongPlacementIsAnErrorOfNew(t *testing.T) {
	a := newSite(t, remote.Config{})
	for want, p := range map[string]task.Placement{
		"nil Node":             remote.Nodes(nil, "127.0.0.1:1"),
		"at least one address": remote.Nodes(a.node),
		`"nowhere"`:            remote.Nodes(a.node, "nowhere"),
		"there twice":          remote.Nodes(a.node, "127.0.0.1:1", "127.0.0.1:1"),
	} {
		if _, err := task.New(square, task.System(a.sys), task.On(p)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestOnDemandCallsElsewhere(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{Capacity: 4}, "wait", l.pass)
	far := placed[int, int](newSite(t, remote.Config{}), "wait", []task.Option{task.OnDemand()}, b)
	var fs []*task.Future[int]
	for i := range 10 {
		fs = append(fs, far.Submit(t.Context(), i))
	}
	for range 4 {
		await(t, "a call", l.began)
	}
	close(l.open)
	for _, f := range fs {
		value(t, f)
	}
	far.Stop()
}
