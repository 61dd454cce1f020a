package wire_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

// statusError is the type of a sentinel, too.
type statusError struct{ Code int }

func (e *statusError) Error() string { return fmt.Sprintf("status %d", e.Code/100*100) }

func (e *statusError) Is(target error) bool {
	other, ok := target.(*statusError)
	return ok && other.Error() == e.Error()
}

var errGone = &statusError{Code: 410}

// forgetful loses its cause on the way.
type forgetful struct {
	Text  string
	cause error
}

func (e *forgetful) Error() string { return e.Text }
func (e *forgetful) Unwrap() error { return e.cause }

func init() {
	wire.RegisterError("app.Gone", errGone)
	wire.RegisterErrorType("app.StatusError",
		func(e *statusError) int { return e.Code },
		func(code int, _ []error) *statusError { return &statusError{Code: code} })
	wire.RegisterErrorType("app.Forgetful",
		func(e *forgetful) string { return e.Text },
		func(text string, _ []error) *forgetful { return &forgetful{Text: text} })
}

func TestASentinelOfARegisteredTypeArrivesAsItself(t *testing.T) {
	if got := across(t, errGone); got != error(errGone) {
		t.Errorf("got %#v, want the sentinel", got)
	}
	// Another one that matches it and has the same text stays another.
	if got, ok := across(t, &statusError{Code: 404}).(*statusError); !ok || got.Code != 404 || !errors.Is(got, errGone) {
		t.Errorf("got %#v", got)
	}
}

func TestWhatRestoreForgetsIsKept(t *testing.T) {
	got := across(t, &forgetful{Text: "read", cause: fmt.Errorf("disk: %w", io.EOF)})
	var typed *forgetful
	if !errors.As(got, &typed) || typed.Text != "read" {
		t.Errorf("errors.As finds %v in %v", typed, got)
	}
	if !errors.Is(got, io.EOF) || got.Error() != "read" || len(children(got)) != 1 {
		t.Errorf("got %#v", got)
	}
}

func TestANilPointerIsAnErrorLikeOthers(t *testing.T) {
	got := across(t, (*task.PanicError)(nil))
	if got.Error() != "*task.PanicError(nil)" || !errors.Is(got, task.ErrPanicked) {
		t.Errorf("got %v", got)
	}
}

func TestErrorsOfEnvelopesKeepTheirType(t *testing.T) {
	for _, err := range []error{(&wire.Envelope{Version: 1}).Validate(), wire.Check([]byte{0xff}, wire.Bounds{})} {
		got, typed := across(t, err), new(*wire.EnvelopeError)
		if !errors.As(got, typed) || got.Error() != err.Error() {
			t.Errorf("%v arrived as %#v", err, got)
		}
	}
}

func TestTheTextOfAJoinThatIsTooWideIsKept(t *testing.T) {
	var all []error
	for i := range 1500 {
		all = append(all, fmt.Errorf("fault %d", i))
	}
	want := errors.Join(append(all, io.EOF)...)
	got := across(t, want)
	if got.Error() != want.Error() || !errors.Is(got, io.EOF) {
		t.Errorf("arrived as %.60q of %d bytes, want %d", got, len(got.Error()), len(want.Error()))
	}
	if again := across(t, got); again.Error() != want.Error() || !errors.Is(again, io.EOF) {
		t.Errorf("then as %.60q", again)
	}
	if got, want := across(t, errors.Join(all...)).Error(), errors.Join(all...).Error(); got != want {
		t.Errorf("without a sentinel: arrived as %.60q of %d bytes, want %d", got, len(got), len(want))
	}
	// Its text would be longer than any memory.
	double := error(errUnknown)
	for range 100 {
		double = errors.Join(double, double)
	}
	if got := across(t, double).Error(); !strings.HasPrefix(got, errUnknown.Error()+"\n") || len(got) > 64<<10 {
		t.Errorf("arrived as %.60q of %d bytes", got, len(got))
	}
}

func TestHostileDetailsTakeLittleMemory(t *testing.T) {
	nulls := func(n int) []byte { // as many empty attempts
		head := []byte{0x9a, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		return append(head, slices.Repeat([]byte{0xf6}, n)...)
	}
	one := func(n int) *wire.Failure {
		return &wire.Failure{Codes: []string{"task.RetryError"}, Details: nulls(n), Causes: []*wire.Failure{{Text: "x"}}}
	}
	wide := &wire.Failure{}
	for range 100 {
		wide.Causes = append(wide.Causes, one(60_000))
	}
	for name, f := range map[string]*wire.Failure{"long": one(4 << 20), "many": wide} {
		var err error
		if got := allocated(func() { err = wire.DecodeError(f) }); got > 32<<20 {
			t.Errorf("%s: %d bytes took %d of memory", name, proto.Size(f), got)
		}
		if errors.As(err, new(*task.RetryError)) {
			t.Errorf("%s: more attempts than are ever sent are taken for some", name)
		}
	}
}

// Several calls can end with the same error, and be answered at once.
func TestARemoteErrorIsSentByManyAtOnce(t *testing.T) {
	codes := append(make([]string, 0, 8), "later.Type")
	deep := wire.DecodeError(&wire.Failure{Text: "news", Codes: codes, Causes: []*wire.Failure{{Codes: []string{"io.EOF"}, Text: "EOF"}}})
	for range 100 { // so that its cause is too deep to be sent
		deep = fmt.Errorf("w: %w", deep)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if !errors.Is(wire.DecodeError(wire.EncodeError(deep)), io.EOF) {
				t.Error("errors.Is is lost")
			}
		})
	}
	wg.Wait()
}
