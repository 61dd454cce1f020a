package link

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

// Dial makes a connection of nc, which this side has opened, and tells the
// other side hello. It blocks until the other side has answered, ctx ends or
// Config.Handshake is over. What hello leaves open of versions, incarnation,
// name and address comes from cfg.
//
// An nc that is a *tls.Conn does its handshake here. The Conn owns nc, which is
// closed if the error is not nil: one that matches [ErrRefused], [ErrForeign],
// context.Cause(ctx), context.DeadlineExceeded after Config.Handshake, a
// [*wire.VersionError], a [*RefusalError], or one of nc. [Conn.Serve] is to be
// called at once.
func Dial(ctx context.Context, nc net.Conn, cfg Config, hello *wire.Hello) (c *Conn, w *wire.Welcome, err error) {
	s, err := newShake(ctx, nc, cfg, true)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err = s.end(err, c != nil); err != nil {
			c, w = nil, nil
		}
	}()
	if err := s.trust(); err != nil {
		return nil, nil, err
	}
	return s.greet(hello)
}

// Accept is Dial for the other side, which has accepted nc. It calls welcome
// with what the other side says, on this goroutine, and answers what it
// returns, completed from cfg; nil is an empty Welcome. One with a Refusal ends
// the connection, for Accept with a [*RefusalError]. So do versions without one
// in common: both sides get a [*wire.VersionError].
func Accept(ctx context.Context, nc net.Conn, cfg Config, welcome func(*wire.Hello) *wire.Welcome) (c *Conn, h *wire.Hello, err error) {
	s, err := newShake(ctx, nc, cfg, false)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err = s.end(err, c != nil); err != nil {
			c, h = nil, nil
		}
	}()
	if err := s.trust(); err != nil {
		return nil, nil, err
	}
	return s.answer(welcome)
}

// longAgo as a deadline ends what waits.
var longAgo = time.Unix(1, 0)

// A shake is a handshake in progress.
type shake struct {
	cfg    Config
	nc     net.Conn
	tls    secured // nil: nc is plain
	in     *reader
	dialed bool

	parent  context.Context
	ctx     context.Context // ends with the time for the handshake too
	cancel  context.CancelFunc
	release func() bool // of what sets the deadline when ctx ends
	expired chan struct{}

	step         string // what is being done, for errors
	ours, theirs preamble
}

func newShake(ctx context.Context, nc net.Conn, cfg Config, dialed bool) (*shake, error) {
	cfg, err := cfg.filled()
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	s := &shake{cfg: cfg, nc: nc, dialed: dialed, parent: ctx, expired: make(chan struct{})}
	s.tls, _ = nc.(secured)
	s.in = &reader{src: nc, most: handshakeBytes}
	s.ctx, s.cancel = context.WithTimeout(ctx, cfg.Handshake)
	s.release = context.AfterFunc(s.ctx, func() {
		_ = nc.SetDeadline(longAgo)
		close(s.expired)
	})
	return s, nil
}

// end finishes the handshake. A connection that was made in the moment in which
// the time ran out has a deadline and is of no use.
func (s *shake) end(err error, made bool) error {
	if !s.release() {
		<-s.expired
		made = false
	}
	if made && err == nil {
		s.cancel()
		return nil
	}
	closeNow(s.nc)
	err = s.explain(err)
	s.cancel()
	return err
}

// explain puts the sides before err, and what was being done.
func (s *shake) explain(err error) error {
	if refusal := (*RefusalError)(nil); errors.As(err, &refusal) {
		return err
	}
	who := sides(s.cfg.Name, "", s.nc, s.dialed)
	ended := s.ctx.Err() != nil && (err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, s.ctx.Err()))
	switch {
	case ended && s.parent.Err() != nil:
		err = context.Cause(s.parent)
	case ended:
		err = fmt.Errorf("not done within %v: %w", s.cfg.Handshake, context.DeadlineExceeded)
	case alert(err):
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("the other side ended the connection in the middle: %w", err)
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("the other side ended the connection: %w", err)
	}
	return fmt.Errorf("link: %s: handshake: %s: %w", who, s.step, err)
}

// trust does TLS, the preambles and the proofs.
func (s *shake) trust() error {
	if err := s.secure(); err != nil {
		return err
	}
	s.step = "preamble"
	if err := s.introduce(); err != nil {
		return err
	}
	if err := agree(&s.ours, &s.theirs); err != nil {
		return err
	}
	if s.cfg.Token == "" {
		return nil
	}
	s.step = "token"
	binding, err := s.binding()
	if err != nil {
		return err
	}
	if s.dialed {
		return s.proveFirst(binding)
	}
	return s.proveSecond(binding)
}

// introduce exchanges preambles. Who dialled speaks first.
func (s *shake) introduce() error {
	s.ours = newPreamble(s.cfg, s.tls != nil)
	if s.dialed {
		if err := s.write(s.ours[:]); err != nil {
			return err
		}
		return s.preamble()
	}
	if err := s.preamble(); err != nil {
		return err
	}
	return s.write(s.ours[:])
}

// preamble reads the other side's, and does not wait for all of one that cannot
// be it.
func (s *shake) preamble() error {
	for n := 1; ; n++ {
		head, err := s.in.peek(n)
		if seen := min(len(head), len(magic)); string(head[:seen]) != magic[:seen] && (len(head) >= 4 || err != nil) {
			return s.foreign(head[:min(len(head), 16)])
		}
		if s.dialed && errors.Is(err, io.EOF) {
			return fmt.Errorf("%w, without a word: it may speak another protocol, or TLS", err)
		}
		if err != nil {
			return err
		}
		if n >= len(magic) {
			break
		}
	}
	all, err := s.in.take(preambleBytes)
	copy(s.theirs[:], all)
	return err
}

// What the side that accepts says to a proof.
const (
	proofWrong = iota
	proofRight
)

// proveFirst is for who dialled: the one that can be lured nowhere by somebody
// who only waits to be asked for a proof.
func (s *shake) proveFirst(binding []byte) error {
	if err := s.write(prove(s.cfg.Token, roleDial, &s.ours, &s.theirs, binding)); err != nil {
		return err
	}
	answer, err := s.in.take(1 + proofBytes)
	switch {
	case err != nil:
		return err
	case answer[0] != proofRight:
		return fmt.Errorf("%w: the other side has another token", ErrRefused)
	case !hmac.Equal(answer[1:], prove(s.cfg.Token, roleAccept, &s.ours, &s.theirs, binding)):
		return fmt.Errorf("%w: the other side could not prove that it has our token", ErrRefused)
	}
	return nil
}

func (s *shake) proveSecond(binding []byte) error {
	proof, err := s.in.take(proofBytes)
	if err != nil {
		return err
	}
	answer := make([]byte, 1, 1+proofBytes)
	right := hmac.Equal(proof, prove(s.cfg.Token, roleDial, &s.theirs, &s.ours, binding))
	if right {
		answer[0] = proofRight
		answer = append(answer, prove(s.cfg.Token, roleAccept, &s.theirs, &s.ours, binding)...)
	}
	if err := s.write(answer[:cap(answer)]); err != nil {
		return err
	}
	if !right {
		return fmt.Errorf("%w: the other side has another token", ErrRefused)
	}
	return nil
}

func (s *shake) write(b []byte) error {
	_, err := s.nc.Write(b)
	return err
}
