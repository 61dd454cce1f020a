package wire_test

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"

	"github.com/troupe-go/troupe/remote/wire"
)

func Example() {
	type Order struct {
		Item  string
		Count int
	}
	codecs, err := wire.NewCodecs()
	if err != nil {
		fmt.Println(err)
		return
	}

	// One side sends a call,
	p, err := wire.Encode(codecs, Order{Item: "book", Count: 3}, 16<<20)
	if err != nil {
		fmt.Println(err)
		return
	}
	b := wire.NewBatcher(wire.Head{Version: wire.MaxVersion, From: wire.NewIncarnation(), To: wire.NewIncarnation()}, wire.Bounds{})
	b.AddCall(&wire.Call{Id: 1, Payload: p.Data}, wire.Names{Task: "price", Codec: p.Codec})
	data, err := wire.Write(b.Flush())
	if err != nil {
		fmt.Println(err)
		return
	}

	// the other reads it.
	e, err := wire.Read(data, wire.Bounds{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range e.GetCalls() {
		order, err := wire.Decode[Order](codecs, wire.Payload{Codec: e.Name(c.GetCodec()), Data: c.GetPayload()})
		fmt.Println(e.Name(c.GetTask()), order, err)
	}
	// Output: price {book 3} <nil>
}

var errOutOfPaper = errors.New("printer: out of paper")

func ExampleRegisterError() {
	wire.RegisterError("printer.OutOfPaper", errOutOfPaper) // in init, on both sides

	failure := wire.EncodeError(fmt.Errorf("page 3: %w", errOutOfPaper))
	err := wire.DecodeError(failure)
	fmt.Println(err)
	fmt.Println(errors.Is(err, errOutOfPaper))
	// Output:
	// page 3: printer: out of paper
	// true
}

// PrinterError says which printer failed.
type PrinterError struct {
	Printer string
	cause   error
}

func (e *PrinterError) Error() string { return e.Printer + ": " + e.cause.Error() }
func (e *PrinterError) Unwrap() error { return e.cause }

func ExampleRegisterErrorType() {
	wire.RegisterErrorType("printer.Error", // in init, on both sides
		func(e *PrinterError) string { return e.Printer },
		func(printer string, causes []error) *PrinterError {
			return &PrinterError{Printer: printer, cause: causes[0]}
		})

	failure := wire.EncodeError(&PrinterError{Printer: "hall", cause: fs.ErrPermission})
	err := wire.DecodeError(failure)
	var printer *PrinterError
	fmt.Println(errors.As(err, &printer), printer.Printer, errors.Is(err, fs.ErrPermission))
	// Output: true hall true
}

func ExampleNegotiate() {
	v, err := wire.Negotiate(&wire.Versions{Min: 1, Max: 3}, &wire.Versions{Min: 2, Max: 5})
	fmt.Println(v, err)
	_, err = wire.Negotiate(&wire.Versions{Min: 1, Max: 3}, &wire.Versions{Min: 4, Max: 5})
	fmt.Println(err)
	// Output:
	// 3 <nil>
	// wire: no common protocol version: we speak 1 to 3, the other side 4 to 5
}

func ExampleTaskSchema() {
	ours := wire.TaskSchema("length", reflect.TypeFor[string](), reflect.TypeFor[int]())
	theirs := wire.TaskSchema("length", reflect.TypeFor[[]byte](), reflect.TypeFor[int]())
	fmt.Println(ours.Same(theirs))
	fmt.Println(ours)
	fmt.Println(theirs)
	// Output:
	// false
	// task from string to int (58c21be42cedaed4)
	// task from []uint8 to int (d124e059a70f8dc6)
}

func ExamplePortable() {
	fmt.Println(wire.Portable(reflect.TypeFor[struct{ Name string }]()))
	fmt.Println(wire.Portable(reflect.TypeFor[struct{ Ready []chan bool }]()))
	// Output:
	// <nil>
	// wire: struct { Ready []chan bool }.Ready[]: cannot be sent
}
