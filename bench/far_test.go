package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeFar answers with what call says; without one, only when it is closed.
type fakeFar struct {
	call   func(in []byte) ([]byte, error)
	closed chan struct{}
	once   *sync.Once
}

func newFakeFar(call func(in []byte) ([]byte, error)) fakeFar {
	return fakeFar{call: call, closed: make(chan struct{}), once: new(sync.Once)}
}

var errFakeClosed = errors.New("closed")

func (f fakeFar) Call(_ context.Context, in []byte) ([]byte, error) {
	if f.call != nil {
		return f.call(in)
	}
	<-f.closed
	return nil, errFakeClosed
}

func (f fakeFar) Close() { f.once.Do(func() { close(f.closed) }) }

func TestEveryFarPeerEchoes(t *testing.T) {
	for kind, peers := range map[string][]farPeer{"server": nodePeers(), "child": childPeers()} {
		for _, p := range peers {
			for _, size := range []int{small, medium} {
				f, err := p.open(t.Context(), farOrder{Servers: 1, Function: "echo", InFlight: 8})
				if err != nil {
					t.Errorf("%s, %s: %v", p.name, kind, err)
					continue
				}
				if err := p.echo(t.Context(), f, 8, 200, size); err != nil {
					t.Errorf("%s, %s, %d B: %v", p.name, kind, size, err)
				}
				f.Close()
				f.Close() // it may be called often
			}
		}
	}
}

func TestChildPeersUseAllTheirProcesses(t *testing.T) {
	const children = 3
	for _, p := range childPeers() {
		f, err := p.open(t.Context(), farOrder{Servers: children, Function: "hold", InFlight: children})
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
			continue
		}
		c, err := capture(t.Context(), f, children)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := c.lookout.Await(children, c.ended)
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) != children || slices.Contains(ids, os.Getpid()) {
			t.Errorf("%s: %d calls ran in the processes %v; this one is %d", p.name, children, ids, os.Getpid())
		}
		c.release()
		for range children {
			if err := <-c.ended; err != nil {
				t.Errorf("%s: a call that was let go: %v", p.name, err)
			}
		}
		f.Close()
	}
}

func TestPeersOfOneServerRefuseMore(t *testing.T) {
	for _, p := range []farPeer{streamPeer(), protoRemotePeer()} {
		if _, err := p.open(t.Context(), farOrder{Servers: 2, Function: "echo", InFlight: 1}); !errors.Is(err, errOneServer) {
			t.Errorf("%s: %v, want %v", p.name, err, errOneServer)
		}
	}
}

func TestWrongEchoesAreErrors(t *testing.T) {
	first := append([]byte(nil), newPayload(small)...)
	wrong := map[string]func([]byte) ([]byte, error){
		"another call's": func([]byte) ([]byte, error) { return first, nil },
		"nothing":        func([]byte) ([]byte, error) { return nil, nil },
		"a part":         func(in []byte) ([]byte, error) { return in[:len(in)-1], nil },
	}
	for name, call := range wrong {
		if err := echoEach(t.Context(), newFakeFar(call), 4, 10, small); !errors.Is(err, errWrong) {
			t.Errorf("%s came back: %v, want %v", name, err, errWrong)
		}
	}
}

func TestCallsThatAreLostEndWithAnError(t *testing.T) {
	f := newFakeFar(nil)
	err := within(time.Millisecond, f, func() error { return echoEach(t.Context(), f, 4, 1, small) })
	if !errors.Is(err, errFakeClosed) || !strings.Contains(err.Error(), "without an answer") {
		t.Errorf("%v, want one that says that there was no answer", err)
	}
}

func TestServerThatCannotServeSaysWhy(t *testing.T) {
	for _, s := range []service{{Peer: "nobody", Function: "echo"}, {Peer: "troupe", Function: "nothing"}} {
		_, err := startServer(s)
		if err == nil || !strings.Contains(err.Error(), "no server of") {
			t.Errorf("%+v: %v, want what it complained", s, err)
		}
	}
}

func TestServerEndsWithItsInput(t *testing.T) {
	s, err := startServer(service{Peer: "net/rpc", Function: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.stdin.Close(); err != nil {
		t.Error(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v, want no error", err)
	}
}

func TestCallThatIsNotHeldIsAnError(t *testing.T) {
	p := farPeer{name: "fake"}
	failing := newFakeFar(func([]byte) ([]byte, error) { return nil, errFakeClosed })
	noHarm := func(int) error { return errors.New("harm was done") }
	if _, _, err := p.lose(t.Context(), failing, 3, noHarm); !errors.Is(err, errFakeClosed) {
		t.Errorf("%v, want %v", err, errFakeClosed)
	}
	returning := newFakeFar(func([]byte) ([]byte, error) { return nil, nil })
	if _, _, err := p.lose(t.Context(), returning, 3, noHarm); !errors.Is(err, errWrong) {
		t.Errorf("%v, want %v", err, errWrong)
	}
}

func TestLostProcessHasNoResults(t *testing.T) {
	errOther, errLost := errors.New("other"), errors.New("lost")
	picky := farPeer{lost: func(err error) bool { return errors.Is(err, errLost) }}
	tests := []struct {
		peer farPeer
		ends []error
		want error
	}{
		{farPeer{}, []error{errOther, errLost}, nil},
		{farPeer{}, []error{errOther, nil}, errWrong},
		{picky, []error{errLost, errLost}, nil},
		{picky, []error{errLost, errOther}, errOther},
		{picky, []error{nil, errLost}, errWrong},
	}
	for _, tt := range tests {
		ended := make(chan error, len(tt.ends))
		for _, err := range tt.ends {
			ended <- err
		}
		if err := tt.peer.allFail(len(tt.ends), ended); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%v: %v, want %v", tt.ends, err, tt.want)
		}
	}
}

func TestProcessThatOutlivesItsKillIsAnError(t *testing.T) {
	immortal := farPeer{name: "fake", heals: true, open: func(context.Context, farOrder) (far, error) {
		return openImmortal()
	}}
	c := replacements([]farPeer{immortal})[0]
	if err := c.Run(t.Context(), newTinyMeter()); !errors.Is(err, errWrong) {
		t.Errorf("%v, want %v", err, errWrong)
	}
}

// openImmortal returns a far whose calls fail when its process is killed, and
// which claims to be that very process afterwards.
func openImmortal() (far, error) {
	f, err := netRPCPeer().open(context.Background(), farOrder{Servers: 1, Function: "hold", InFlight: 1})
	if err != nil {
		return nil, err
	}
	id, err := f.Call(context.Background(), nil)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &immortalFar{far: f, id: id}, nil
}

type immortalFar struct {
	far
	id []byte
}

func (f *immortalFar) Call(ctx context.Context, in []byte) ([]byte, error) {
	if len(in) == 0 {
		return f.id, nil
	}
	return f.far.Call(ctx, in)
}
