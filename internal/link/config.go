package link

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

// Config is what one side of a connection brings along. Fields that are 0 mean
// the default. [Dial] and [Accept] report everything wrong with it at once.
type Config struct {
	Incarnation uint64 // default: a new random one, which is rarely what a node wants
	Name        string // of this side, for the other one and for the text of errors
	Address     string // where this side can be dialled; empty: nowhere

	// Token is a secret that both sides share. It never crosses the wire. Both
	// have one or neither has; an empty one is none.
	Token string

	// Heartbeat is how often this side wants to hear from the other, from 10 ms;
	// three times in a row without a byte, and the connection has ended with
	// [ErrSilent]. The other side learns it in the handshake and sends as often.
	// Default 500 ms.
	Heartbeat time.Duration

	// Handshake bounds the handshake, that of TLS included. Default 5 s.
	Handshake time.Duration

	// Bounds is what an envelope that comes in may hold. The other side learns
	// the Bytes in the handshake; see [Conn.MaxBytes].
	Bounds wire.Bounds

	versions *wire.Versions // for tests; default wire.Supported
}

const (
	defaultHeartbeat = 500 * time.Millisecond
	leastHeartbeat   = 10 * time.Millisecond
	defaultHandshake = 5 * time.Second
	defaultBytes     = 20 << 20 // as in wire.Bounds
	missedBeats      = 3
)

func (c Config) filled() (Config, error) {
	if c.Incarnation == 0 {
		c.Incarnation = wire.NewIncarnation()
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = defaultHeartbeat
	}
	if c.Handshake == 0 {
		c.Handshake = defaultHandshake
	}
	if c.Bounds.Bytes == 0 {
		c.Bounds.Bytes = defaultBytes
	}
	if c.versions == nil {
		c.versions = wire.Supported()
	}
	return c, c.check()
}

func (c Config) check() error {
	var faults []error
	if c.Heartbeat < leastHeartbeat || c.Heartbeat > math.MaxInt32*time.Millisecond {
		faults = append(faults, fmt.Errorf("link: Heartbeat %v: want at least %v and less than 24 days", c.Heartbeat, leastHeartbeat))
	}
	if c.Handshake < 0 {
		faults = append(faults, fmt.Errorf("link: Handshake %v: want more than 0", c.Handshake))
	}
	if c.Bounds.Bytes < handshakeBytes || c.Bounds.Bytes > math.MaxInt32 {
		faults = append(faults, fmt.Errorf("link: Bounds.Bytes %d: want %d to %d", c.Bounds.Bytes, handshakeBytes, math.MaxInt32))
	}
	if c.Bounds.Items < 0 || c.Bounds.Depth < 0 {
		faults = append(faults, fmt.Errorf("link: Bounds of %d items and depth %d: want at least 1 each", c.Bounds.Items, c.Bounds.Depth))
	}
	return errors.Join(faults...)
}
