package limits_test

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/limits"
)

// region returns the budget of one region of a service.
func region(name string, calls int) *limits.Set {
	return limits.MustNew(limits.Calls(calls, time.Hour)).Config(map[string]string{"region": name})
}

func ExampleNewPool() {
	pool, err := limits.NewPool([]*limits.Set{region("eu", 1), region("us", 3)})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 5 {
		permit, err := pool.TryAcquire(nil)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(permit.Config()["region"])
		permit.Release()
	}
	// Output:
	// eu
	// us
	// us
	// us
	// limits: unavailable now
}

func ExampleOffset() {
	sets := []*limits.Set{region("eu", 9), region("us", 9), region("ap", 9)}
	pool, _ := limits.NewPool(sets, limits.Offset(2))
	for range 4 {
		permit, _ := pool.TryAcquire(nil)
		fmt.Println(permit.Config()["region"])
	}
	// Output:
	// ap
	// eu
	// us
	// ap
}

func ExampleChoice() {
	pool, err := limits.NewPool([]*limits.Set{region("eu", 9), region("us", 9)}, limits.Random)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = pool.TryAcquire(nil)
	fmt.Println(err)
	// Output: <nil>
}

func ExampleFrom() {
	fetch := func(ctx context.Context) error {
		permit, err := limits.From(ctx).Acquire(ctx, limits.Request{"bytes": 100})
		if err != nil {
			return err
		}
		defer permit.Release()
		return permit.Update("bytes", 80)
	}
	ctx := context.Background()
	fmt.Println("without limits:", fetch(ctx))

	set := limits.MustNew(limits.Rate("bytes", 1000, time.Hour))
	fmt.Println("with limits:", fetch(limits.NewContext(ctx, set, nil)), set.Stats()[0].Used)
	// Output:
	// without limits: <nil>
	// with limits: <nil> 80
}

func ExamplePermitFrom() {
	parse := func(ctx context.Context) error {
		return limits.PermitFrom(ctx).Update("bytes", 80)
	}
	fmt.Println("without limits:", parse(context.Background()))

	set := limits.MustNew(limits.Rate("bytes", 1000, time.Hour))
	permit, _ := set.TryAcquire(limits.Request{"bytes": 100})
	defer permit.Release()
	fmt.Println("with limits:", parse(limits.NewContext(context.Background(), set, permit)), set.Stats()[0].Used)
	// Output:
	// without limits: <nil>
	// with limits: <nil> 80
}

// turnstile is a Keeper of permits that no Set stands behind.
type turnstile struct{}

func (turnstile) Update(key string, used int) error { fmt.Println(used, "of", key); return nil }
func (turnstile) Release()                          { fmt.Println("released") }
func (turnstile) Pause(d time.Duration)             { fmt.Println("closed for", d) }
func (turnstile) Config() map[string]string         { return nil }

func ExampleNewPermit() {
	permit := limits.NewPermit(turnstile{})
	_ = permit.Update("visitors", 2)
	permit.Pause(time.Minute)
	permit.Release()
	permit.Release()
	// Output:
	// 2 of visitors
	// closed for 1m0s
	// released
}
