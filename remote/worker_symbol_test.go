package remote_test

import (
	"context"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// Dict is a state that is no pointer.
type Dict map[string]int

// Put sets a key to the length of it.
func (d Dict) Put(_ context.Context, key string) (int, error) {
	d[key] = len(key)
	return len(d), nil
}

// Sized is a state that is an interface.
type Sized interface {
	Size(ctx context.Context) (int, error)
}

// Size makes a Dict Sized.
func (d Dict) Size(context.Context) (int, error) { return len(d), nil }

// Album has the methods of a Dict.
type Album struct{ Dict }

// Box is a generic state.
type Box[T any] struct{ in T }

// Swap puts something else into the box.
func (b *Box[T]) Swap(_ context.Context, in T) (T, error) {
	b.in, in = in, b.in
	return in, nil
}

// farWorker places a worker whose init is the same on both sides.
func farWorker[S any](t *testing.T, init func(context.Context) (S, error)) *task.Worker[S] {
	t.Helper()
	b, a := newSite(t, remote.Config{}), newSite(t, remote.Config{})
	task.MustNewWorker(init, task.Name("state"), task.System(b.sys))
	b.serve()
	return task.MustNewWorker(init, task.Name("state"), task.System(a.sys), task.On(remote.Nodes(a.node, b.node.Addr())))
}

func TestMethodsOfAllKindsOfStatesAreFound(t *testing.T) {
	dict := farWorker(t, func(context.Context) (Dict, error) { return Dict{}, nil })
	value(t, task.Ask(t.Context(), dict, Dict.Put, "one"))
	if n := value(t, task.Ask(t.Context(), dict, Dict.Put, "two")); n != 2 {
		t.Errorf("a map: got %d", n)
	}
	sized := farWorker(t, func(context.Context) (Sized, error) { return Dict{"one": 3}, nil })
	if n := value(t, task.Do(t.Context(), sized, Sized.Size)); n != 1 {
		t.Errorf("an interface: got %d", n)
	}
	album := farWorker(t, func(context.Context) (*Album, error) { return &Album{Dict: Dict{}}, nil })
	if n := value(t, task.Ask(t.Context(), album, (*Album).Put, "one")); n != 1 {
		t.Errorf("an embedded method: got %d", n)
	}
}

// Drawer is what a Box has to be in to be reached.
type Drawer struct{ Box[int] }

func TestMethodsOfGenericStates(t *testing.T) {
	box := farWorker(t, func(context.Context) (*Box[int], error) { return &Box[int]{in: 5}, nil })
	e := as[*task.MethodError](t, fault(t, task.Ask(t.Context(), box, (*Box[int]).Swap, 6)))
	if !strings.Contains(e.Reason, "generic") {
		t.Errorf("got %v", e)
	}
	drawer := farWorker(t, func(context.Context) (*Drawer, error) { return &Drawer{Box[int]{in: 5}}, nil })
	if v := value(t, task.Ask(t.Context(), drawer, (*Drawer).Swap, 6)); v != 5 {
		t.Errorf("got %d", v)
	}
}
