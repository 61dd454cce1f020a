package wire

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"
)

// NewIncarnation returns a random number, never 0, that tells a node or a
// process from all others and from its own earlier lives.
func NewIncarnation() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails, as its documentation says
		if id := binary.LittleEndian.Uint64(b[:]); id != 0 {
			return id
		}
	}
}

// Write returns the bytes of e.
func Write(e *Envelope) ([]byte, error) { return proto.Marshal(e) }

// Read returns the envelope in data, after [Check] and before
// [Envelope.Validate] found nothing wrong with it. Fields that this version
// does not know are left out. Every error is an [*EnvelopeError] or a
// [*VersionError]. The envelope does not keep data.
func Read(data []byte, b Bounds) (*Envelope, error) {
	if err := Check(data, b); err != nil {
		return nil, err
	}
	e := &Envelope{}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, e); err != nil {
		return nil, &EnvelopeError{Field: "envelope", Reason: "not well-formed", cause: err}
	}
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return e, nil
}

// An EnvelopeError says what is wrong with an envelope that came in.
type EnvelopeError struct {
	Field  string // such as "calls[3].task"
	Reason string
	cause  error
}

func (e *EnvelopeError) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("wire: %s: %s: %v", e.Field, e.Reason, e.cause)
	}
	return fmt.Sprintf("wire: %s: %s", e.Field, e.Reason)
}

// Unwrap returns what the protobuf decoder found, if it was that.
func (e *EnvelopeError) Unwrap() error { return e.cause }

// Name returns the name at place i of the table, from 1; "" for 0 and beyond.
func (e *Envelope) Name(i uint32) string {
	if i == 0 || uint64(i) > uint64(len(e.GetNames())) {
		return ""
	}
	return e.Names[i-1]
}

// Validate reports the first thing in e that no correct sender would write: an
// [*EnvelopeError], or a [*VersionError] if e is of a version that this package
// does not speak. A Hello without calls and answers is valid in any version, so
// that it can be answered.
func (e *Envelope) Validate() error {
	if e.GetVersion() < MinVersion || e.GetVersion() > MaxVersion {
		switch {
		case e.GetHello() == nil:
			return &VersionError{OurMin: MinVersion, OurMax: MaxVersion, TheirMin: e.GetVersion(), TheirMax: e.GetVersion()}
		case e.works():
			return &EnvelopeError{Field: "hello", Reason: "comes with calls or answers in a version that we do not speak"}
		}
	}
	v := validator{names: uint32(min(len(e.GetNames()), math.MaxUint32))}
	v.head(e)
	for i, c := range e.GetCalls() {
		v.call(i, c)
	}
	for i, a := range e.GetAnswers() {
		v.id("answers", i, a.GetId())
		v.name("answers", i, "codec", a.GetCodec())
		v.bare("answers", i, a.GetCodec(), a.GetPayload())
		v.duration("answers", i, "ran", a.GetRan())
		v.want(a.GetFailure() == nil || a.GetCodec() == 0, "answers", i, "failure", "comes with a result")
		v.want(!a.GetUndone() || a.GetCodec() == 0 && a.GetFailure() == nil, "answers", i, "undone", "comes with an outcome")
	}
	for i, id := range e.GetStarted() {
		v.id("started", i, id)
	}
	for i, c := range e.GetCancels() {
		v.id("cancels", i, c.GetId())
	}
	v.limits(e.GetLimits())
	if v.fault != nil {
		return v.fault
	}
	return nil
}

// works tells whether there is anything in e that a peer acts upon.
func (e *Envelope) works() bool {
	return len(e.GetCalls())+len(e.GetAnswers())+len(e.GetStarted())+len(e.GetCancels()) > 0 || e.GetLimits() != nil
}

// validator keeps the first fault.
type validator struct {
	names uint32
	fault *EnvelopeError
}

func (v *validator) want(ok bool, list string, i int, field, reason string) {
	if ok || v.fault != nil {
		return
	}
	v.fault = &EnvelopeError{Field: fmt.Sprintf("%s[%d].%s", list, i, field), Reason: reason}
}

func (v *validator) id(list string, i int, id uint64) { v.want(id != 0, list, i, "id", "is 0") }

func (v *validator) name(list string, i int, field string, place uint32) {
	v.want(place <= v.names, list, i, field, "is beyond the names")
}

func (v *validator) duration(list string, i int, field string, d int64) {
	v.want(d >= 0, list, i, field, "is negative")
}

func (v *validator) bare(list string, i int, codec uint32, payload []byte) {
	v.want(codec != 0 || len(payload) == 0, list, i, "payload", "has no codec")
}

func (v *validator) head(e *Envelope) {
	field, reason := "", ""
	switch h, w := e.GetHello(), e.GetWelcome(); {
	case e.GetFrom() == 0:
		field, reason = "from", "is 0"
	case e.GetTo() == 0 && h == nil:
		field, reason = "to", "is 0"
	case h != nil && h.GetIncarnation() != e.GetFrom():
		field, reason = "hello.incarnation", "is not the sender's"
	case h != nil && w != nil:
		field, reason = "hello", "comes with a welcome"
	case w != nil && w.GetIncarnation() != e.GetFrom():
		field, reason = "welcome.incarnation", "is not the sender's"
	default:
		return
	}
	v.fault = &EnvelopeError{Field: field, Reason: reason}
}

func (v *validator) call(i int, c *Call) {
	if v.usual(c) {
		return
	}
	v.id("calls", i, c.GetId())
	v.want(c.GetTask() != 0, "calls", i, "task", "is missing")
	v.name("calls", i, "task", c.GetTask())
	v.name("calls", i, "codec", c.GetCodec())
	v.name("calls", i, "method", c.GetMethod())
	v.bare("calls", i, c.GetCodec(), c.GetPayload())
	v.duration("calls", i, "remaining", c.GetRemaining())
	_, known := Op_name[int32(c.GetOp())]
	v.want(known, "calls", i, "op", "is unknown")
	v.want(c.GetOp() == Op_RUN || c.GetMember() != 0, "calls", i, "member", "is missing")
	v.want(c.GetMethod() == 0 || c.GetMember() != 0, "calls", i, "method", "has no member")
	v.want(c.GetLease() == nil || c.GetLease().GetPermit() != 0, "calls", i, "lease.permit", "is 0")
}

// usual tells quickly that nothing is wrong with a call of a function.
func (v *validator) usual(c *Call) bool {
	return c.GetId() != 0 && c.GetTask()-1 < v.names && c.GetCodec()-1 < v.names && c.GetRemaining() >= 0 &&
		c.GetMethod() == 0 && c.GetOp() == Op_RUN && c.GetLease() == nil
}

func (v *validator) limits(l *Limits) {
	if l == nil {
		return
	}
	for i, a := range l.GetAcquires() {
		v.id("limits.acquires", i, a.GetId())
	}
	for i, id := range l.GetWithdrawals() {
		v.id("limits.withdrawals", i, id)
	}
	for i, g := range l.GetGrants() {
		v.id("limits.grants", i, g.GetId())
		v.want((g.GetPermit() == 0) == (g.GetFailure() != nil), "limits.grants", i, "permit", "wants either a permit or a failure")
	}
	for i, u := range l.GetUpdates() {
		v.want(u.GetPermit() != 0, "limits.updates", i, "permit", "is 0")
	}
	for i, u := range l.GetUpdated() {
		v.id("limits.updated", i, u.GetId())
	}
	for i, permit := range l.GetReleases() {
		v.want(permit != 0, "limits.releases", i, "permit", "is 0")
	}
	for i, p := range l.GetPauses() {
		v.duration("limits.pauses", i, "duration", p.GetDuration())
	}
	for i, q := range l.GetQueries() {
		v.id("limits.queries", i, q.GetId())
	}
	for i, s := range l.GetStats() {
		v.id("limits.stats", i, s.GetId())
		for _, one := range s.GetStats() {
			v.duration("limits.stats", i, "paused", one.GetPaused())
		}
	}
}
