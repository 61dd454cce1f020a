package wire

import (
	"fmt"
)

// The versions of the protocol that this package speaks.
const (
	MinVersion = 1
	MaxVersion = 1
)

// Supported returns the versions that this package speaks, for a Hello or a
// Welcome.
func Supported() *Versions { return &Versions{Min: MinVersion, Max: MaxVersion} }

// Negotiate returns the highest version that both sides speak, the same for
// both. If there is none, or a range is empty or starts at 0, the error is a
// [*VersionError].
func Negotiate(ours, theirs *Versions) (uint32, error) {
	low, high := max(ours.GetMin(), theirs.GetMin()), min(ours.GetMax(), theirs.GetMax())
	if low > high || ours.GetMin() == 0 || theirs.GetMin() == 0 || ours.GetMin() > ours.GetMax() || theirs.GetMin() > theirs.GetMax() {
		return 0, &VersionError{
			OurMin: ours.GetMin(), OurMax: ours.GetMax(),
			TheirMin: theirs.GetMin(), TheirMax: theirs.GetMax(),
		}
	}
	return high, nil
}

// VersionError says that two sides have no version of the protocol in common.
type VersionError struct {
	OurMin, OurMax, TheirMin, TheirMax uint32
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("wire: no common protocol version: we speak %s, the other side %s",
		span(e.OurMin, e.OurMax), span(e.TheirMin, e.TheirMax))
}

func span(low, high uint32) string {
	if low == high {
		return fmt.Sprint(low)
	}
	return fmt.Sprintf("%d to %d", low, high)
}
