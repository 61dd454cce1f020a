package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// secured is a *tls.Conn, or what embeds one.
type secured interface {
	HandshakeContext(context.Context) error
	ConnectionState() tls.ConnectionState
	NetConn() net.Conn
}

// secure does the handshake of TLS, if nc is of it.
func (s *shake) secure() error {
	if s.tls == nil {
		return nil
	}
	s.step = "TLS"
	err := s.tls.HandshakeContext(s.ctx)
	var plain tls.RecordHeaderError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &plain):
		return s.foreign(plain.RecordHeader[:])
	case unreachable(err):
		return err
	}
	if !s.dialed {
		s.linger(s.tls.NetConn()) // with the alert that says why
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// unreachable tells errors of the network from those of certificates.
func unreachable(err error) bool {
	if damaged(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var network net.Error
	return errors.As(err, &network) && !alert(err)
}

// alert reports whether the other side of TLS has said why it ends. In TLS 1.3
// a client may hear only after its handshake that it was refused.
func alert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && !damaged(err)
}

// damaged reports whether TLS ended because something arrived that was not sent
// so, at either end: that says nothing about trust. The package gives no type.
func damaged(err error) bool {
	text := err.Error()
	for _, alert := range []string{"bad record MAC", "decode error", "unexpected message", "record overflow", "error decoding message"} {
		if strings.Contains(text, alert) {
			return true
		}
	}
	return false
}

// binding ties a proof to the TLS connection that it is made over: passed on
// over another one, it is worth nothing.
func (s *shake) binding() ([]byte, error) {
	if s.tls == nil {
		return nil, nil
	}
	state := s.tls.ConnectionState()
	key, err := state.ExportKeyingMaterial("EXPORTER-troupe-link", nil, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: a token needs TLS 1.3, or 1.2 with extended master secrets: %w", ErrRefused, err)
	}
	return key, nil
}

const (
	answerHTTP = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 59\r\n\r\n" +
		"This port is for nodes of troupe, which do not speak HTTP.\n"
	answerPlain = "\x15\x03\x01\x00\x02\x02\x46" // an alert of TLS: fatal, protocol version
)

// foreign says what the other side seems to be, to both sides: who accepted
// answers in a way that the other one understands.
func (s *shake) foreign(head []byte) error {
	seen, trust := guess(head)
	if !s.dialed {
		s.answerForeign(head, trust)
	}
	if trust {
		return fmt.Errorf("%w: the other side speaks %s", ErrRefused, seen)
	}
	return fmt.Errorf("%w: it is %s", ErrForeign, seen)
}

func (s *shake) answerForeign(head []byte, trust bool) {
	answer, out := answerHTTP, s.nc
	switch {
	case trust && s.tls != nil:
		answer, out = answerPlain, s.tls.NetConn()
	case trust:
		answer = magic // tells our own client who is here
	case s.tls != nil:
		out = s.tls.NetConn()
	}
	if !trust && !asksHTTP(head) {
		return
	}
	if _, err := io.WriteString(out, answer); err == nil {
		s.linger(out)
	}
}

// linger waits until the other side has read what was written last. To close
// earlier, with bytes of it unread, would make the system throw that away.
func (s *shake) linger(nc net.Conn) {
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	until, _ := s.ctx.Deadline()
	if most := time.Now().Add(time.Second); until.After(most) {
		until = most
	}
	_ = nc.SetReadDeadline(until)
	if s.ctx.Err() == nil {
		_, _ = io.CopyN(io.Discard, nc, handshakeBytes)
	}
}

// closeNow closes nc without a last word, for which TLS would wait.
func closeNow(nc net.Conn) {
	if s, ok := nc.(secured); ok {
		nc = s.NetConn()
	}
	_ = nc.Close()
}
