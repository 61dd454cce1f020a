package remote

import (
	"math/rand/v2"

	"github.com/troupe-go/troupe/task"
)

// pick returns the seat for the next call, of those that have room, as Balance
// says; nil if none has. The crew's lock is held.
func (c *crew) pick() *seat {
	var best *seat
	n := len(c.seats)
	for i, open := 0, 0; i < n; i++ {
		s := c.seats[i]
		if task.Balancing(c.job.Balance) == task.RoundRobin {
			s = c.seats[(c.turn+i)%n]
		}
		if len(s.flights) >= s.window() {
			continue
		}
		open++
		switch task.Balancing(c.job.Balance) {
		case task.RoundRobin:
			c.turn = (c.turn + i + 1) % n
			return s
		case task.Random:
			if rand.IntN(open) == 0 {
				best = s
			}
		case task.LeastTotal:
			if best == nil || s.total < best.total {
				best = s
			}
		default: // the least loaded, for its size
			if best == nil || len(s.flights)*best.capacity < len(best.flights)*s.capacity {
				best = s
			}
		}
	}
	return best
}
