package link

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-go/troupe/remote/wire"
)

// handshakeBytes bounds frames until the handshake is through.
const handshakeBytes = 64 << 10

var errTooMuch = fmt.Errorf("what this side announces takes more than %d bytes", handshakeBytes)

// greet is for who dialled: hello, and then what comes back.
func (s *shake) greet(hello *wire.Hello) (*Conn, *wire.Welcome, error) {
	s.step = "hello"
	hello = s.complete(hello)
	first := wire.NewBatcher(wire.Head{Version: hello.GetVersions().GetMin(), From: s.cfg.Incarnation}, s.cfg.Bounds)
	first.SetHello(hello)
	if err := s.send(first.Flush()); err != nil {
		return nil, nil, err
	}
	s.step = "welcome"
	e, err := s.envelope()
	if err != nil {
		return nil, nil, err
	}
	w := e.GetWelcome()
	if w == nil {
		return nil, nil, errors.New("the other side sent something else")
	}
	if err := s.judge(e, w, hello.GetVersions()); err != nil {
		return nil, nil, err
	}
	head := wire.Head{Version: w.GetVersion(), From: s.cfg.Incarnation, To: e.GetFrom()}
	batcher := wire.NewBatcher(head, batchBounds(s.cfg.Bounds))
	batcher.SetHello(hello) // the one above, so that the next envelope is the second
	batcher.Flush()
	peer := Peer{Incarnation: e.GetFrom(), Name: w.GetName(), Address: addressOf(s.nc), Version: w.GetVersion()}
	return s.conn(batcher, peer), w, nil
}

// complete returns hello with what it leaves open.
func (s *shake) complete(hello *wire.Hello) *wire.Hello {
	if hello = proto.CloneOf(hello); hello == nil {
		hello = &wire.Hello{}
	}
	if hello.Versions == nil {
		hello.Versions = s.cfg.versions
	}
	hello.Incarnation = s.cfg.Incarnation
	if hello.Name == "" {
		hello.Name = s.cfg.Name
	}
	if hello.Address == "" {
		hello.Address = s.cfg.Address
	}
	return hello
}

// judge returns why there is no connection after this Welcome.
func (s *shake) judge(e *wire.Envelope, w *wire.Welcome, ours *wire.Versions) error {
	agreed, err := wire.Negotiate(ours, w.GetVersions())
	if err != nil {
		return err
	}
	if err := e.Validate(); err != nil {
		return err
	}
	switch {
	case e.GetTo() != s.cfg.Incarnation:
		return errors.New("the answer is for another incarnation")
	case e.GetSeq() != 1:
		return &GapError{Got: e.GetSeq(), Want: 1}
	case w.GetRefusal() != nil:
		return &RefusalError{By: nameOr(w.GetName(), addressOf(s.nc)), Err: wire.DecodeError(w.GetRefusal())}
	case w.GetVersion() != agreed || e.GetVersion() != agreed:
		return fmt.Errorf("the other side speaks version %d where %d was agreed on", w.GetVersion(), agreed)
	}
	return nil
}

// answer is for who accepted.
func (s *shake) answer(welcome func(*wire.Hello) *wire.Welcome) (*Conn, *wire.Hello, error) {
	s.step = "hello"
	e, err := s.hello()
	if err != nil {
		return nil, nil, err
	}
	hello := e.GetHello()
	s.step = "welcome"
	version, err := wire.Negotiate(s.cfg.versions, hello.GetVersions())
	if err != nil {
		return nil, nil, s.refuse(e, err)
	}
	head := wire.Head{Version: version, From: s.cfg.Incarnation, To: e.GetFrom()}
	batcher := wire.NewBatcher(head, batchBounds(s.cfg.Bounds))
	w := s.completed(welcome(hello), version)
	batcher.SetWelcome(w)
	if err := s.send(batcher.Flush()); err != nil {
		return nil, nil, err
	}
	if w.GetRefusal() != nil {
		return nil, nil, &RefusalError{By: nameOr(w.GetName(), "this side"), Err: wire.DecodeError(w.GetRefusal())}
	}
	peer := Peer{Incarnation: e.GetFrom(), Name: hello.GetName(), Address: hello.GetAddress(), Version: version}
	return s.conn(batcher, peer), hello, nil
}

// hello reads the first envelope of who dialled.
func (s *shake) hello() (*wire.Envelope, error) {
	e, err := s.envelope()
	if err != nil {
		return nil, err
	}
	switch err := e.Validate(); {
	case e.GetHello() == nil:
		return nil, errors.New("the other side sent something else")
	case err != nil:
		return nil, err
	case e.GetTo() != 0 || e.GetSeq() != 1:
		return nil, fmt.Errorf("it is number %d, to %d", e.GetSeq(), e.GetTo())
	}
	return e, nil
}

// refuse tells a side of other versions which there are here, and returns err.
func (s *shake) refuse(hello *wire.Envelope, err error) error {
	w := s.completed(&wire.Welcome{Refusal: wire.EncodeError(err)}, 0)
	head := wire.Head{Version: s.cfg.versions.GetMax(), From: s.cfg.Incarnation, To: hello.GetFrom()}
	b := wire.NewBatcher(head, s.cfg.Bounds)
	b.SetWelcome(w)
	_ = s.send(b.Flush()) // err says more
	return err
}

// completed returns w with what it leaves open.
func (s *shake) completed(w *wire.Welcome, version uint32) *wire.Welcome {
	return fillWelcome(w, version, s.cfg.versions, s.cfg.Incarnation, s.cfg.Name)
}

func fillWelcome(w *wire.Welcome, version uint32, versions *wire.Versions, incarnation uint64, name string) *wire.Welcome {
	if w = proto.CloneOf(w); w == nil {
		w = &wire.Welcome{}
	}
	w.Version, w.Versions, w.Incarnation = version, versions, incarnation
	if w.Name == "" {
		w.Name = name
	}
	return w
}

// send writes one frame of the handshake.
func (s *shake) send(e *wire.Envelope) error {
	frame, err := appendFrame(nil, e)
	if err != nil {
		return err
	}
	if len(frame)-lengthBytes > handshakeBytes {
		return errTooMuch
	}
	return s.write(frame)
}

// envelope reads one frame of the handshake. The caller validates it.
func (s *shake) envelope() (*wire.Envelope, error) {
	frame, err := s.in.frame()
	if err != nil {
		return nil, err
	}
	if err := wire.Check(frame, wire.Bounds{Bytes: handshakeBytes}); err != nil {
		return nil, err
	}
	e := &wire.Envelope{}
	return e, proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(frame, e)
}

// appendFrame appends e with its length.
func appendFrame(buf []byte, e *wire.Envelope) ([]byte, error) {
	start := len(buf)
	buf, err := proto.MarshalOptions{}.MarshalAppend(append(buf, 0, 0, 0, 0), e)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(buf[start:], uint32(len(buf)-start-lengthBytes))
	return buf, nil
}

func nameOr(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}
