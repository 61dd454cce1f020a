package cell_test

import (
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/troupe-go/troupe/internal/cell"
)

func TestWatchersRunInOrderAndLaterOnesAtOnce(t *testing.T) {
	var c cell.Cell
	var got []int
	add := func(n int) func() { return func() { got = append(got, n) } }
	c.Watch(add(1))
	removed := c.Watch(add(2))
	c.Watch(func() {
		add(3)()
		c.Watch(add(4)) // in a callback: at once
	})
	last := c.Watch(add(5))
	removed.Remove()
	removed.Remove()
	c.Abort(cell.Cancelled, nil)
	last.Remove()
	if w := c.Watch(add(6)); w != nil {
		t.Errorf("Watch of a done cell: got a watcher, want nil")
	}
	(*cell.Watcher)(nil).Remove()
	if want := []int{1, 3, 4, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("callbacks: got %v, want %v", got, want)
	}
}

func TestWatchersCanBeRemovedFromAnywhereInTheList(t *testing.T) {
	for drop := range 4 {
		var c cell.Cell
		var got []int
		var ws []*cell.Watcher
		for n := range 4 {
			ws = append(ws, c.Watch(func() { got = append(got, n) }))
		}
		ws[drop].Remove()
		c.Watch(func() { got = append(got, 4) })
		c.Abort(cell.Cancelled, nil)
		want := slices.DeleteFunc([]int{0, 1, 2, 3, 4}, func(n int) bool { return n == drop })
		if !slices.Equal(got, want) {
			t.Errorf("without %d: got %v, want %v", drop, got, want)
		}
	}
}

func TestAPanicInACallbackStaysThere(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	var log strings.Builder
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	var c cell.Cell
	reached := 0
	c.Watch(func() { panic("in the list") })
	c.Watch(func() { reached++ })
	c.Abort(cell.Cancelled, nil)
	c.Watch(func() { panic("at once") })
	equal(t, "callbacks after the panic", reached, 1)
	for _, want := range []string{"in the list", "at once", "stack="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log: got %q, want %q in it", log.String(), want)
		}
	}
}

func TestGoexitInACallbackTakesNoOtherAlong(t *testing.T) {
	var c cell.Cell
	var got []int
	for n := range 4 {
		c.Watch(func() {
			got = append(got, n)
			if n == 0 || n == 2 {
				runtime.Goexit()
			}
		})
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c.Abort(cell.Cancelled, nil)
	}()
	<-gone
	if want := []int{0, 1, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("callbacks: got %v, want %v", got, want)
	}
}

// Whoever comes to a cell that has just been completed must not run the
// callbacks of others: the completing goroutine might be at the next one.
func TestCallbacksGivenBeforeRunWhereTheCellIsCompleted(t *testing.T) {
	var strangers atomic.Int32
	for range 20000 {
		var c cell.Cell
		c.Watch(func() {
			stack := make([]byte, 4096)
			stack = stack[:runtime.Stack(stack, false)]
			if !strings.Contains(string(stack), "Publish") {
				strangers.Add(1)
			}
		})
		late := 0
		race(
			func() { c.Abort(cell.Cancelled, nil) },
			func() { c.Watch(func() { late++ }) },
			func() { c.DoneChan() },
		)
		equal(t, "runs of the late callback", late, 1)
	}
	equal(t, "callbacks run by others", strangers.Load(), 0)
}

func TestDoneChanIsTheSameEachTime(t *testing.T) {
	for range 20000 {
		var c cell.Cell
		var chans [4]<-chan struct{}
		get := func(i int) func() { return func() { chans[i] = c.DoneChan() } }
		race(get(0), func() { c.Abort(cell.Cancelled, nil); get(1)() }, get(2), get(3))
		for _, ch := range append(chans[:], c.DoneChan()) {
			if ch != chans[0] {
				t.Fatal("got two channels")
			}
			if !closed(ch) {
				t.Fatal("got an open channel from a done cell")
			}
		}
	}
}
