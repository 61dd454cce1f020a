package wire

import (
	"errors"
	"slices"

	"github.com/troupe-go/troupe/task"
)

// DecodeError returns the error that f came from, as near as this side can
// make it, and nil for nil. It never fails, whatever f holds.
func DecodeError(f *Failure) error {
	if f == nil {
		return nil
	}
	d := errorDecoder{registry: registered.Load(), nodes: failureNodes}
	return d.decode(f, failureDepth)
}

type errorDecoder struct {
	registry *registry
	nodes    int
}

func (d *errorDecoder) decode(f *Failure, depth int) error {
	d.nodes--
	var causes []error
	for _, c := range f.GetCauses() {
		if depth == 0 || d.nodes <= 0 {
			break
		}
		causes = append(causes, d.decode(c, depth-1))
	}
	switch {
	case f.GetPanic() != nil:
		return panicError(f, causes)
	case (f.GetPermanent() || f.GetAgain()) && len(causes) == 1:
		return marked(f, causes[0])
	case len(f.GetCodes()) == 1 && f.GetCodes()[0] == joinCode && len(causes) > 0:
		return errors.Join(causes...)
	}
	return marked(f, d.one(f, causes))
}

func panicError(f *Failure, causes []error) error {
	p := &task.PanicError{Task: f.GetPanic().GetTask(), Stack: f.GetPanic().GetStack(), Value: f.GetPanic().GetValue()}
	if len(causes) == 1 {
		p.Value = causes[0]
	}
	return p
}

// one makes an error that is no mark, panic or join.
func (d *errorDecoder) one(f *Failure, causes []error) error {
	r := remoteError{
		text: f.GetText(), codes: f.GetCodes(), details: f.GetDetails(), timeout: f.GetTimeout(),
	}
	if target := d.identity(f, causes); target != nil {
		return target
	}
	if len(r.codes) > 0 {
		if k := d.registry.kinds[r.codes[0]]; k != nil {
			if err, fault := k.restore(r.details, causes); fault == nil {
				if textOf(err) == r.text {
					return err
				}
				r.typed = err
			}
		}
	}
	return r.wrapping(causes, f.GetJoined())
}

// identity returns the sentinel that f is, if it is one and no more than that.
func (d *errorDecoder) identity(f *Failure, causes []error) error {
	if len(f.GetCodes()) == 0 {
		return nil
	}
	target := d.registry.targets[f.GetCodes()[0]]
	if target == nil || textOf(target) != f.GetText() {
		return nil
	}
	own, _ := causesOf(target)
	for _, code := range f.GetCodes()[1:] {
		if other := d.registry.targets[code]; other == nil || !errors.Is(target, other) {
			return nil
		}
	}
	if len(own) != len(causes) {
		return nil
	}
	return target
}

// remoteError is an error of another process, of a type that is not known here
// or cannot be made here.
type remoteError struct {
	text    string
	codes   []string
	details []byte
	timeout bool
	typed   error // what could be made of it; nil: nothing
}

// remote is any error with a remoteError in it.
type remote interface {
	error
	remote() *remoteError
}

func (e *remoteError) Error() string        { return e.text }
func (e *remoteError) remote() *remoteError { return e }

// Is reports whether the original was target or said that it matches it.
func (e *remoteError) Is(target error) bool {
	if code, known := registered.Load().exactCode(target); known && slices.Contains(e.codes, code) {
		return true
	}
	m, ok := e.typed.(interface{ Is(error) bool })
	return ok && matches(m, target)
}

// As gives what could be made of the original's type.
func (e *remoteError) As(target any) bool { return e.typed != nil && errors.As(e.typed, target) }

// wrapping gives e its causes, and the methods that the original had.
func (e *remoteError) wrapping(causes []error, joined bool) error {
	switch {
	case joined && e.timeout:
		return &slowTree{tree: tree{remoteError: e, causes: causes}}
	case joined:
		return &tree{remoteError: e, causes: causes}
	}
	var cause error
	if len(causes) > 0 {
		cause = causes[0]
	}
	if e.timeout {
		return &slowChain{chain: chain{remoteError: e, cause: cause}}
	}
	return &chain{remoteError: e, cause: cause}
}

type chain struct {
	*remoteError
	cause error
}

func (e *chain) Unwrap() error { return e.cause }

type tree struct {
	*remoteError
	causes []error
}

func (e *tree) Unwrap() []error { return slices.Clone(e.causes) }

// slowChain and slowTree are a net.Error.
type slowChain struct{ chain }

func (*slowChain) Timeout() bool   { return true }
func (*slowChain) Temporary() bool { return true }

type slowTree struct{ tree }

func (*slowTree) Timeout() bool   { return true }
func (*slowTree) Temporary() bool { return true }
