package remote_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// stop ends the node of s, with all that it has.
func (s *site) stop() {
	s.t.Helper()
	if err := s.node.Stop(soon(context.Background(), s.t)); err != nil {
		s.t.Errorf("Stop = %v", err)
	}
}

// home is where the member of a key is.
func home(t *testing.T, w *task.Worker[*Book], key string) Where {
	t.Helper()
	for {
		at, err := task.AskKey(t.Context(), w, key, (*Book).Page, 0).Await(soon(context.Background(), t))
		if err == nil {
			return at
		}
		if !errors.Is(err, task.ErrLost) { // it was sent before the loss was noticed
			t.Fatalf("key %s: %v", key, err)
		}
	}
}

func TestALostNodeMovesItsMembers(t *testing.T) {
	s := newShelf()
	hosts := library(t, s, 2, remote.Config{})
	w := books(t, s, []task.Option{task.Workers(4)}, hosts...)
	ready(t, w)
	for k := range 20 {
		value(t, task.AskKey(t.Context(), w, fmt.Sprint(k), (*Book).Write, k))
	}
	lost := hosts[0]
	lost.stop()
	for k := range 20 {
		if at := home(t, w, fmt.Sprint(k)); at.Node != hosts[1].node.Addr() {
			t.Errorf("key %d is at %s", k, at.Node)
		}
	}
	made, open := s.counts()
	if made != 6 || open != 4 {
		t.Errorf("made %d, open %d: want 6 and 4", made, open)
	}
}

func TestACallThatRunsWhenItsNodeIsLost(t *testing.T) {
	held = newLatch()
	s := newShelf()
	hosts := library(t, s, 2, remote.Config{})
	w := books(t, s, []task.Option{task.Workers(1)}, hosts...)
	first := value(t, task.Do(t.Context(), w, (*Book).Read))
	f := task.Ask(t.Context(), w, (*Book).Hold, 1)
	await(t, "the call", held.began)
	later := task.Do(t.Context(), w, (*Book).Read)
	hosts[index(hosts, first.Node)].stop()
	lost := as[*task.LostError](t, fault(t, f))
	if !lost.Started || lost.Node != first.Node || lost.Worker != "book" || !errors.Is(lost, task.ErrLost) {
		t.Errorf("got %+v", lost)
	}
	if at := value(t, later); at.Node == first.Node || at.Number == first.Number {
		t.Errorf("the next call ran at %+v", at)
	}
	if st := w.Stats(); st.Restarts != 1 {
		t.Errorf("Restarts = %d", st.Restarts)
	}
}

func index(hosts []*site, addr string) int {
	for i, h := range hosts {
		if h.node.Addr() == addr {
			return i
		}
	}
	return -1
}

func TestAnIdempotentMethodRunsAgainElsewhere(t *testing.T) {
	held = newLatch()
	s := newShelf()
	hosts := library(t, s, 2, remote.Config{})
	w := books(t, s, []task.Option{task.Idempotent()}, hosts...)
	first := value(t, task.Do(t.Context(), w, (*Book).Read))
	f := task.Ask(t.Context(), w, (*Book).Hold, 7)
	await(t, "the call", held.began)
	hosts[index(hosts, first.Node)].stop()
	await(t, "the second run", held.began)
	close(held.open)
	if v := value(t, f); v != 7 {
		t.Errorf("got %d", v)
	}
}

func TestTheLossOfManyMembersIsOneFailure(t *testing.T) {
	s := newShelf()
	hosts := library(t, s, 2, remote.Config{})
	w := books(t, s, []task.Option{task.Workers(40), task.Supervise(supervisor.Policy{MaxRestarts: 1, Within: time.Hour})}, hosts...)
	ready(t, w)
	hosts[0].stop()
	for k := range 40 {
		if at := home(t, w, fmt.Sprint(k)); at.Node != hosts[1].node.Addr() {
			t.Errorf("key %d is at %s", k, at.Node)
		}
	}
	ready(t, w)
	if made, open := s.counts(); made != 60 || open != 40 {
		t.Errorf("made %d, open %d: want 60 and 40", made, open)
	}
}

func TestTheBudgetEndsWithTheNodes(t *testing.T) {
	s := newShelf()
	hosts := library(t, s, 3, remote.Config{})
	w := books(t, s, []task.Option{task.Supervise(supervisor.Policy{MaxRestarts: 1, Within: time.Hour})}, hosts...)
	for range 2 {
		hosts[index(hosts, home(t, w, "any").Node)].stop()
	}
	err := fault(t, task.Do(t.Context(), w, (*Book).Read))
	for !errors.Is(err, task.ErrFailed) { // the loss itself may come first
		if !errors.Is(err, task.ErrLost) {
			t.Fatalf("got %v", err)
		}
		err = fault(t, task.Do(t.Context(), w, (*Book).Read))
	}
}

func TestADrainMovesMembersAtNoCost(t *testing.T) {
	held = newLatch()
	s := newShelf()
	hosts := library(t, s, 2, remote.Config{})
	w := books(t, s, []task.Option{task.Workers(6), task.Supervise(supervisor.Policy{MaxRestarts: 1, Within: time.Hour})}, hosts...)
	ready(t, w)
	for range 3 { // each time all that are there move to the other node
		for i, h := range hosts {
			other := hosts[1-i]
			h.close()
			for k := range 12 {
				if at := home(t, w, fmt.Sprint(k)); at.Node != other.node.Addr() {
					t.Fatalf("key %d is at %s, which drains", k, at.Node)
				}
			}
			for b := range s.left() {
				if b.node == h.node.Addr() {
					t.Errorf("book %d is open at %s, which has drained", b.number, b.node)
				}
			}
			h.serve()
			ready(t, w)
		}
	}
}

// left returns the books that are open.
func (s *shelf) left() map[*Book]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[*Book]bool)
	for b := range s.open {
		all[b] = true
	}
	return all
}

func TestADrainWaitsForTheMethodThatRuns(t *testing.T) {
	held = newLatch()
	s := newShelf()
	hosts := library(t, s, 2, remote.Config{})
	w := books(t, s, nil, hosts...)
	first := value(t, task.Do(t.Context(), w, (*Book).Read))
	f := task.Ask(t.Context(), w, (*Book).Hold, 7)
	await(t, "the call", held.began)
	later := task.Do(t.Context(), w, (*Book).Read)
	h := hosts[index(hosts, first.Node)]
	h.end()
	select {
	case err := <-h.over:
		t.Fatalf("Serve = %v while a method runs", err)
	case <-time.After(5 * beat):
	}
	close(held.open)
	if v := value(t, f); v != 7 {
		t.Errorf("got %d", v)
	}
	if err := await(t, "the end of Serve", h.over); err != nil {
		t.Errorf("Serve = %v", err)
	}
	if at := value(t, later); at.Node == first.Node {
		t.Errorf("the next call ran where it drains")
	}
}

func TestMembersWaitForANodeThatIsNotThere(t *testing.T) {
	s := newShelf()
	hosts := library(t, s, 1, remote.Config{})
	w := books(t, s, nil, hosts...)
	first := value(t, task.Do(t.Context(), w, (*Book).Read))
	addr := first.Node
	hosts[0].stop()
	f := task.Do(t.Context(), w, (*Book).Read)
	h := newSite(t, remote.Config{Listen: addr})
	task.MustNewWorker(s.at(addr), task.Name("book"), task.System(h.sys))
	h.serve()
	at, err := f.Await(soon(context.Background(), t))
	if err != nil && !errors.Is(err, task.ErrLost) {
		t.Fatal(err)
	}
	if err == nil && at.Number == first.Number {
		t.Errorf("ran at %+v", at)
	}
	ready(t, w)
}

// A drain that was given up leaves members behind, whose owners close them.
func TestMembersLeaveANodeWhoseDrainWasGivenUp(t *testing.T) {
	held = newLatch()
	s := newShelf()
	hosts := library(t, s, 2, remote.Config{})
	w := books(t, s, nil, hosts...)
	first := value(t, task.Do(t.Context(), w, (*Book).Read))
	f := task.Ask(t.Context(), w, (*Book).Hold, 7)
	await(t, "the call", held.began)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errSoldOut)
	if err := hosts[index(hosts, first.Node)].node.Drain(ctx); !errors.Is(err, errSoldOut) {
		t.Errorf("Drain = %v", err)
	}
	close(held.open)
	if v := value(t, f); v != 7 {
		t.Errorf("got %d", v)
	}
	if b := await(t, "the close", s.closed); b.number != first.Number {
		t.Errorf("book %d was closed, want %d", b.number, first.Number)
	}
	if at := value(t, task.Do(t.Context(), w, (*Book).Read)); at.Node == first.Node {
		t.Errorf("the member is where nobody serves")
	}
}
