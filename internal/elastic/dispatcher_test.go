package elastic_test

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/internal/elastic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ proto.Dispatcher = (*elastic.Dispatcher)(nil)

// here names the goroutine that it is called on.
func here() string {
	stack := make([]byte, 64)
	name, _, _ := strings.Cut(string(stack[:runtime.Stack(stack, false)]), "[")
	return name
}

func live(t *testing.T, d *elastic.Dispatcher, want int) {
	t.Helper()
	synctest.Wait()
	if got, _ := d.Goroutines(); got != want {
		t.Errorf("goroutines: got %d, want %d", got, want)
	}
}

// crowd makes n goroutines that have nothing to do.
func crowd(d *elastic.Dispatcher, n int) {
	open := make(chan struct{})
	for range n {
		d.Schedule(func() { <-open })
	}
	synctest.Wait()
	close(open)
	synctest.Wait()
}

func TestAGoroutineIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d elastic.Dispatcher
		names := make(map[string]bool)
		for range 100 {
			d.Schedule(func() { names[here()] = true })
			synctest.Wait()
		}
		if len(names) != 1 {
			t.Errorf("100 pieces of work one by one ran on %d goroutines, want 1", len(names))
		}
		<-d.Close()
	})
}

func TestTheLastParkedIsUsedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d elastic.Dispatcher
		crowd(&d, 8)
		names := make(map[string]bool)
		for range 20 { // for longer than the others may stay
			d.Schedule(func() { names[here()] = true })
			synctest.Wait()
			time.Sleep(elastic.Linger / 5)
		}
		if len(names) != 1 {
			t.Errorf("work went to %d goroutines, want 1", len(names))
		}
		live(t, &d, 1) // it has kept itself and none of the others
		<-d.Close()
	})
}

func TestUnusedGoroutinesLingerAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d elastic.Dispatcher
		for range 3 { // it works more than once
			crowd(&d, 50)
			live(t, &d, 50)
			time.Sleep(elastic.Linger)
			live(t, &d, 50)
			time.Sleep(elastic.Linger)
			live(t, &d, 0)
		}
	}) // a goroutine or timer left behind fails the test here
}

func TestNoMoreThanSoManyLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d elastic.Dispatcher
		crowd(&d, elastic.MaxParked+100)
		live(t, &d, elastic.MaxParked)
		<-d.Close()
	})
}

func TestScheduleDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d elastic.Dispatcher
		const depth = 1000
		open, ran := make(chan struct{}), 0
		var nest func()
		nest = func() {
			if ran++; ran < depth {
				d.Schedule(nest)
			}
			<-open // nobody is through before the last has begun
		}
		d.Schedule(nest)
		live(t, &d, depth)
		close(open)
		<-d.Close()
		if ran != depth {
			t.Errorf("ran %d, want %d", ran, depth)
		}
	})
}

func TestGoexitTakesOneGoroutineAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d elastic.Dispatcher
		crowd(&d, 2)
		d.Schedule(runtime.Goexit)
		live(t, &d, 1)
		ran := 0
		for range 3 {
			d.Schedule(func() { ran++ })
			synctest.Wait()
		}
		live(t, &d, 1)
		if ran != 3 {
			t.Errorf("work after Goexit: %d pieces ran, want 3", ran)
		}
		<-d.Close()
		d.Schedule(runtime.Goexit)
		live(t, &d, 0)
	})
}

func TestCloseWaitsForWorkAndLetsTheIdleGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d elastic.Dispatcher
		crowd(&d, 5)
		open := make(chan struct{})
		d.Schedule(func() { <-open })
		gone := d.Close()
		live(t, &d, 1)
		select {
		case <-gone:
			t.Error("closed while work runs")
		default:
		}
		if again := d.Close(); again != gone {
			t.Error("the second Close gave another channel")
		}
		close(open)
		<-gone
		live(t, &d, 0)
	})
}

func TestCloseOfAnUnusedDispatcherIsDoneAtOnce(t *testing.T) {
	var d elastic.Dispatcher
	<-d.Close()
}

func TestWorkAfterCloseRunsAndDoesNotLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d elastic.Dispatcher
		gone := d.Close()
		<-gone
		ran := 0
		for range 3 {
			d.Schedule(func() { ran++ })
			live(t, &d, 0)
		}
		if ran != 3 {
			t.Errorf("ran %d, want 3", ran)
		}
	})
}

func TestEverythingRunsOnceUnderStress(t *testing.T) {
	var d elastic.Dispatcher
	var ran atomic.Int64
	var senders, work sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for i := range 2000 {
				work.Add(1)
				d.Schedule(func() {
					defer work.Done()
					ran.Add(1)
					if i%100 == 0 {
						runtime.Goexit()
					}
				})
				if i == 1500 {
					d.Close()
				}
			}
		})
	}
	senders.Wait()
	work.Wait()
	<-d.Close()
	if got, want := ran.Load(), int64(16000); got != want {
		t.Errorf("ran %d, want %d", got, want)
	}
	if d.Throughput() < 1 {
		t.Errorf("Throughput: got %d, want a positive number", d.Throughput())
	}
}
