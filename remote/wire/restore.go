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
	d := errorDecoder{registry: registered.Load(), nodes: failureNodes, bytes: failureBytes}
	return d.decode(f, failureDepth)
}

type errorDecoder struct {
	registry *registry
	nodes    int
	bytes    int // of details, which can take much more memory than they are long
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
	case len(f.GetCodes()) == 1 && f.GetCodes()[0] == joinCode && f.GetText() == "" && len(causes) > 0:
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
	if err := d.restored(f, causes); err != nil {
		if d.says(err, f, r.codes[1:], causes) {
			return err
		}
		r.typed = err
	}
	return r.wrapping(causes, f.GetJoined())
}

// identity returns the sentinel that f is, if it is one and no more than that.
func (d *errorDecoder) identity(f *Failure, causes []error) error {
	codes := f.GetCodes()
	k := d.kind(f)
	if k != nil {
		codes = codes[1:] // a sentinel of a registered type
	}
	if len(codes) == 0 {
		return nil
	}
	target := d.registry.targets[codes[0]]
	if target == nil || !d.says(target, f, codes[1:], causes) || k != nil && !k.writes(target, f.GetDetails()) {
		return nil
	}
	return target
}

// kind returns the registered type that f was, or nil.
func (d *errorDecoder) kind(f *Failure) *kind {
	if len(f.GetCodes()) == 0 {
		return nil
	}
	return d.registry.kinds[f.GetCodes()[0]]
}

// restored makes the error of a registered type that f was, or nil.
func (d *errorDecoder) restored(f *Failure, causes []error) error {
	k, size := d.kind(f), len(f.GetDetails())
	if k == nil || size > min(d.bytes, textBytes) { // no EncodeError makes more
		return nil
	}
	d.bytes -= size
	err, fault := k.restore(f.GetDetails(), causes)
	if fault != nil {
		return nil
	}
	return err
}

// says tells whether err has the text of f, as many causes, and matches the
// sentinels with these codes: whether it can take its place.
func (d *errorDecoder) says(err error, f *Failure, codes []string, causes []error) bool {
	own, _ := causesOf(err)
	if len(own) != len(causes) || textOf(err) != f.GetText() {
		return false
	}
	for _, code := range codes {
		if target := d.registry.targets[code]; target == nil || !isSafely(err, target) {
			return false
		}
	}
	return true
}

func isSafely(err, target error) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = false
		}
	}()
	return errors.Is(err, target)
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
