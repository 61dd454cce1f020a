package remote_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

func TestAMemberOnANodeKeepsItsState(t *testing.T) {
	s := newShelf()
	w := books(t, s, nil, library(t, s, 1, remote.Config{})...)
	ready(t, w)
	var fs []*task.Future[int]
	for i := range 1000 {
		fs = append(fs, task.Ask(t.Context(), w, (*Book).Write, i))
	}
	for i, f := range fs {
		if n := value(t, f); n != i+1 {
			t.Fatalf("call %d was number %d", i, n)
		}
	}
	at := value(t, task.Do(t.Context(), w, (*Book).Read))
	if len(at.Lines) != 1000 || !slices.IsSorted(at.Lines) {
		t.Errorf("%d lines, in order: %v", len(at.Lines), slices.IsSorted(at.Lines))
	}
	if made, open := s.counts(); made != 1 || open != 1 {
		t.Errorf("made %d, open %d", made, open)
	}
	w.Stop()
	if _, open := s.counts(); open != 0 {
		t.Errorf("%d books are open after Stop", open)
	}
}

func TestAKeyStaysAtItsMember(t *testing.T) {
	s := newShelf()
	w := books(t, s, []task.Option{task.Workers(6)}, library(t, s, 3, remote.Config{})...)
	ready(t, w)
	var fs []*task.Future[int]
	for i := range 600 {
		fs = append(fs, task.AskKey(t.Context(), w, fmt.Sprint("key ", i%20), (*Book).Write, i))
	}
	for _, f := range fs {
		value(t, f)
	}
	nodes, members := make(map[string]bool), make(map[int]bool)
	for k := range 20 {
		at := value(t, task.AskKey(t.Context(), w, fmt.Sprint("key ", k), (*Book).Page, 0))
		nodes[at.Node], members[at.Number] = true, true
		if !slices.IsSorted(at.Lines) || !slices.Contains(at.Lines, k) || !slices.Contains(at.Lines, 580+k) {
			t.Errorf("key %d is not as it was written: %v", k, at.Lines)
		}
	}
	if len(nodes) != 3 || len(members) < 4 {
		t.Errorf("20 keys on %d nodes, with %d members", len(nodes), len(members))
	}
}

func TestMethodsThatNobodyCouldFindAreErrors(t *testing.T) {
	s := newShelf()
	w := books(t, s, nil, library(t, s, 1, remote.Config{})...)
	ready(t, w)
	literal := func(*Book, context.Context, int) (int, error) { return 0, nil }
	b := &Book{}
	bound := func(_ *Book, ctx context.Context, x int) (int, error) { return b.Write(ctx, x) }
	for what, f := range map[string]*task.Future[int]{
		"a literal":            task.Ask(t.Context(), w, literal, 1),
		"a closure":            task.Ask(t.Context(), w, bound, 1),
		"an unexported method": task.Ask(t.Context(), w, (*Book).hidden, 1),
		"a function":           task.Ask(t.Context(), w, writeTo, 1),
		"a literal for Do":     task.Do(t.Context(), w, func(*Book, context.Context) (int, error) { return 0, nil }),
	} {
		e := as[*task.MethodError](t, fault(t, f))
		if e.Worker != "book" || e.Method == "" || !strings.Contains(e.Error(), "book") {
			t.Errorf("%s: %v", what, e)
		}
	}
	err := fault(t, task.Ask(t.Context(), w.With(task.Retries(task.RetryPolicy{Max: 3})), literal, 1))
	as[*task.MethodError](t, err)
	if n := value(t, task.Ask(t.Context(), w, (*Book).Write, 1)); n != 1 {
		t.Errorf("the member was made anew: line %d", n)
	}
}

func writeTo(b *Book, ctx context.Context, x int) (int, error) { return b.Write(ctx, x) }

func TestErrorsOfMethodsLeaveTheMemberAsItIs(t *testing.T) {
	s := newShelf()
	w := books(t, s, nil, library(t, s, 1, remote.Config{})...)
	value(t, task.Ask(t.Context(), w, (*Book).Write, 1))
	for how, want := range map[string]error{"wrapped": errSoldOut, "goexit": task.ErrGoexit, "panic of another": task.ErrPanicked} {
		if err := fault(t, task.Ask(t.Context(), w, (*Book).Tear, how)); !errors.Is(err, want) {
			t.Errorf("%s: got %v", how, err)
		}
	}
	if n := value(t, task.Ask(t.Context(), w, (*Book).Write, 1)); n != 2 {
		t.Errorf("the member was made anew: line %d", n)
	}
	if made, _ := s.counts(); made != 1 {
		t.Errorf("made %d books", made)
	}
}

func TestAPanicInAMethodRestartsTheMemberThere(t *testing.T) {
	s := newShelf()
	w := books(t, s, nil, library(t, s, 1, remote.Config{})...)
	first := value(t, task.Do(t.Context(), w, (*Book).Read))
	f := task.Ask(t.Context(), w, (*Book).Tear, "panic")
	later := task.Ask(t.Context(), w, (*Book).Write, 1) // waits for the fresh state
	p := as[*task.PanicError](t, fault(t, f))
	if !strings.Contains(string(p.Stack), "Book") {
		t.Errorf("the stack is not that of the method:\n%s", p.Stack)
	}
	if n := value(t, later); n != 1 {
		t.Errorf("line %d, want a fresh state", n)
	}
	if b := await(t, "the close of the first", s.closed); b.number != first.Number {
		t.Errorf("book %d was closed, want %d", b.number, first.Number)
	}
	if st := w.Stats(); st.Restarts != 1 || st.Panicked != 1 {
		t.Errorf("Stats = %+v", st)
	}
}

func TestAnInitThatFailsThereFailsReadyAndCalls(t *testing.T) {
	s := newShelf()
	s.refuse = fmt.Errorf("no paper: %w", errSoldOut)
	w := books(t, s, nil, library(t, s, 1, remote.Config{})...)
	if err := w.Ready(soon(t.Context(), t)); !errors.Is(err, errSoldOut) {
		t.Errorf("Ready = %v", err)
	}
	if err := fault(t, task.Ask(t.Context(), w, (*Book).Write, 1)); !errors.Is(err, errSoldOut) || !strings.Contains(err.Error(), "no paper") {
		t.Errorf("got %v", err)
	}
	s.mu.Lock()
	s.refuse = nil
	s.mu.Unlock()
	if n := value(t, task.Ask(t.Context(), w, (*Book).Write, 1)); n != 1 {
		t.Errorf("line %d", n)
	}
}

func TestAnInitThatPanicsThere(t *testing.T) {
	h := newSite(t, remote.Config{})
	task.MustNewWorker(func(context.Context) (*Book, error) { panic("no paper") }, task.Name("book"), task.System(h.sys))
	h.serve()
	w := books(t, newShelf(), nil, h)
	p := as[*task.PanicError](t, w.Ready(soon(t.Context(), t)))
	if p.Value != "no paper" || len(p.Stack) == 0 {
		t.Errorf("got %v", p)
	}
}

func TestAWorkerOfAnotherStateIsRefused(t *testing.T) {
	h := newSite(t, remote.Config{})
	task.MustNewWorker(func(context.Context) (int, error) { return 0, nil }, task.Name("book"), task.System(h.sys))
	h.serve()
	w := books(t, newShelf(), nil, h)
	e := as[*remote.SchemaError](t, fault(t, task.Ask(t.Context(), w, (*Book).Write, 1)))
	if e.Node != h.node.Addr() || !strings.Contains(e.Error(), "Book") {
		t.Errorf("got %v", e)
	}
	as[*remote.SchemaError](t, w.Ready(soon(t.Context(), t)))
	for range 30 { // none of this spends the budget of the policy
		as[*remote.SchemaError](t, w.Ready(soon(t.Context(), t)))
		as[*remote.SchemaError](t, fault(t, task.Ask(t.Context(), w, (*Book).Write, 1)))
	}
}

func TestConcurrentMethodsOfAMemberInterleave(t *testing.T) {
	held = newLatch()
	s := newShelf()
	w := books(t, s, []task.Option{task.Concurrent(3)}, library(t, s, 1, remote.Config{Capacity: 5})...)
	var fs []*task.Future[int]
	for i := range 6 {
		fs = append(fs, task.Ask(t.Context(), w, (*Book).Hold, i))
	}
	for range 3 {
		await(t, "a call", held.began)
	}
	if n := len(held.began); n != 0 {
		t.Errorf("%d more calls run", n)
	}
	close(held.open)
	for i, f := range fs {
		if v := value(t, f); v != i {
			t.Errorf("got %d", v)
		}
	}
	if made, _ := s.counts(); made != 1 {
		t.Errorf("made %d books", made)
	}
}

func TestTheEndOfACallReachesItsMethod(t *testing.T) {
	held = newLatch()
	s := newShelf()
	w := books(t, s, nil, library(t, s, 1, remote.Config{})...)
	ctx, cancel := context.WithCancelCause(t.Context())
	f := task.Ask(ctx, w, (*Book).Hold, 1)
	await(t, "the method", held.began)
	cancel(errSoldOut)
	if err := fault(t, f); !errors.Is(err, errSoldOut) {
		t.Errorf("got %v", err)
	}
	if err := await(t, "the end", held.ended); !errors.Is(err, errSoldOut) {
		t.Errorf("the method got %v", err)
	}
	if n := value(t, task.Ask(t.Context(), w, (*Book).Write, 1)); n != 1 {
		t.Errorf("line %d", n)
	}
}
