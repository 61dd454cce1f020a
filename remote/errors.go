package remote

import (
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/remote/wire"
)

var (
	// ErrRefused is matched by the error of a placement on a node that does not
	// trust this one, or that this one does not trust: another token or none,
	// TLS on one side only, or a certificate that does not pass.
	ErrRefused = link.ErrRefused

	// ErrNodeStopped is the error of calls that were placed through a [Node] that
	// has been stopped.
	ErrNodeStopped = errors.New("remote: node stopped")

	errNilContext = errors.New("remote: nil context")
)

// PayloadError is the outcome of a call whose argument or result is larger than
// [Config.MaxPayload]. It was not sent.
type PayloadError = wire.PayloadError

// SchemaError is why a task cannot be placed on a node: both have one of that
// name, and mean different things.
type SchemaError struct {
	Task, Node   string
	Ours, Theirs string // kind and types
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("remote: task %q is a %s here and a %s on node %s: argument and result must have the same types on both",
		e.Task, e.Ours, e.Theirs, e.Node)
}

// UnknownTaskError is why a task cannot be placed on a node: that has none of
// that name.
type UnknownTaskError struct{ Task, Node string }

func (e *UnknownTaskError) Error() string {
	return fmt.Sprintf("remote: node %s has no task %q: it must exist there, under that name, when the node begins to serve", e.Node, e.Task)
}

// RegisterError makes errors.Is find target in errors that come from another
// node, if it is registered under the same code on both sides. Call it in init,
// with a code that nobody else uses, such as "shop.ErrSoldOut". The errors of
// this module, of context, io and io/fs and some others of the standard library
// are known. It panics if code or target is taken, or empty.
func RegisterError(code string, target error) { wire.RegisterError(code, target) }

func init() {
	wire.RegisterErrorType("remote.SchemaError",
		func(e *SchemaError) SchemaError { return *e },
		func(e SchemaError, _ []error) *SchemaError { return &e })
	wire.RegisterErrorType("remote.UnknownTaskError",
		func(e *UnknownTaskError) UnknownTaskError { return *e },
		func(e UnknownTaskError, _ []error) *UnknownTaskError { return &e })
}
