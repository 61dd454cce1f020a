package host_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/internal/host"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type unit struct{ id int }

func (*unit) Stop(context.Context) error { return nil }
func (u *unit) Describe() any            { return u.id }

// newcomer is a unit that wants to know its name.
type newcomer struct {
	unit
	name string
}

func (n *newcomer) Named(name string) { n.name = name }

func (n *newcomer) Describe() any { return n.name }

func TestAUnitKnowsItsNameBeforeItIsSeen(t *testing.T) {
	var r host.Registry
	r.OnAdd = func() {
		for _, u := range r.Units() {
			if n := u.(*newcomer); n.name == "" || r.Lookup(n.name) != u {
				t.Errorf("a unit that can be seen believes that its name is %q", n.name)
			}
		}
	}
	for _, want := range []string{"a", "a-2", "a-3"} {
		n := &newcomer{}
		if got := add(t, &r, "a", false, n); got != want || n.name != want {
			t.Errorf("Add returned %q and told %q, want %q", got, n.name, want)
		}
	}
	var refused newcomer
	if _, err := r.Add("a", "task", true, &refused); err == nil || refused.name != "" {
		t.Errorf("a unit whose name is taken was told %q, and the error is %v", refused.name, err)
	}
}

func add(t *testing.T, r *host.Registry, name string, unique bool, u host.Unit) string {
	t.Helper()
	got, err := r.Add(name, "task", unique, u)
	if err != nil {
		t.Fatalf("Add(%q): %v", name, err)
	}
	return got
}

func ids(r *host.Registry) []int {
	var ids []int
	for _, u := range r.Units() {
		ids = append(ids, u.Describe().(int))
	}
	return ids
}

func TestNamesAreUniqueWhileAlive(t *testing.T) {
	var r host.Registry
	first := &unit{}
	for _, tt := range []struct {
		name, want string
		unique     bool
	}{
		{"a", "a", true},
		{"a", "a-2", false},
		{"a", "a-3", false},
		{"", "task-1", false},
		{"", "task-2", true},
		{"task-3", "task-3", true},
		{"", "task-3-2", false},
		{"", "task-4", false},
	} {
		if got := add(t, &r, tt.name, tt.unique, first); got != tt.want {
			t.Errorf("Add(%q): got name %q, want %q", tt.name, got, tt.want)
		}
	}
	if _, err := r.Add("a", "task", true, &unit{}); err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("Add of a taken name: got error %v, want one that names it", err)
	}
	r.Remove("a", first)
	if got := add(t, &r, "a", true, &unit{}); got != "a" {
		t.Errorf("Add of a freed name: got %q, want %q", got, "a")
	}
}

func TestUnitsComeInOrderOfRegistration(t *testing.T) {
	var r host.Registry
	units := make([]*unit, 5)
	for i := range units {
		units[i] = &unit{id: i}
		add(t, &r, fmt.Sprint(i), true, units[i])
	}
	for _, step := range []struct {
		remove int
		want   []int
	}{
		{2, []int{0, 1, 3, 4}},
		{2, []int{0, 1, 3, 4}},
		{0, []int{1, 3, 4}},
		{4, []int{1, 3}},
	} {
		r.Remove(fmt.Sprint(step.remove), units[step.remove])
		if got := ids(&r); !slices.Equal(got, step.want) {
			t.Errorf("after Remove(%d): got %v, want %v", step.remove, got, step.want)
		}
	}
	add(t, &r, "5", true, &unit{id: 5})
	if got, want := ids(&r), []int{1, 3, 5}; !slices.Equal(got, want) {
		t.Errorf("after another Add: got %v, want %v", got, want)
	}
}

func TestOnlyTheHolderFreesAName(t *testing.T) {
	var r host.Registry
	holder := &unit{id: 1}
	add(t, &r, "a", true, holder)
	r.Remove("a", &unit{id: 2})
	r.Remove("b", holder)
	if got := r.Lookup("a"); got != host.Unit(holder) {
		t.Errorf("Lookup: got %v, want the holder", got)
	}
	r.Remove("a", holder)
	if got := r.Lookup("a"); got != nil {
		t.Errorf("Lookup of a freed name: got %v, want nil", got)
	}
}

func TestOnAddIsCalledOutsideOfTheLock(t *testing.T) {
	var r host.Registry
	var seen []int
	r.OnAdd = func() { seen = append(seen, len(r.Units())) }
	add(t, &r, "a", true, &unit{})
	if _, err := r.Add("a", "task", true, &unit{}); err == nil {
		t.Error("Add of a taken name: got no error")
	}
	add(t, &r, "b", true, &unit{})
	if want := []int{1, 2}; !slices.Equal(seen, want) {
		t.Errorf("units at each OnAdd: got %v, want %v", seen, want)
	}
}

func TestRegistryUnderStress(t *testing.T) {
	var r host.Registry
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 500 {
				u := &unit{id: i}
				name, err := r.Add("same", "task", false, u)
				if err != nil || r.Lookup(name) != host.Unit(u) {
					t.Errorf("Add: got %q, %v", name, err)
				}
				r.Units()
				r.Remove(name, u)
			}
		})
	}
	all.Wait()
	if got := r.Units(); len(got) != 0 {
		t.Errorf("units left: %v", got)
	}
}

func TestVeryManyOfOneNameAreNotQuadratic(t *testing.T) {
	t.Parallel()
	const many = 50_000 // a minute and more, if each looked for the lowest suffix
	var r host.Registry
	for i := range many {
		if _, err := r.Add("same", "", false, &unit{}); err != nil {
			t.Fatal(i, err)
		}
	}
	if got := len(r.Units()); got != many {
		t.Errorf("got %d units, want %d", got, many)
	}
}
