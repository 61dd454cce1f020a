package limits

import "fmt"

// An Algorithm is the rule by which a [Rate] decides. It is a [RateOption];
// the conversion Algorithm(GCRA) and the constant GCRA are the same option.
//
// With c for the capacity, b for the burst and per for the window:
//
//	               most in any window of length per  gives back  spacing
//	TokenBucket    b + c                             yes         bursts, then even
//	GCRA           b + c                             yes         bursts, then even
//	SlidingWindow  c, the hard cap                   no          bursts
//	FixedWindow    2c, across a boundary             no          bursts
//	LeakyBucket    c - 1 + the largest request       no          even from the start
//
// A window includes its first instant and not its last. All five take debts:
// what [Permit.Update] reports beyond the request counts from that report on
// and delays later grants.
type Algorithm int

// The algorithms; the comments at their types say more.
const (
	// TokenBucket fills a bucket of burst tokens at an even pace and is the
	// default. It runs on golang.org/x/time/rate.
	TokenBucket Algorithm = iota
	// GCRA gives the guarantees of TokenBucket with exact integers.
	GCRA
	// SlidingWindow remembers each grant for one window: the hard cap.
	SlidingWindow
	// FixedWindow counts anew in each window: the cheapest.
	FixedWindow
	// LeakyBucket spaces grants evenly and has no bursts.
	LeakyBucket
)

var algorithmNames = [...]string{
	TokenBucket:   "TokenBucket",
	GCRA:          "GCRA",
	SlidingWindow: "SlidingWindow",
	FixedWindow:   "FixedWindow",
	LeakyBucket:   "LeakyBucket",
}

// String returns the name of the constant.
func (a Algorithm) String() string {
	if !a.known() {
		return fmt.Sprintf("Algorithm(%d)", int(a))
	}
	return algorithmNames[a]
}

func (a Algorithm) applyRate(l *Limit) { l.algorithm = a }

func (a Algorithm) known() bool { return a >= 0 && int(a) < len(algorithmNames) }

// bursts tells whether [Burst] has a meaning for a.
func (a Algorithm) bursts() bool { return a == TokenBucket || a == GCRA }
