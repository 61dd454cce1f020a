package remote_test

import (
	"context"
	"fmt"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote"
)

// Two programs share one budget: the first owns it, the second asks it.
func ExampleShareLimits() {
	ctx := context.Background()
	first, second := actor.NewSystem(), actor.NewSystem() // of one program each
	defer first.Stop(ctx)
	defer second.Stop(ctx)

	owner, err := remote.Start(remote.Config{System: first})
	if err != nil {
		fmt.Println(err)
		return
	}
	licences := limits.MustNew(limits.Resource("licence", 3))
	if err := remote.ShareLimits(owner, "licences", licences); err != nil {
		fmt.Println(err)
		return
	}

	client, err := remote.Start(remote.Config{System: second})
	if err != nil {
		fmt.Println(err)
		return
	}
	permit, err := remote.LimitsAt(client, owner.Addr(), "licences").Acquire(ctx, limits.Request{"licence": 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer permit.Release()
	fmt.Println(licences.Stats()[0].Available, "left")
	// Output: 1 left
}

func ExampleLimitsAt() {
	ctx := context.Background()
	sys := actor.NewSystem()
	defer sys.Stop(ctx)
	node, err := remote.Start(remote.Config{System: sys})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := remote.ShareLimits(node, "gpu", limits.MustNew(limits.Resource("gpu", 1))); err != nil {
		fmt.Println(err)
		return
	}
	gpus := remote.LimitsAt(node, node.Addr(), "gpu") // of another node, or the same
	permit, err := gpus.TryAcquire(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = gpus.TryAcquire(nil)
	fmt.Println(err)
	permit.Release()
	_, err = gpus.TryAcquire(nil)
	fmt.Println(err)
	// Output:
	// limits: unavailable now
	// <nil>
}
