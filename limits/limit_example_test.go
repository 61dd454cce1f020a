package limits_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/limits"
)

// An API with three limits at a time: all of them are taken together, and the
// permit is settled to what the call has really used.
func Example() {
	api := limits.MustNew(
		limits.Calls(500, time.Minute),
		limits.Rate("tokens", 200_000, time.Minute),
		limits.Resource("connections", 20),
	)
	defer api.Close()

	label := func(ctx context.Context, text string) error {
		permit, err := api.Acquire(ctx, limits.Request{"tokens": 1500}) // an estimate
		if err != nil {
			return err
		}
		defer permit.Release()
		return permit.Update("tokens", 10*len(text)) // as the answer says
	}
	if err := label(context.Background(), "a text"); err != nil {
		fmt.Println(err)
	}
	for _, st := range api.Stats() {
		fmt.Println(st.Key, st.Kind, st.Used, "of", st.Capacity)
	}
	// Output:
	// calls calls 1 of 500
	// tokens rate 60 of 200000
	// connections resource 0 of 20
}

func ExampleRate() {
	set := limits.MustNew(limits.Rate("tokens", 100, time.Hour))
	for _, n := range []int{60, 60, 40, 1} {
		_, err := set.TryAcquire(limits.Request{"tokens": n})
		fmt.Println(n, err)
	}
	// Output:
	// 60 <nil>
	// 60 limits: unavailable now
	// 40 <nil>
	// 1 limits: unavailable now
}

func ExampleAlgorithm() {
	for _, a := range []limits.Algorithm{limits.SlidingWindow, limits.LeakyBucket} {
		set := limits.MustNew(limits.Rate("k", 3, time.Hour, a))
		granted := 0
		for range 10 {
			if _, err := set.TryAcquire(limits.Request{"k": 1}); err == nil {
				granted++
			}
		}
		fmt.Println(a, "grants", granted, "at once")
	}
	// Output:
	// SlidingWindow grants 3 at once
	// LeakyBucket grants 1 at once
}

func ExampleBurst() {
	set := limits.MustNew(limits.Calls(1000, time.Hour, limits.GCRA, limits.Burst(2)))
	for range 3 {
		_, err := set.TryAcquire(nil)
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// <nil>
	// limits: unavailable now
}

func ExampleCalls() {
	set := limits.MustNew(limits.Calls(2, time.Hour))
	for range 3 {
		_, err := set.TryAcquire(nil) // takes 1 without being told
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// <nil>
	// limits: unavailable now
}

func ExampleResource() {
	set := limits.MustNew(limits.Resource("gpu", 4))
	permit, _ := set.TryAcquire(limits.Request{"gpu": 3})
	_, err := set.TryAcquire(limits.Request{"gpu": 2})
	fmt.Println(err)
	permit.Release()
	_, err = set.TryAcquire(limits.Request{"gpu": 2})
	fmt.Println(err)
	// Output:
	// limits: unavailable now
	// <nil>
}

func ExampleNew() {
	_, err := limits.New(
		limits.Rate("tokens", 0, time.Minute),
		limits.Resource("gpu", 4),
		limits.Resource("gpu", 2),
	)
	fmt.Println(err)
	// Output:
	// limits: Rate("tokens"): capacity 0: want at least 1
	// limits: Resource("gpu"): duplicate key "gpu"
}

func ExampleMustNew() {
	defer func() { fmt.Println(recover()) }()
	limits.MustNew(limits.Calls(-1, time.Minute))
	// Output: limits: Calls: capacity -1: want at least 1
}

func ExampleRequestError() {
	set := limits.MustNew(limits.Rate("tokens", 100, time.Minute), limits.Resource("gpu", 4))
	for _, r := range []limits.Request{{"token": 5}, {"gpu": 1}, {"tokens": 101}, {"tokens": -1}} {
		_, err := set.TryAcquire(r)
		var wrong *limits.RequestError
		fmt.Println(errors.As(err, &wrong), err)
	}
	// Output:
	// true limits: key "token", amount 5: unknown key, want one of "tokens", "gpu"
	// true limits: key "tokens", amount 0: missing: every rate must be named, with 0 for none of it
	// true limits: key "tokens", amount 101: above the capacity of 100
	// true limits: key "tokens", amount -1: negative amount
}
