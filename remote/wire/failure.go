package wire

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/troupe-go/troupe/task"
)

// What an error takes on the wire at most. Of what is above, errors.Is for
// registered sentinels still works.
const (
	failureDepth = 100       // errors within errors
	failureNodes = 1000      // errors in all
	failureBytes = 256 << 10 // texts, stacks and details in all
	textBytes    = 64 << 10  // of each
	failureLost  = 10_000    // errors beyond these that are searched for sentinels
)

const joinCode = "errors.Join"

// EncodeError returns err for the wire, and nil for nil. It never fails: what
// cannot be kept is kept as text, and a method of err that panics is as good as
// not there. See the package documentation for what DecodeError finds.
func EncodeError(err error) *Failure {
	if err == nil {
		return nil
	}
	e := errorEncoder{registry: registered.Load(), nodes: failureNodes, bytes: failureBytes, lost: failureLost}
	return e.encode(err, failureDepth)
}

// errorEncoder counts down what an error may yet take.
type errorEncoder struct {
	registry *registry
	nodes    int
	bytes    int
	lost     int
}

func (e *errorEncoder) encode(err error, depth int) *Failure {
	e.nodes--
	f := &Failure{}
	causes, joined := causesOf(err)
	switch x := err.(type) { //nolint:errorlint // what it wraps is encoded below
	case *task.PanicError:
		if x == nil {
			e.own(f, err)
			break
		}
		f.Panic = &Panic{Task: x.Task, Value: e.take(valueText(x.Value)), Stack: []byte(e.take(string(x.Stack)))}
	case remote:
		r := x.remote()
		f.Codes = slices.Clone(r.codes) // more may be added, while others send the same error
		f.Details, f.Timeout = []byte(e.take(string(r.details))), r.timeout
		f.Text = e.take(r.text)
	default:
		e.own(f, err)
	}
	f.Joined = joined
	if !e.causes(f, causes, depth) && f.Text == "" && f.Panic == nil {
		f.Text = e.take(shortText(err)) // the causes would have said it
	}
	return f
}

// own encodes what err itself is.
func (e *errorEncoder) own(f *Failure, err error) {
	if markOf(f, err) {
		return
	}
	if reflect.TypeOf(err) == joinType {
		f.Codes = []string{joinCode}
		return
	}
	f.Text = e.take(textOf(err))
	if k := e.registry.types[reflect.TypeOf(err)]; k != nil {
		if details, fault := k.details(err); fault == nil && len(details) <= min(e.bytes, textBytes) {
			e.bytes -= len(details)
			f.Codes, f.Details = []string{k.code}, details
		}
	}
	f.Codes = append(f.Codes, e.registry.codesOf(err)...)
	f.Timeout = timeoutOf(err)
}

// causes encodes as much as fits of what err wraps, and of the rest the codes.
// It reports whether all did.
func (e *errorEncoder) causes(f *Failure, causes []error, depth int) bool {
	for i, cause := range causes {
		if depth == 0 || e.nodes <= 0 {
			f.Codes = append(f.Codes, e.codesWithin(causes[i:], f.Codes)...)
			return false
		}
		f.Causes = append(f.Causes, e.encode(cause, depth-1))
	}
	return true
}

// codesWithin returns the codes of errors and what they wrap, but those in not.
// It looks at what is nearest first, as a tree may not end.
func (e *errorEncoder) codesWithin(errs []error, not []string) (codes []string) {
	queue := slices.Clone(errs)
	for ; len(queue) > 0 && e.lost > 0; e.lost-- {
		err := queue[0]
		for _, code := range e.registry.codesOf(err) {
			if !slices.Contains(codes, code) && !slices.Contains(not, code) {
				codes = append(codes, code)
			}
		}
		causes, _ := causesOf(err)
		queue = append(queue[1:], causes[:min(len(causes), max(e.lost-len(queue), 0))]...)
	}
	return codes
}

// take cuts s to what may yet come.
func (e *errorEncoder) take(s string) string {
	s = cut(s, min(textBytes, max(e.bytes, 0)))
	e.bytes -= len(s)
	return s
}

const ellipsis = "… (cut)"

// cut returns the first bytes of s with a sign that there was more, in most
// bytes; all of s if it fits.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	keep := most - len(ellipsis)
	if keep < 0 {
		return ""
	}
	for back := 0; back < utf8.UTFMax && keep > 0 && !utf8.RuneStart(s[keep]); back++ {
		keep--
	}
	return s[:keep] + ellipsis
}

var joinType = reflect.TypeOf(errors.Join(errKind))

// causesOf returns what err wraps, without nils, and whether as a list.
func causesOf(err error) (causes []error, joined bool) {
	defer func() {
		if recover() != nil {
			causes = nil
		}
	}()
	switch x := err.(type) { //nolint:errorlint // one step at a time
	case interface{ Unwrap() error }:
		if cause := x.Unwrap(); cause != nil {
			return []error{cause}, false
		}
	case interface{ Unwrap() []error }:
		list := slices.Clone(x.Unwrap())
		return slices.DeleteFunc(list, func(err error) bool { return err == nil }), true
	}
	return nil, false
}

// textOf is err's text; one that panics is named.
func textOf(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("%T", err)
			if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.IsNil() {
				text += "(nil)"
			}
		}
	}()
	return err.Error()
}

// shortText is err's text. Of a join, whose text is made when it is asked for
// and can be longer than any memory, it is the beginning.
func shortText(err error) string {
	if reflect.TypeOf(err) != joinType {
		return textOf(err)
	}
	var b strings.Builder
	causes, _ := causesOf(err)
	for i, cause := range causes {
		if i > 0 {
			b.WriteByte('\n')
		}
		if b.WriteString(shortText(cause)); b.Len() > textBytes {
			break
		}
	}
	return b.String()
}

// valueText is how PanicError prints the value.
func valueText(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("%T", v)
		}
	}()
	return fmt.Sprint(v)
}

func timeoutOf(err error) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = false
		}
	}()
	x, ok := err.(interface{ Timeout() bool })
	return ok && x.Timeout()
}
