package remote_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// shelf makes books, on all nodes of a test, and knows which are open.
type shelf struct {
	mu     sync.Mutex
	made   int
	open   map[*Book]bool
	faults []string
	closed chan *Book
	refuse error // of init
}

func newShelf() *shelf { return &shelf{open: make(map[*Book]bool), closed: make(chan *Book, 1000)} }

// at returns the init of a node.
func (s *shelf) at(node string) func(context.Context) (*Book, error) {
	return func(context.Context) (*Book, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.refuse != nil {
			return nil, s.refuse
		}
		s.made++
		b := &Book{shelf: s, node: node, number: s.made, latch: newLatch()}
		s.open[b] = true
		return b, nil
	}
}

// counts returns how many books were made so far, and how many are open.
func (s *shelf) counts() (made, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made, len(s.open)
}

// Book is the state of a member: what it was told, and where it is.
type Book struct {
	shelf  *shelf
	node   string
	number int
	lines  []int
	latch  *latch
}

// Where is a member.
type Where struct {
	Node   string
	Number int
	Lines  []int
}

// Write adds a line and returns how many there are.
func (b *Book) Write(_ context.Context, line int) (int, error) {
	b.lines = append(b.lines, line)
	return len(b.lines), nil
}

// Read tells where the book is and what it says.
func (b *Book) Read(context.Context) (Where, error) {
	return Where{Node: b.node, Number: b.number, Lines: b.lines}, nil
}

// Page is Read for calls with a key.
func (b *Book) Page(ctx context.Context, _ int) (Where, error) { return b.Read(ctx) }

// Tear fails as fail does.
func (b *Book) Tear(ctx context.Context, how string) (int, error) { return fail(ctx, how) }

// Hold waits until the test lets it go.
func (b *Book) Hold(ctx context.Context, x int) (int, error) { return held.pass(ctx, x) }

func (b *Book) hidden(context.Context, int) (int, error) { return 0, nil }

// Close may be called once.
func (b *Book) Close() error {
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	if !b.shelf.open[b] {
		b.shelf.faults = append(b.shelf.faults, fmt.Sprintf("book %d was closed twice", b.number))
		return errors.New("closed twice")
	}
	delete(b.shelf.open, b)
	b.shelf.closed <- b
	return nil
}

// held is what Hold waits at; tests that use it do not run side by side.
var held = newLatch()

// library starts nodes that have books.
func library(t *testing.T, s *shelf, n int, cfg remote.Config, opts ...task.Option) (hosts []*site) {
	t.Helper()
	for range n {
		h := newSite(t, cfg)
		opts := append([]task.Option{task.Name("book"), task.System(h.sys)}, opts...)
		if _, err := task.NewWorker(s.at(h.node.Addr()), opts...); err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h.serve())
	}
	return hosts
}

// books places the worker on hosts. At the end of the test all must be closed,
// each once.
func books(t *testing.T, s *shelf, opts []task.Option, hosts ...*site) *task.Worker[*Book] {
	t.Helper()
	a := newSite(t, remote.Config{})
	here := func(context.Context) (*Book, error) {
		t.Error("a book was made here")
		return nil, errPrivate
	}
	opts = append([]task.Option{task.Name("book"), task.System(a.sys), task.On(remote.Nodes(a.node, addrs(hosts)...))}, opts...)
	w, err := task.NewWorker(here, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Stop()
		for _, open := s.counts(); open > 0; _, open = s.counts() {
			await(t, "the close of a book", s.closed)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, f := range s.faults {
			t.Error(f)
		}
	})
	return w
}
