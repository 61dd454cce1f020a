package limits

import (
	"errors"
	"fmt"
	"time"
)

// callsKey is the key of the limit that [Calls] makes.
const callsKey = "calls"

// kind tells the sorts of [Limit] apart.
type kind int

const (
	kindNone kind = iota // the zero Limit: made by none of the constructors
	kindRate
	kindCalls
	kindResource
)

func (k kind) String() string {
	return [...]string{kindNone: "none", kindRate: "rate", kindCalls: "calls", kindResource: "resource"}[k]
}

// A Limit is the definition of one limit: what [Rate], [Calls] and [Resource]
// make and [New] takes. It holds no state, so one Limit may be given to
// several Sets; each then counts for itself. What is wrong with a Limit is an
// error of New.
type Limit struct {
	kind      kind
	key       string
	capacity  int
	per       time.Duration
	algorithm Algorithm
	burst     int // 0: not set
	hasBurst  bool
	badOption bool // a nil RateOption was given
}

// Rate limits the amount of key that is granted over time to capacity for
// each window of length per; both must be above zero. How strictly, and
// whether unused amounts come back, is the [Algorithm]'s business; the default
// is [TokenBucket].
//
// Every [Request] to a Set with a Rate must name its key; 0 stands for none of
// it. One request may take at most capacity, or what [Burst] says.
func Rate(key string, capacity int, per time.Duration, opts ...RateOption) Limit {
	return newRate(kindRate, key, capacity, per, opts)
}

// Calls is a [Rate] that counts requests: its key is "calls", and a [Request]
// that does not name it takes 1.
func Calls(capacity int, per time.Duration, opts ...RateOption) Limit {
	return newRate(kindCalls, callsKey, capacity, per, opts)
}

// Resource is a counting semaphore: of capacity units, which must be at least
// 1, each [Permit] holds some until it is released. A [Request] that does not
// name key takes 1.
func Resource(key string, capacity int) Limit {
	return Limit{kind: kindResource, key: key, capacity: capacity}
}

func newRate(k kind, key string, capacity int, per time.Duration, opts []RateOption) Limit {
	l := Limit{kind: k, key: key, capacity: capacity, per: per}
	for _, o := range opts {
		if o == nil {
			l.badOption = true
			continue
		}
		o.applyRate(&l)
	}
	return l
}

// A RateOption adjusts a [Rate] or [Calls]: an [Algorithm] or [Burst].
type RateOption interface{ applyRate(*Limit) }

type burstOption int

func (n burstOption) applyRate(l *Limit) { l.burst, l.hasBurst = int(n), true }

// Burst sets how much may be granted at once after a time of rest, and so the
// largest amount that one request may take; n must be at least 1. It defaults
// to the capacity, and may be smaller (smoother) or larger. Only [TokenBucket]
// and [GCRA] have a burst; with another algorithm it is an error of [New].
func Burst(n int) RateOption { return burstOption(n) }

// most returns the largest amount that one request may take.
func (l *Limit) most() int {
	if l.hasBurst {
		return l.burst
	}
	return l.capacity
}

// joins tells whether a request that does not name the limit takes 1 of it.
func (l *Limit) joins() bool { return l.kind != kindRate }

// faults returns all that is wrong with l, which was given to New at position i.
func (l *Limit) faults(i int) error {
	if l.kind == kindNone {
		return fmt.Errorf("limits: limit %d: made by none of Rate, Calls and Resource", i+1)
	}
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("limits: %s: %s", l.name(), fmt.Sprintf(format, args...)))
	}
	if l.key == "" {
		fault("empty key")
	}
	if l.capacity < 1 {
		fault("capacity %d: want at least 1", l.capacity)
	}
	if l.kind == kindResource {
		return errors.Join(errs...)
	}
	if l.per <= 0 {
		fault("window %v: want more than 0", l.per)
	}
	if l.badOption {
		fault("nil option")
	}
	if !l.algorithm.known() {
		fault("unknown algorithm %d", int(l.algorithm))
	} else if l.hasBurst && !l.algorithm.bursts() {
		fault("Burst(%d) has no meaning with %v: want TokenBucket or GCRA", l.burst, l.algorithm)
	}
	if l.hasBurst && l.burst < 1 {
		fault("Burst(%d): want at least 1", l.burst)
	}
	return errors.Join(errs...)
}

// name returns l as it was written by its maker.
func (l *Limit) name() string {
	switch l.kind {
	case kindCalls:
		return "Calls"
	case kindResource:
		return fmt.Sprintf("Resource(%q)", l.key)
	default:
		return fmt.Sprintf("Rate(%q)", l.key)
	}
}
