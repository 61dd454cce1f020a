package remote

import (
	"testing"

	"github.com/troupe-go/troupe/remote/wire"
)

// A peer that sends calls without end is cut off, by their number and by what
// their arguments take.
func TestAGuestMayNotHaveEndlessCallsWaiting(t *testing.T) {
	h := &house{name: "n", capacity: 2, maxPayload: 1 << 20}
	g := &guest{house: h, visits: make(map[uint64]*visit)}
	fill := func(calls, bytes int) error {
		clear(g.visits)
		for i := range calls {
			g.visits[uint64(i)] = &visit{guest: g, call: &wire.Call{}}
		}
		g.bytes = bytes
		return g.over()
	}
	if err := fill(mostVisits, mostVisitBytes+2<<20); err != nil {
		t.Errorf("as much as may be: %v", err)
	}
	if fill(mostVisits+1, 0) == nil {
		t.Error("more calls than may be are taken")
	}
	if fill(1, mostVisitBytes+2<<20+1) == nil {
		t.Error("more bytes than may be are taken")
	}
}
