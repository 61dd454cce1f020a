package remote_test

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// A node that is busy for long is sent one call ahead, which is called back, and
// no other until it has answered one: they would come and go for ever, and be
// lost with the node although it never ran them.
func TestWhatWasCalledBackIsNotReplaced(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{Capacity: 1}, "wait", l.pass)
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "wait", []task.Option{task.Workers(8)}, b)
	ready(t, far)
	var fs []*task.Future[int]
	for i := range 4 {
		fs = append(fs, far.Submit(t.Context(), i))
	}
	await(t, "the first call", l.began)
	busy := func() (active int, total uint64) {
		for _, m := range a.node.Members() {
			if m.Addr == b.node.Addr() {
				return m.Active, m.Total
			}
		}
		return 0, 0
	}
	for deadline := time.Now().Add(patience); ; {
		if active, total := busy(); active == 1 && total == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the call that was sent ahead did not come back")
		}
	}
	for range 5 { // as often as another would come and go
		<-time.After(30 * time.Millisecond)
		if active, total := busy(); active != 1 || total != 2 {
			t.Fatalf("%d calls are there, and %d were sent: want 1 and 2", active, total)
		}
	}
	close(l.open)
	for i, f := range fs {
		if v := value(t, f); v != i {
			t.Errorf("got %d, want %d", v, i)
		}
	}
}

// A drain waits until owners know of it. One that connects just then must not be
// left with the news that the node serves.
func TestADrainWhileOwnersConnectEnds(t *testing.T) {
	b := newSite(t, remote.Config{})
	offer(b, "square", square)
	a := newSite(t, remote.Config{})
	for range 50 {
		far := placed[int, int](a, "square", nil, b)
		ctx, end := context.WithCancel(t.Context())
		served := make(chan error, 1)
		f := far.Submit(t.Context(), 3) // connects
		go func() { served <- b.node.Serve(ctx) }()
		go end()
		if err := await(t, "the end of Serve", served); err != nil {
			t.Fatal(err)
		}
		ctx, end = context.WithCancel(t.Context())
		go func() { served <- b.node.Serve(ctx) }()
		if v := value(t, f); v != 9 {
			t.Fatalf("got %d", v)
		}
		end()
		if err := await(t, "the end of Serve", served); err != nil {
			t.Fatal(err)
		}
		far.Stop()
	}
}
