package link

import (
	"errors"
	"fmt"
)

var (
	// ErrRefused says that the two sides do not trust each other: one of them has
	// no token or another one, a TLS handshake failed, or one speaks TLS and the
	// other does not.
	ErrRefused = errors.New("refused")

	// ErrForeign says that the other side speaks another protocol. The text tells
	// which, as far as it could be guessed.
	ErrForeign = errors.New("the other side does not speak our protocol")

	// ErrSilent says that nothing came from the other side for three heartbeats.
	ErrSilent = errors.New("no sign of life")

	// ErrUnread says that the other side has read nothing for three heartbeats of
	// what waits for it here, whatever it sent meanwhile.
	ErrUnread = errors.New("the other side does not read")

	// ErrClosed is why a connection ended that was closed without a reason.
	ErrClosed = errors.New("link: closed")

	errTwice = errors.New("link: Serve was called twice")
)

// A RefusalError is what [Dial] returns if the other side answered with a
// refusal, and [Accept] if this one did. It unwraps to the refusal.
type RefusalError struct {
	By  string // the name of who refused
	Err error
}

func (e *RefusalError) Error() string { return fmt.Sprintf("link: refused by %q: %v", e.By, e.Err) }

// Unwrap returns the refusal.
func (e *RefusalError) Unwrap() error { return e.Err }

// A FrameError says that a frame is larger than its receiver takes, or empty.
type FrameError struct {
	Bytes, Most int64
}

func (e *FrameError) Error() string {
	if e.Bytes == 0 {
		return "an empty frame"
	}
	return fmt.Sprintf("a frame of %d bytes, want at most %d", e.Bytes, e.Most)
}

// A GapError says that envelopes got lost on the way.
type GapError struct {
	Got, Want uint64 // sequence numbers
}

func (e *GapError) Error() string {
	return fmt.Sprintf("envelopes were lost: number %d came where %d was due", e.Got, e.Want)
}
