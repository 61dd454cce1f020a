package limits_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
)

func ExampleSet_Acquire() {
	set := limits.MustNew(limits.Resource("door", 1))
	first, _ := set.Acquire(context.Background(), nil)

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := set.Acquire(ctx, nil) // waits, and gives up
	fmt.Println(err)

	first.Release()
	_, err = set.Acquire(context.Background(), nil)
	fmt.Println(err)
	// Output:
	// context deadline exceeded
	// <nil>
}

func ExampleSet_TryAcquire() {
	set := limits.MustNew(limits.Calls(1, time.Hour))
	for range 2 {
		if _, err := set.TryAcquire(nil); errors.Is(err, limits.ErrUnavailable) {
			fmt.Println("come back later")
			continue
		}
		fmt.Println("served")
	}
	// Output:
	// served
	// come back later
}

// printer is a Grantee.
type printer string

func (p printer) Granted(permit *limits.Permit, err error) {
	fmt.Println(p, "is served:", err)
	permit.Release()
}

func ExampleQueuer() {
	set := limits.MustNew(limits.Resource("door", 1))
	permit, _ := set.TryAcquire(nil)

	var q limits.Queuer = set
	_, _, _ = q.Enqueue(nil, printer("ann")) // returns at once, and holds no goroutine
	_, ticket, _ := q.Enqueue(nil, printer("bob"))
	_, _, _ = q.Enqueue(nil, printer("eve"))
	fmt.Println("bob leaves:", ticket.Cancel())
	permit.Release()
	// Output:
	// bob leaves: true
	// ann is served: <nil>
	// eve is served: <nil>
}

func ExampleSet_Pause() {
	set := limits.MustNew(limits.Calls(100, time.Minute))
	set.Pause("calls", time.Hour) // the server says: Retry-After: 3600
	_, err := set.TryAcquire(nil)
	fmt.Println(err, !set.Stats()[0].PausedUntil.IsZero())
	// Output: limits: unavailable now true
}

func ExampleSet_Close() {
	set := limits.MustNew(limits.Resource("door", 1))
	_, _ = set.TryAcquire(nil)
	done := make(chan error)
	go func() {
		_, err := set.Acquire(context.Background(), nil)
		done <- err
	}()
	set.Close()
	fmt.Println(<-done)
	// Output: limits: set closed
}

func ExampleSet_Config() {
	set := limits.MustNew(limits.Resource("slots", 5)).Config(map[string]string{"region": "eu"})
	permit, _ := set.TryAcquire(nil)
	defer permit.Release()
	fmt.Println(permit.Config()["region"])
	// Output: eu
}

func ExampleSet_Stats() {
	set := limits.MustNew(limits.Calls(10, time.Hour, limits.SlidingWindow), limits.Resource("slots", 1))
	_, _ = set.TryAcquire(nil)
	_, _ = set.TryAcquire(nil)
	for _, st := range set.Stats() {
		fmt.Printf("%s (%s%s): %d of %d left, granted %d, refused %d\n",
			st.Key, st.Kind, st.Algorithm, st.Available, st.Capacity, st.Granted, st.Refused)
	}
	// Output:
	// calls (callsSlidingWindow): 9 of 10 left, granted 1, refused 1
	// slots (resource): 0 of 1 left, granted 1, refused 1
}

func ExampleSet_PID() {
	sys := actor.NewSystem()
	defer sys.Stop(context.Background())
	set := limits.MustNew(limits.Resource("door", 1))

	answer, _ := actor.NewFuture[*limits.Permit]()
	sys.ActorSystem().Root.RequestWithCustomSender(set.PID(sys), limits.AcquireMsg{}, answer.PID(sys))
	permit, err := answer.Result()
	fmt.Println(err, set.Stats()[0].Used)

	done, _ := actor.NewFuture[struct{}]()
	sys.ActorSystem().Root.RequestWithCustomSender(set.PID(sys), limits.ReleaseMsg{Permit: permit}, done.PID(sys))
	_, err = done.Result()
	fmt.Println(err, set.Stats()[0].Used)
	// Output:
	// <nil> 1
	// <nil> 0
}

func ExamplePermit_Update() {
	set := limits.MustNew(limits.Rate("tokens", 1000, time.Hour))
	permit, _ := set.TryAcquire(limits.Request{"tokens": 400})
	fmt.Println("asked for:", set.Stats()[0].Available)
	_ = permit.Update("tokens", 150)
	fmt.Println("used less:", set.Stats()[0].Available)
	_ = permit.Update("tokens", 1100)
	fmt.Println("used more:", set.Stats()[0].Available)
	permit.Release()
	fmt.Println(permit.Update("tokens", 0))
	// Output:
	// asked for: 600
	// used less: 850
	// used more: -100
	// limits: permit released
}

func ExamplePermit_Pause() {
	set := limits.MustNew(limits.Rate("eu", 10, time.Hour), limits.Rate("us", 10, time.Hour))
	permit, _ := set.TryAcquire(limits.Request{"eu": 1, "us": 0})
	permit.Pause(time.Hour) // what it took was refused: nothing of it for a while
	_, err := set.TryAcquire(limits.Request{"eu": 1, "us": 0})
	fmt.Println("eu:", err)
	_, err = set.TryAcquire(limits.Request{"eu": 0, "us": 1})
	fmt.Println("us:", err)
	// Output:
	// eu: limits: unavailable now
	// us: <nil>
}
