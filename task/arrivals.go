package task

import (
	"context"
	"sync"

	"github.com/troupe-go/troupe/internal/cell"
)

// arrivals gives futures back in the order in which they finish. One goroutine
// adds and waits; it ends with close, which leaves nothing behind on those that
// have not finished.
type arrivals[T any] struct {
	first, last *arrival[T] // those that wait has not returned, in order
	wake        chan struct{}

	mu   sync.Mutex
	done []*arrival[T]
}

type arrival[T any] struct {
	key        int
	future     *Future[T]
	watcher    *cell.Watcher
	assisted   bool
	prev, next *arrival[T]
}

func newArrivals[T any]() *arrivals[T] {
	return &arrivals[T]{wake: make(chan struct{}, 1)}
}

func (a *arrivals[T]) add(key int, f *Future[T]) {
	r := &arrival[T]{key: key, future: f, prev: a.last}
	if a.last != nil {
		a.last.next = r
	} else {
		a.first = r
	}
	a.last = r
	r.watcher = cellOf(f).Watch(func() { a.arrived(r) })
}

// arrived is called on the goroutine that completes the future.
func (a *arrivals[T]) arrived(r *arrival[T]) {
	a.mu.Lock()
	a.done = append(a.done, r)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// poll returns the next that has finished, or a nil Future.
func (a *arrivals[T]) poll() (key int, f *Future[T]) {
	a.mu.Lock()
	if len(a.done) == 0 {
		a.mu.Unlock()
		return 0, nil
	}
	r := a.done[0]
	a.done[0] = nil
	if a.done = a.done[1:]; len(a.done) == 0 {
		a.done = nil
	}
	a.mu.Unlock()
	a.unlink(r)
	return r.key, r.future
}

// wait is poll that blocks until ctx ends. If this goroutine runs a function of
// the pool that owes the futures, it has the oldest of them run in its place:
// one at a time, so that the pool's bound on what runs at once still holds.
func (a *arrivals[T]) wait(ctx context.Context) (key int, f *Future[T]) {
	for {
		if key, f = a.poll(); f != nil {
			return key, f
		}
		if r := a.first; r != nil && !r.assisted {
			r.assisted = true
			cellOf(r.future).Assist(ctx)
			continue
		}
		select {
		case <-a.wake:
		case <-ctx.Done():
			return 0, nil
		}
	}
}

func (a *arrivals[T]) unlink(r *arrival[T]) {
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		a.first = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	} else {
		a.last = r.prev
	}
}

// close forgets all that wait has not returned.
func (a *arrivals[T]) close() {
	for r := a.first; r != nil; r = r.next {
		r.watcher.Remove()
	}
}

// rest yields the key of those that wait has not returned, in order, and whether
// they have finished meanwhile.
func (a *arrivals[T]) rest(yield func(key int, done bool) bool) {
	for r := a.first; r != nil; r = r.next {
		if !yield(r.key, cellOf(r.future).IsDone()) {
			return
		}
	}
}

// cancel cancels those that wait has not returned.
func (a *arrivals[T]) cancel() {
	for r := a.first; r != nil; r = r.next {
		r.future.Cancel()
	}
}
