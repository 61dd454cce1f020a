package limits

import proto "github.com/asynkron/protoactor-go/actor"

// The actor of a Set sends answers and releases permits, and both can run code
// of the program: the callback of a Future, a Grantee. If that calls
// runtime.Goexit it ends the goroutine, which nothing can undo; what was still
// to be done on it is done all the same.

// dispatcher runs an actor whose goroutine may end half-way: it then goes on
// with the next message in another.
type dispatcher struct{ proto.Dispatcher }

// Schedule implements protoactor's Dispatcher.
func (d dispatcher) Schedule(fn func()) {
	d.Dispatcher.Schedule(func() {
		finished := false
		defer func() {
			if !finished {
				d.Schedule(fn)
			}
		}()
		fn()
		finished = true
	})
}

// each calls f for every item, also if a call ends the goroutine: for the rest,
// then, on its way out.
func each[T any](items []T, f func(T)) {
	if len(items) == 0 {
		return
	}
	defer func() { each(items, f) }()
	for len(items) > 0 {
		item := items[0]
		items = items[1:]
		f(item)
	}
}

// apart runs f on a goroutine of its own and waits for it, where the caller's
// has more to do than to call f. A panic in f is passed on.
func apart(f func()) {
	done := make(chan struct{})
	var reason any
	go func() {
		defer close(done)
		defer func() { reason = recover() }()
		f()
	}()
	<-done
	if reason != nil {
		panic(reason)
	}
}
