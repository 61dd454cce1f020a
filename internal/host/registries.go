package host

import (
	"slices"
	"sync"
	"weak"
)

// roll holds all registries that were ever used, for as long as somebody else
// does: a child process looks for its tasks in all of them.
var roll struct {
	mu   sync.Mutex
	list []weak.Pointer[Registry]
}

func enrol(r *Registry) {
	roll.mu.Lock()
	defer roll.mu.Unlock()
	if len(roll.list) == cap(roll.list) { // look for dead ones before growing
		roll.list = slices.DeleteFunc(roll.list, func(p weak.Pointer[Registry]) bool { return p.Value() == nil })
	}
	roll.list = append(roll.list, weak.Make(r))
}

// Registries returns those of all Systems that are in use, oldest first.
func Registries() []*Registry {
	roll.mu.Lock()
	defer roll.mu.Unlock()
	var alive []*Registry
	for _, p := range roll.list {
		if r := p.Value(); r != nil {
			alive = append(alive, r)
		}
	}
	return alive
}
