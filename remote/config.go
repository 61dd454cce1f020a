package remote

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/remote/wire"
)

// Config is what a [Node] is made of. Fields that are zero mean the default.
type Config struct {
	// Listen is the address to listen at, such as "127.0.0.1:0" or ":7000".
	// Default "127.0.0.1:0".
	Listen string
	// Advertise is the address that others are told; default the bound one, which
	// tells nobody anything if Listen names no host.
	Advertise string

	// TLS secures all connections, those that this node accepts and those that
	// it makes. For mutual TLS it holds a certificate, RootCAs and ClientCAs,
	// and ClientAuth is tls.RequireAndVerifyClientCert. A ServerName is needed
	// if the certificates do not name the addresses that nodes are dialled at.
	TLS *tls.Config
	// Token is a secret that all nodes share. It never crosses the wire: each
	// side proves to the other that it knows it. It should be long and random, as
	// whoever a node talks to can try to guess it afterwards. Without TLS it does
	// not hide or protect what is said.
	Token string
	// AllowInsecure permits to listen off the loopback interface with neither
	// TLS that asks for certificates nor a Token: whoever reaches the address
	// can then run the tasks of this program.
	AllowInsecure bool

	// Capacity is how many calls this node runs at once for others; default
	// GOMAXPROCS.
	Capacity int
	// MaxPayload bounds the encoded size of an argument or a result, in bytes;
	// default 16 MiB, at most 1 GiB.
	MaxPayload int
	// Heartbeat is how often each side of a connection wants to hear from the
	// other; three missed ones, and it counts as lost. Default 500 ms.
	Heartbeat time.Duration

	// Codec encodes what is sent. Default: protobuf for proto.Message, CBOR for
	// everything else. Both sides have to know it.
	Codec Codec

	// System is where the node looks for the tasks that it serves, and where it
	// logs. Default [actor.Default].
	System *actor.System

	transport transport // for tests
}

const (
	defaultMaxPayload = 16 << 20
	mostPayload       = 1 << 30
	envelopeSlack     = 4 << 20 // of an envelope beside one payload: names, headers, errors
	defaultHeartbeat  = 500 * time.Millisecond
)

func (c Config) filled() (Config, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("remote: "+format, args...)) }
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		fault("Listen %q: %w: want host:port", c.Listen, err)
	}
	if c.Advertise != "" {
		if _, _, err := net.SplitHostPort(c.Advertise); err != nil {
			fault("Advertise %q: %w: want host:port", c.Advertise, err)
		}
	}
	if c.Capacity < 0 {
		fault("Capacity %d: want at least 1, or 0 for GOMAXPROCS", c.Capacity)
	}
	if c.MaxPayload < 0 || c.MaxPayload > mostPayload {
		fault("MaxPayload %d: want 1 to %d bytes, or 0 for 16 MiB", c.MaxPayload, mostPayload)
	}
	if c.Heartbeat < 0 || c.Heartbeat > 0 && c.Heartbeat < 10*time.Millisecond {
		fault("Heartbeat %v: want at least 10ms, or 0 for 500ms", c.Heartbeat)
	}
	if c.Capacity == 0 {
		c.Capacity = runtime.GOMAXPROCS(0)
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = defaultMaxPayload
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = defaultHeartbeat
	}
	if c.System == nil {
		c.System = actor.Default()
	}
	if c.transport == nil {
		c.transport = tcp{}
	}
	if err := c.exposure(); err != nil {
		faults = append(faults, err)
	}
	return c, errors.Join(faults...)
}

// exposure refuses to offer the program's tasks to everybody.
func (c Config) exposure() error {
	verifies := c.TLS != nil && c.TLS.ClientAuth >= tls.RequireAndVerifyClientCert
	if c.AllowInsecure || c.Token != "" || verifies && c.TLS.ClientCAs != nil {
		return nil
	}
	host, _, _ := net.SplitHostPort(c.Listen)
	if addr, err := netip.ParseAddr(host); host == "localhost" || err == nil && addr.IsLoopback() {
		return nil
	}
	what := "has neither TLS nor Token"
	switch {
	case verifies:
		what = "has TLS that trusts every public authority (ClientCAs is nil) and no Token"
	case c.TLS != nil:
		what = "has TLS that asks for no certificate (ClientAuth is not tls.RequireAndVerifyClientCert) and no Token"
	}
	return fmt.Errorf("remote: Listen %q is not the loopback interface, and the node %s: whoever reaches it could run its tasks;"+
		" set TLS or Token, or AllowInsecure if the network is trusted", c.Listen, what)
}

func (c Config) codecs() (*wire.Codecs, error) {
	codecs, err := knownCodecs()
	if err != nil || c.Codec == nil {
		return codecs, err
	}
	if codecs, err = codecs.Prefer(c.Codec); err != nil {
		return nil, fmt.Errorf("remote: Codec: %w", err)
	}
	return codecs, nil
}

// link is the part of c that a connection needs.
func (c Config) link(name, address string, incarnation uint64) link.Config {
	return link.Config{
		Incarnation: incarnation, Name: name, Address: address, Token: c.Token, Heartbeat: c.Heartbeat,
		Bounds: wire.Bounds{Bytes: c.MaxPayload + envelopeSlack},
	}
}
