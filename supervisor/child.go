package supervisor

import (
	"errors"
	"fmt"
	"strings"

	proto "github.com/asynkron/protoactor-go/actor"
)

// Child is what a [Tree] can hold: a pool (*task.Task, *task.Worker), another
// *Tree, a [Service], an [Actor].
//
// A pool supervises its own workers: what they suffer is in its Stats, and comes
// to the tree only when the pool has spent its budget.
//
// The tree spawns Props under Name as often as the child has to be started
// anew; both are called on the tree's goroutine and must not block.
type Child interface {
	// Name is unique among the children of a tree and not empty. Only pools,
	// which may be named after their functions, can have a "/" in it; their
	// PIDs have a "." there.
	Name() string

	// Props makes the child's actor. Told to stop by a PoisonPill, it finishes
	// what it has first; told by a Stop, it ends soon.
	Props() *proto.Props
}

// Actor returns the Child that consists of an actor of anybody's.
func Actor(name string, props *proto.Props) Child {
	return &foreign{name: name, props: props}
}

type foreign struct {
	name  string
	props *proto.Props
}

func (f *foreign) Name() string        { return f.name }
func (f *foreign) Props() *proto.Props { return f.props }

// pathOf is the last part of the PID of a child.
func pathOf(name string) string { return strings.ReplaceAll(name, "/", ".") }

// checkName calls fault if a tree or child cannot have this name.
func checkName(what, name string, fault func(format string, args ...any)) {
	switch {
	case name == "":
		fault("%s without a name", what)
	case strings.Contains(name, "/"):
		fault("%s %q: a name has no \"/\"", what, name)
	}
}

// checkChild calls fault for everything that is wrong with c, and returns its
// name, or "" if there is none to use.
func checkChild(c Child, fault func(format string, args ...any)) string {
	if c == nil {
		fault("a child is nil")
		return ""
	}
	name, err := nameOf(c)
	if err != nil {
		fault("%v", err)
		return ""
	}
	switch c.(type) {
	case *Tree, *foreign, *service:
		checkName("child", name, fault)
	default: // a pool may be named after its function, with the path of that
		checkName("child", strings.ReplaceAll(name, "/", ""), fault)
	}
	switch c := c.(type) {
	case *foreign:
		if c.props == nil {
			fault("child %q: Props are nil", name)
		}
	case *service:
		if c.run == nil {
			fault("child %q: the service's function is nil", name)
		}
	}
	return name
}

// nameOf contains a panic, above all that of a nil pointer in the interface.
func nameOf(c Child) (name string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a child of type %T: Name panicked: %v", c, r)
		}
	}()
	return c.Name(), nil
}

// faults collects errors with the package's prefix.
type faults []error

func (f *faults) add(format string, args ...any) {
	*f = append(*f, fmt.Errorf("supervisor: "+format, args...))
}

func (f *faults) join() error { return errors.Join(*f...) }
