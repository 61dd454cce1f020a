// Package host is the part of a System that the packages above it share and
// users do not see: the names in use and the units to stop and to look at.
package host

import (
	"context"
	"fmt"
	"sync"
)

// Unit is whatever lives in a System under a name: a task's pool, a worker's
// pool, a set of limits, a supervision tree.
type Unit interface {
	// Stop ends the unit; it returns when nothing of it runs, or when ctx ends.
	Stop(ctx context.Context) error
	// Describe returns plain data for the snapshot, or nil to be left out.
	Describe() any
}

// Adopted reports whether u is a pool that was spawned by an actor: if that is a
// tree, it knows when to stop u.
func Adopted(u Unit) bool {
	a, ok := u.(interface{ Adopted() bool })
	return ok && a.Adopted()
}

// Over is the error of spawning what has been stopped for good: no failure, and
// nothing that another attempt could help.
type Over struct{ Err error }

func (o Over) Error() string { return o.Err.Error() }

// Unwrap returns why.
func (o Over) Unwrap() error { return o.Err }

// Halter is a Unit that can let go of what it runs and yet keep what waits: a
// pool, to the supervision tree above it.
type Halter interface {
	Unit
	// Owns reports whether id is that of the unit's actor now.
	Owns(id string) bool
	// Halt lets the workers go, each after what it has in hand, and starts no
	// others until Continue. It calls done once, on any goroutine, when the last
	// of them is gone.
	Halt(done func())
	// Continue undoes Halt.
	Continue()
}

// Registry holds the units of one System in order of registration.
type Registry struct {
	// OnAdd, if set before the first use, is called after each registration,
	// outside of the lock.
	OnAdd func()

	mu    sync.Mutex
	names map[string]*entry
	after map[string]int // by name: the suffix to try next for another of that name
	first *entry
	last  *entry
	next  uint64
}

type entry struct {
	name       string
	unit       Unit
	prev, next *entry
}

// Add registers u under name; an empty name gets prefix-N. With unique false a
// taken name gets a suffix, with unique true it is an error. Units must be
// comparable. It returns the name that u has got; a u with a method Named is told
// before anybody else can see it, under the lock.
func (r *Registry) Add(name, prefix string, unique bool, u Unit) (string, error) {
	name, err := r.add(name, prefix, unique, u)
	if err == nil && r.OnAdd != nil {
		r.OnAdd()
	}
	return name, err
}

func (r *Registry) add(name, prefix string, unique bool, u Unit) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = make(map[string]*entry)
		enrol(r)
	}
	if name != "" && unique && r.names[name] != nil {
		return "", fmt.Errorf("name %q is taken by a living one", name)
	}
	if name == "" {
		r.next++
		name = fmt.Sprintf("%s-%d", prefix, r.next)
	}
	free := r.free(name)
	if n, ok := u.(interface{ Named(name string) }); ok {
		n.Named(free)
	}
	e := &entry{name: free, unit: u, prev: r.last}
	if r.last != nil {
		r.last.next = e
	} else {
		r.first = e
	}
	r.last = e
	r.names[free] = e
	return free, nil
}

// free returns name, or name with the next suffix if it is taken. Suffixes go up
// while the name is taken: to look for the lowest free one each time would make
// very many of one name quadratic.
func (r *Registry) free(name string) string {
	if r.names[name] == nil {
		return name
	}
	if r.after == nil {
		r.after = make(map[string]int)
	}
	for n := max(2, r.after[name]); ; n++ {
		if free := fmt.Sprintf("%s-%d", name, n); r.names[free] == nil {
			r.after[name] = n + 1
			return free
		}
	}
}

// Remove frees name if u holds it.
func (r *Registry) Remove(name string, u Unit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.names[name]
	if e == nil || e.unit != u {
		return
	}
	delete(r.names, name)
	delete(r.after, name)
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		r.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		r.last = e.prev
	}
}

// Units returns the units alive now, oldest first.
func (r *Registry) Units() []Unit {
	r.mu.Lock()
	defer r.mu.Unlock()
	units := make([]Unit, 0, len(r.names))
	for e := r.first; e != nil; e = e.next {
		units = append(units, e.unit)
	}
	return units
}

// Lookup returns the unit under name, or nil.
func (r *Registry) Lookup(name string) Unit {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.names[name]; e != nil {
		return e.unit
	}
	return nil
}
