package supervisor

import (
	"errors"
	"testing"
	"time"
)

// The engine keeps the time of every failure of a child for ever.
func TestHistoryMemoryIsBounded(t *testing.T) {
	for _, p := range []Policy{
		{MaxRestarts: -1, Within: time.Hour},
		{MaxRestarts: 1, Within: time.Second},
		{MaxRestarts: 100, Within: time.Second},
	} {
		var (
			h   History
			now = time.Now()
		)
		for range 10_000 {
			now = now.Add(3 * time.Millisecond)
			p.Next(now, &h, errors.New("boom"))
			if got, bound := len(h.grants), max(0, 2*p.MaxRestarts); got > bound {
				t.Fatalf("MaxRestarts %d: history holds %d times, want %d at most", p.MaxRestarts, got, bound)
			}
		}
	}
}
