package remote

import (
	"fmt"
	"math"
	"time"

	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

// Limits live with their owner, who sends the calls or shares a Set. At each
// connection the owner has a desk (limitsDesk), and the other side a proxy
// (limitsProxy) whose Limiters ask it:
//
//	Limiter ──ask──▶ limitsProxy ──Acquire──▶ limitsDesk ──▶ Set
//	   ▲                  │   ◀────Grant────      │
//	   └─────answered─────┘                       └─ what it holds comes back
//	                                                 when the connection ends
//
// Every Acquire is answered by one Grant, also one that is withdrawn: so the
// proxy knows whose a late grant is, and both know how much is under way.

const (
	mostAsks  = 16384    // permits that are asked for or held over a connection
	mostOwed  = 32 << 20 // bytes of answers that wait for a peer who does not read
	mostName  = 1 << 10  // bytes of a key and of the name of a Set
	mostKeys  = 1 << 10  // of a request
	mostLate  = 1024     // messages that wait for a Limiter that takes its time
	mostPast  = 1024     // released permits of a connection that can still pause
	owedChunk = 64 << 10
)

// lostLimits is the error of whoever waits for an answer when the connection
// ends, and of reports on permits that went with it.
type lostLimits struct {
	node  string
	cause error
}

func (e *lostLimits) Error() string {
	return fmt.Sprintf("remote: lost the connection to %s, which has the limits: %v", e.node, e.cause)
}

// Is reports whether target is [task.ErrLost].
func (e *lostLimits) Is(target error) bool { return target == task.ErrLost }

// Unwrap returns why the connection ended.
func (e *lostLimits) Unwrap() error { return e.cause }

func errTooMany(node string) error {
	return fmt.Errorf("remote: %d permits are asked for or held over one connection to %s: that is the most there can be", mostAsks, node)
}

// poolLimits finds the Limiter of a pool for the functions of its calls.
func poolLimits(l limits.Limiter) func(set string) limits.Limiter {
	return func(set string) limits.Limiter {
		if set != limitsOfPool {
			return nil
		}
		return l
	}
}

// toWire changes the type of amounts, and refuses what is too large to be sent.
func toWire(r limits.Request) (map[string]int64, error) {
	return amounts[int64](r)
}

// fromWire is toWire on the other side, which has to check all the same.
func fromWire(r map[string]int64) (limits.Request, error) {
	return amounts[int](r)
}

func amounts[To, From int | int64](r map[string]From) (map[string]To, error) {
	if len(r) > mostKeys {
		return nil, &limits.RequestError{Reason: fmt.Sprintf("%d keys, a request to elsewhere has at most %d", len(r), mostKeys)}
	}
	out := make(map[string]To, len(r))
	for key, n := range r {
		if err := checkAmount(key, int64(n)); err != nil {
			return nil, err
		}
		out[key] = To(n)
	}
	return out, nil
}

// checkAmount refuses what a Limiter need not see.
func checkAmount(key string, n int64) error {
	if len(key) > mostName {
		return &limits.RequestError{Key: key[:16] + "...", Reason: fmt.Sprintf("a key of %d bytes, elsewhere it may have %d", len(key), mostName)}
	}
	if n > math.MaxInt || n < math.MinInt {
		return &limits.RequestError{Key: key, Reason: fmt.Sprintf("%d is more than an int has room for there", n)}
	}
	return nil
}

func statsToWire(stats []limits.Stat) []*wire.Stat {
	out := make([]*wire.Stat, 0, len(stats))
	for _, s := range stats {
		w := &wire.Stat{
			Key: s.Key, Kind: s.Kind, Algorithm: s.Algorithm, Capacity: int64(s.Capacity), Available: int64(s.Available),
			Used: int64(s.Used), Waiting: int64(s.Waiting), Granted: s.Granted, Refused: s.Refused,
		}
		if !s.PausedUntil.IsZero() {
			w.Paused = max(1, int64(time.Until(s.PausedUntil)))
		}
		out = append(out, w)
	}
	return out
}

func statsFromWire(stats []*wire.Stat) []limits.Stat {
	out := make([]limits.Stat, 0, len(stats))
	for _, w := range stats {
		s := limits.Stat{
			Key: w.GetKey(), Kind: w.GetKind(), Algorithm: w.GetAlgorithm(), Capacity: clamped(w.GetCapacity()), Available: clamped(w.GetAvailable()),
			Used: clamped(w.GetUsed()), Waiting: clamped(w.GetWaiting()), Granted: w.GetGranted(), Refused: w.GetRefused(),
		}
		if left := w.GetPaused(); left > 0 {
			s.PausedUntil = time.Now().Add(time.Duration(left))
		}
		out = append(out, s)
	}
	return out
}

func clamped(n int64) int { return int(max(math.MinInt, min(math.MaxInt, n))) }
