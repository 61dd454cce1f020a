package cell_test

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/troupe-go/troupe/internal/cell"
)

func TestAGroupEndsItsCallsWithTheCause(t *testing.T) {
	parent, cancel := newCounted()
	g := cell.NewGroup(parent)
	var open []*cell.Cell
	for i := range 100 {
		c, _ := newCall(parent)
		equal(t, "attached", g.Attach(c), true)
		if i%2 == 0 {
			c.Start()
		}
		if i%3 == 0 {
			c.Abort(cell.Stopped, errOwn)
		} else {
			open = append(open, c)
		}
	}
	cancel(errCause)
	for _, c := range open {
		<-c.DoneChan()
		equal(t, "outcome", c.Err(), errCause)
	}
	c, _ := newCall(parent)
	equal(t, "attached to an ended group", g.Attach(c), false)
	g.Retire()
}

func TestAGroupTakesOnlyCallsUnderItsCtx(t *testing.T) {
	parent, cancel := newCounted()
	defer cancel(nil)
	other, cancelOther := newCounted()
	defer cancelOther(nil)
	g := cell.NewGroup(parent)
	type key struct{}
	same, _ := newCall(context.WithValue(parent, key{}, 1))
	equal(t, "same Done", g.Attach(same), true)
	stranger, _ := newCall(other)
	equal(t, "other Done", g.Attach(stranger), false)
	over, _ := newCall(parent)
	over.Abort(cell.Cancelled, nil)
	equal(t, "over", g.Attach(over), true)
	(*cell.Group)(nil).Retire()
	g.Retire()
	equal(t, "registrations while a call is open", parent.attached.Load(), 1)
	same.Abort(cell.Cancelled, nil)
	equal(t, "registrations in the end", parent.attached.Load(), 0)
}

func TestARetiredGroupLetsGoWhenItsLastCallEnds(t *testing.T) {
	for range 500 {
		parent, cancel := newCounted()
		g := cell.NewGroup(parent)
		var ends []func()
		var refused atomic.Int32
		for i := range 8 {
			ends = append(ends, func() {
				c, _ := newCall(parent)
				if !g.Attach(c) {
					refused.Add(1)
				}
				if i%2 == 0 {
					c.Start()
					returns(c, nil)
				} else {
					c.Abort(cell.Cancelled, nil)
				}
			})
		}
		race(append(ends, g.Retire)...)
		equal(t, "registrations", parent.attached.Load(), 0)
		cancel(nil)
	}
}

func TestAGroupKeepsNoEndedCall(t *testing.T) {
	parent, cancel := newCounted()
	defer cancel(nil)
	g := cell.NewGroup(parent)
	long, _ := newCall(parent)
	g.Attach(long)
	var freed atomic.Int32
	for range 50 {
		c, _ := newCall(parent)
		g.Attach(c)
		runtime.AddCleanup(c, func(n *atomic.Int32) { n.Add(1) }, &freed)
		c.Abort(cell.Cancelled, nil)
	}
	for range 1000 {
		if runtime.GC(); freed.Load() == 50 {
			break
		}
		runtime.Gosched()
	}
	equal(t, "calls freed while another is open", freed.Load(), 50)
	long.Abort(cell.Cancelled, nil)
	g.Retire()
}

func TestEveryOutcomeOfAGroupIsThereBeforeTheFirstCallback(t *testing.T) {
	parent, cancel := newCounted()
	g := cell.NewGroup(parent)
	const n = 5
	var calls [n]*cell.Cell
	order := make(chan int, n)
	for i := range calls {
		calls[i], _ = newCall(parent)
		calls[i].Watch(func() {
			_ = calls[(i+1)%n].Wait(context.Background()) // must not wait for ever
			order <- i
			runtime.Goexit() // must not take the others along
		})
		g.Attach(calls[i])
	}
	cancel(errCause)
	var got []int
	for range n {
		got = append(got, <-order)
	}
	slices.Sort(got)
	if want := []int{0, 1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("callbacks: got %v, want %v", got, want)
	}
	g.Retire()
}

func TestAGroupUnderStress(t *testing.T) {
	for range 500 {
		parent, cancel := newCounted()
		g := cell.NewGroup(parent)
		var cells [6]*cell.Cell
		var fs []func()
		for i := range cells {
			cells[i], _ = newCall(parent)
			fs = append(fs, func() {
				if !g.Attach(cells[i]) {
					cells[i].Abort(cell.Cancelled, errCause)
				}
				if i%2 == 0 && cells[i].Start() {
					returns(cells[i], errOwn)
				}
			})
		}
		race(append(fs, g.Retire, func() { cancel(errCause) })...)
		for _, c := range cells {
			if err := c.Wait(parent); err != nil {
				equal(t, "Wait under the call's own ctx", err, errCause)
			}
			<-c.DoneChan()
		}
	}
}

func TestWaitUnderTheCallsOwnCtxReturnsItsCause(t *testing.T) {
	parent, cancel := newCounted()
	c, _ := newCall(parent)
	c.Attach()
	waited := make(chan error)
	go func() { waited <- c.Wait(parent) }()
	cancel(errCause)
	// The end of the ctx is the end of the call; Wait tells the second.
	equal(t, "Wait", <-waited, nil)
	equal(t, "outcome", c.Err(), errCause)
}
