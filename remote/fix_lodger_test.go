package remote

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"reflect"
	"testing"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

// What is known of a method is known of every Function of its worker: those are
// made anew whenever somebody asks.
func TestTheMethodBookKeepsAMethodOnce(t *testing.T) {
	var b methodBook
	asked := 0
	of := func() *place.Function {
		return &place.Function{State: reflect.TypeFor[int](), Method: func(symbol string) (*place.Method, error) {
			asked++
			return &place.Method{Symbol: symbol}, nil
		}}
	}
	first, err := b.named(of(), "m")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if m, err := b.named(of(), "m"); m != first || err != nil {
			t.Fatalf("got %v, %v", m, err)
		}
	}
	if asked != 1 {
		t.Errorf("looked for %d times, want once", asked)
	}
}

// The order to close a member that runs a call is answered when the state is
// closed.
func TestTheCloseOfABusyMemberIsAnsweredWhenItIsClosed(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	closed := errors.New("closed")
	f := &place.Function{
		Name: "w", Kind: place.KindWorker, State: reflect.TypeFor[int](),
		Open:  func(context.Context) (any, error) { return 1, nil },
		Close: func(any) error { return closed },
		Method: func(symbol string) (*place.Method, error) {
			return &place.Method{Symbol: symbol, Out: reflect.TypeFor[struct{}]()}, nil
		},
		Run: func(context.Context, *place.Method, any, any) (any, error) {
			close(begun)
			<-finish
			return struct{}{}, nil
		},
	}
	owner, end := lodging(t, f)
	defer end()
	owner.order(&wire.Call{Id: 1, Op: wire.Op_OPEN, Member: 7}, "")
	owner.answer(1)
	owner.order(&wire.Call{Id: 2, Member: 7, Types: wire.MethodHash(nil, reflect.TypeFor[struct{}]())}, "m")
	<-begun
	owner.order(&wire.Call{Id: 3, Op: wire.Op_CLOSE, Member: 7}, "")
	owner.order(&wire.Call{Id: 4, Op: wire.Op_CLOSE, Member: 8}, "") // of nobody, and after it
	owner.answer(4)
	if a := owner.answers[3]; a != nil {
		t.Errorf("the close is answered while the call runs: %v", a)
	}
	close(finish)
	if err := wire.DecodeError(owner.answer(3).GetFailure()); err == nil || err.Error() != closed.Error() {
		t.Errorf("close = %v, want %v", err, closed)
	}
	if a := owner.answer(2); a.GetFailure() != nil {
		t.Errorf("the call = %v", wire.DecodeError(a.GetFailure()))
	}
}

// lodging connects an owner with a house that has f.
func lodging(t *testing.T, f *place.Function) (o *orderer, end func()) {
	codecs, err := knownCodecs()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{name: "house", codecs: codecs, maxPayload: 1 << 20, capacity: 3, log: slog.Default,
		find: func(string) []*place.Function { return []*place.Function{f} }}
	h.open()
	a, b := net.Pipe()
	over := make(chan error, 2)
	go func() {
		conn, hello, err := link.Accept(t.Context(), b, link.Config{Name: "house"}, func(hello *wire.Hello) *wire.Welcome { return h.welcome(schemas(hello)) })
		if err == nil {
			err = h.receive(conn, hello)
		}
		over <- err
	}()
	conn, _, err := link.Dial(t.Context(), a, link.Config{Name: "owner"}, &wire.Hello{Tasks: []*wire.Announcement{schemaOf(f).Announce()}})
	if err != nil {
		t.Fatal(err)
	}
	o = &orderer{conn: conn, came: make(chan *wire.Answer, 10), answers: make(map[uint64]*wire.Answer)}
	go func() {
		over <- conn.Serve(func(e *wire.Envelope) {
			for _, a := range e.GetAnswers() {
				o.came <- a
			}
		})
	}()
	return o, func() {
		conn.Close(nil)
		<-over
		<-over
		<-h.dispatch.Close()
	}
}

// orderer is an owner of one test.
type orderer struct {
	conn    *link.Conn
	came    chan *wire.Answer
	answers map[uint64]*wire.Answer
}

func (o *orderer) order(c *wire.Call, method string) {
	c.Attempt = 1
	o.conn.AddCall(c, wire.Names{Task: "w", Method: method})
	o.conn.Flush()
}

// answer waits for the answer to a call, and keeps those that come before.
func (o *orderer) answer(id uint64) *wire.Answer {
	for o.answers[id] == nil {
		a := <-o.came
		o.answers[a.GetId()] = a
	}
	return o.answers[id]
}
