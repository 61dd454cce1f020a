package limits

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrUnavailable is returned by TryAcquire if a request cannot be granted now.
var ErrUnavailable = errors.New("limits: unavailable now")

// ErrClosed is returned to who asks or waits for a permit of a closed [Set].
var ErrClosed = errors.New("limits: set closed")

// A Request names the amounts to take, by the keys of the limits. A key with
// amount 0 takes nothing and waits for nothing. A [Rate] must be named; [Calls]
// and a [Resource] that are not join with 1. A nil Request names nothing.
//
// A Limiter reads a Request before its method returns and does not keep it.
type Request map[string]int

// A RequestError reports a [Request], or an amount given to [Permit.Update],
// that a Limiter could never grant. Nothing was taken.
type RequestError struct {
	Key    string // the limit asked for
	Amount int    // the amount asked for; 0 if none was named
	Reason string // what is wrong with it, for people
}

func (e *RequestError) Error() string {
	return fmt.Sprintf("limits: key %q, amount %d: %s", e.Key, e.Amount, e.Reason)
}

// resolve appends the amounts that r takes, one for each limit of the Set in
// order, to need, or returns a *RequestError.
func (s *Set) resolve(r Request, need []int64) ([]int64, error) {
	if len(s.limits) == 0 {
		return need, negative(r)
	}
	named := 0
	for i := range s.limits {
		l := &s.limits[i]
		n, ok := r[l.key]
		if ok {
			named++
		} else if l.joins {
			n = 1
		} else {
			return nil, s.fault(r)
		}
		if n < 0 || n > l.most {
			return nil, s.fault(r)
		}
		need = append(need, int64(n))
	}
	if named != len(r) {
		return nil, s.fault(r)
	}
	return need, nil
}

// fault tells what is wrong with r, which resolve has refused. An unknown key
// comes first, as it may be a misspelling of the one that is missing.
func (s *Set) fault(r Request) error {
	if len(s.limits) == 0 {
		return negative(r)
	}
	for _, key := range slices.Sorted(maps.Keys(r)) {
		if _, ok := s.byKey[key]; !ok {
			return s.unknown(key, r[key])
		}
	}
	for i := range s.limits {
		l := &s.limits[i]
		n, named := r[l.key]
		switch {
		case !named && !l.joins:
			return &RequestError{Key: l.key, Reason: "missing: every rate must be named, with 0 for none of it"}
		case n < 0:
			return &RequestError{Key: l.key, Amount: n, Reason: "negative amount"}
		case n > l.most:
			return &RequestError{Key: l.key, Amount: n, Reason: l.above()}
		}
	}
	return nil
}

// fits tells whether r has the keys that s needs, whatever the amounts.
func (s *Set) fits(r Request) bool {
	if len(s.limits) == 0 {
		return true
	}
	named := 0
	for i := range s.limits {
		l := &s.limits[i]
		if _, ok := r[l.key]; ok {
			named++
		} else if !l.joins {
			return false
		}
	}
	return named == len(r)
}

// unknown returns the error about a key that the Set does not have.
func (s *Set) unknown(key string, amount int) error {
	known := make([]string, len(s.limits))
	for i := range s.limits {
		known[i] = fmt.Sprintf("%q", s.limits[i].key)
	}
	return &RequestError{Key: key, Amount: amount, Reason: "unknown key, want one of " + strings.Join(known, ", ")}
}

// above says that an amount could never be granted.
func (l *limit) above() string {
	if l.def.hasBurst {
		return fmt.Sprintf("above the burst of %d", l.most)
	}
	return fmt.Sprintf("above the capacity of %d", l.most)
}

// negative returns the error about the first negative amount in r, by key.
func negative(r Request) error {
	var first *RequestError
	for key, n := range r {
		if n < 0 && (first == nil || key < first.Key) {
			first = &RequestError{Key: key, Amount: n, Reason: "negative amount"}
		}
	}
	if first == nil {
		return nil
	}
	return first
}
