package link

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

// magic begins a connection, either way. The first byte is in no text and is no
// TLS; the line feed makes servers of line protocols answer.
const magic = "\x89troupe\n"

// Versions of all that comes before the first frame. Every version of it has
// the same length, magic and place of these two.
const (
	preambleMin = 1
	preambleMax = 1
)

// What a preamble says in its flags.
const (
	flagToken = 1 << iota // the sender has a token and wants proof of it
	flagTLS               // the sender sees TLS
)

const (
	nonceBytes    = 32
	proofBytes    = sha256.Size
	preambleBytes = len(magic) + 4 + 4 + 4 + nonceBytes
)

// preamble is the first that a side sends: magic, lowest and highest version,
// flags, a zero, heartbeat in milliseconds, bound of frames, nonce.
type preamble [preambleBytes]byte

func newPreamble(cfg Config, tls bool) (p preamble) {
	n := copy(p[:], magic)
	p[n], p[n+1] = preambleMin, preambleMax
	if cfg.Token != "" {
		p[n+2] |= flagToken
	}
	if tls {
		p[n+2] |= flagTLS
	}
	binary.BigEndian.PutUint32(p[n+4:], uint32((cfg.Heartbeat+time.Millisecond-1)/time.Millisecond))
	binary.BigEndian.PutUint32(p[n+8:], uint32(cfg.Bounds.Bytes))
	_, _ = rand.Read(p[n+12:]) // never fails, as its documentation says
	return p
}

func (p *preamble) versions() *wire.Versions {
	return &wire.Versions{Min: uint32(p[len(magic)]), Max: uint32(p[len(magic)+1])}
}

func (p *preamble) has(flag byte) bool { return p[len(magic)+2]&flag != 0 }

func (p *preamble) heartbeat() time.Duration {
	return time.Duration(binary.BigEndian.Uint32(p[len(magic)+4:])) * time.Millisecond
}

func (p *preamble) bound() int64 { return int64(binary.BigEndian.Uint32(p[len(magic)+8:])) }

// agree tells whether sides with these preambles can go on.
func agree(ours, theirs *preamble) error {
	if _, err := wire.Negotiate(ours.versions(), theirs.versions()); err != nil {
		return fmt.Errorf("preamble: %w", err)
	}
	switch {
	case theirs.bound() < handshakeBytes:
		return fmt.Errorf("preamble: the other side takes frames of %d bytes, want at least %d", theirs.bound(), handshakeBytes)
	case ours.has(flagTLS) != theirs.has(flagTLS):
		return fmt.Errorf("%w: one side sees TLS and the other does not: something between them ends it", ErrRefused)
	case ours.has(flagToken) && !theirs.has(flagToken):
		return fmt.Errorf("%w: this side has a token and the other side has none", ErrRefused)
	case !ours.has(flagToken) && theirs.has(flagToken):
		return fmt.Errorf("%w: the other side wants a token and this side has none", ErrRefused)
	}
	return nil
}

// Roles in a proof, so that neither side can be made to prove something for
// the other role.
const (
	roleDial   = "troupe link 1: who dialled"
	roleAccept = "troupe link 1: who accepted"
)

// prove returns what only somebody with the token can compute: of this role,
// for this connection. All but the last part have lengths that are known.
func prove(token, role string, dialled, accepted *preamble, binding []byte) []byte {
	mac := hmac.New(sha256.New, []byte(token))
	for _, part := range [][]byte{[]byte(role), dialled[:], accepted[:], binding} {
		mac.Write(part)
	}
	return mac.Sum(nil)
}

// guess says what the first bytes of something foreign look like, and whether
// that is TLS, or one of ours without TLS where TLS was expected.
func guess(head []byte) (seen string, trust bool) {
	prefix := func(s string) bool { return bytes.HasPrefix(head, []byte(s)) }
	switch {
	case prefix(magic[:4]):
		return "a node that does not use TLS", true
	case prefix("\x16\x03"), prefix("\x15\x03"):
		return "TLS, and this side does not use it", true
	case prefix("PRI "):
		return "HTTP/2, as of a gRPC client", false
	case len(head) >= 4 && head[0] == 0 && head[1] == 0 && head[3] == 4:
		return "HTTP/2, as of a gRPC server", false
	case prefix("HTTP"):
		return "a web server (HTTP)", false
	case prefix("SSH-"):
		return "SSH", false
	}
	if asksHTTP(head) {
		return "a web client (HTTP)", false
	}
	return fmt.Sprintf("something that begins with %q", head), false
}

// asksHTTP tells whether head begins a request.
func asksHTTP(head []byte) bool {
	for _, method := range []string{"GET ", "HEAD", "POST", "PUT ", "OPTI", "DELE", "PATC", "CONN", "TRAC"} {
		if bytes.HasPrefix(head, []byte(method)) {
			return true
		}
	}
	return false
}
