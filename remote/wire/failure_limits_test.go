package wire_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

func TestLargeErrorsAreCutAndKeepTheirSentinels(t *testing.T) {
	deep := fmt.Errorf("bottom: %w", errOwn)
	for i := range 500 {
		deep = fmt.Errorf("%d: %w", i, deep)
	}
	var many []error
	for range 3000 {
		many = append(many, errUnknown)
	}
	wide := errors.Join(append(many[:999], errOwn)...)
	long := fmt.Errorf("%s: %w", strings.Repeat("é", 1<<20), errOwn)
	var heavy []error
	for range 100 {
		heavy = append(heavy, errors.New(strings.Repeat("x", 50_000)))
	}
	for name, err := range map[string]error{
		"deep": deep, "wide": wide, "long": long,
		"heavy": errors.Join(append(heavy, errOwn)...),
		"stack": &task.PanicError{Task: "f", Value: errOwn, Stack: make([]byte, 1<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			f := wire.EncodeError(err)
			if size := proto.Size(f); size > 300<<10 {
				t.Errorf("it takes %d bytes", size)
			}
			got := across(t, err)
			if !errors.Is(got, errOwn) || errors.Is(got, io.EOF) {
				t.Errorf("errors.Is is lost: %.100s", got.Error())
			}
		})
	}
	if got := across(t, deep); got.Error() != deep.Error() {
		t.Error("the text of a deep error is not kept")
	}
	if got := across(t, long).Error(); !strings.HasSuffix(got, "é… (cut)") || len(got) > 64<<10 {
		t.Errorf("got %d bytes that end with %q", len(got), got[len(got)-20:])
	}
}

func TestUnknownCodesPassThrough(t *testing.T) {
	f := &wire.Failure{
		Codes: []string{"later.Type", "later.Err", "io.EOF"}, Text: "news", Details: []byte{1},
		Causes: []*wire.Failure{{Text: "cause", Codes: []string{"app.OutOfStock"}}},
	}
	err := wire.DecodeError(f)
	if err.Error() != "news" || !errors.Is(err, io.EOF) || !errors.Is(err, errOwn) {
		t.Errorf("got %v", err)
	}
	if again := wire.EncodeError(err); !proto.Equal(again, f) {
		t.Errorf("sent on, it is %v", again)
	}
}

func TestDecodeErrorTakesAnything(t *testing.T) {
	loop := &wire.Failure{Text: "loop"}
	loop.Causes = []*wire.Failure{loop, loop}
	for name, f := range map[string]*wire.Failure{
		"empty":            {},
		"loop":             loop,
		"join of none":     {Codes: []string{"errors.Join"}},
		"mark of none":     {Permanent: true, Again: true, RetryAfter: -1},
		"marked panic":     {Permanent: true, Panic: &wire.Panic{}},
		"panic of many":    {Panic: &wire.Panic{}, Causes: []*wire.Failure{{}, {}}},
		"path of none":     {Codes: []string{"fs.PathError"}, Details: []byte{0x82, 0x60, 0x60}},
		"retry of none":    {Codes: []string{"task.RetryError"}, Details: []byte{0x80}},
		"retry of null":    {Codes: []string{"task.RetryError"}, Details: []byte{0xf6}, Causes: []*wire.Failure{{}}},
		"wrong details":    {Codes: []string{"limits.RequestError"}, Details: []byte{0xff}, Text: "x"},
		"sentinel's name":  {Codes: []string{"io.EOF"}, Text: "other"},
		"panicked restore": {Codes: []string{"app.CodeError"}, Details: []byte{0x01}},
	} {
		t.Run(name, func(t *testing.T) {
			err := wire.DecodeError(f)
			if err == nil {
				t.Fatal("nil")
			}
			_ = err.Error()
			_ = wire.EncodeError(err)
			_ = errors.Is(err, io.EOF)
		})
	}
}

func TestRegisterErrorPanicsOnMistakes(t *testing.T) {
	for want, register := range map[string]func(){
		`the error code "io.EOF" is registered already`:        func() { wire.RegisterError("io.EOF", errUnknown) },
		`the error code "fs.PathError" is registered already`:  func() { wire.RegisterError("fs.PathError", errUnknown) },
		`the error code "errors.Join" is registered already`:   func() { wire.RegisterError("errors.Join", errUnknown) },
		`RegisterError("mine", app: out of stock): the error`:  func() { wire.RegisterError("mine", errOwn) },
		`RegisterError("mine", <nil>): want an error`:          func() { wire.RegisterError("mine", nil) },
		`RegisterError("mine", wire_test.sliceError): want an`: func() { wire.RegisterError("mine", sliceError{}) },
		`an error is registered without a code`:                func() { wire.RegisterError("", errUnknown) },
		`RegisterErrorType("mine"): *wire_test.codeError is re`: func() {
			wire.RegisterErrorType("mine", func(*codeError) int { return 0 }, func(int, []error) *codeError { return nil })
		},
		`RegisterErrorType("mine"): want a type and two functi`: func() { wire.RegisterErrorType[*ringError, int]("mine", nil, nil) },
		`RegisterErrorType("yours"): want a type and two funct`: func() {
			wire.RegisterErrorType("yours", func(error) int { return 0 }, func(int, []error) error { return nil })
		},
	} {
		func() {
			defer func() {
				if got, ok := recover().(string); !ok || !strings.HasPrefix(got, "wire: "+want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}()
			register()
		}()
	}
}
