package limits

import "fmt"

// A Choice is how a [Pool] picks the Set that it asks first. It is a
// [PoolOption].
type Choice int

const (
	// RoundRobin takes one Set after the other; the default.
	RoundRobin Choice = iota
	// Random takes any.
	Random
)

// A PoolOption adjusts a [Pool]: a [Choice] or [Offset].
type PoolOption interface{ applyPool(*Pool) error }

func (c Choice) applyPool(p *Pool) error {
	if c != RoundRobin && c != Random {
		return fmt.Errorf("limits: Pool: unknown choice %d", int(c))
	}
	p.choice = c
	return nil
}

type offset int

func (n offset) applyPool(p *Pool) error {
	if n < 0 {
		return fmt.Errorf("limits: Pool: Offset(%d): want at least 0", int(n))
	}
	p.offset = int(n) % max(1, len(p.sets))
	return nil
}

// Offset lets [RoundRobin] begin with Set n, counted from 0 and round again
// past the last; n must be at least 0, the default. Give each of several
// processes another one, and they do not all begin with the same Set. [Random]
// has no use for it.
func Offset(n int) PoolOption { return offset(n) }
