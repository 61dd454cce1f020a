package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

// script is a connection of which the other side says what it will, and ends.
type script struct{ in *bytes.Reader }

func (s *script) Read(p []byte) (int, error)       { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error)      { return len(p), nil }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

func hello(t testing.TB, h *wire.Hello) []byte {
	t.Helper()
	frame, err := appendFrame(nil, &wire.Envelope{Version: 1, From: 5, Seq: 1, Hello: h})
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func FuzzAccept(f *testing.F) {
	p := newPreamble(Config{}.must(), false)
	h := hello(f, &wire.Hello{Incarnation: 5, Versions: wire.Supported(), Name: "alpha"})
	f.Add([]byte("GET / HTTP/1.1\r\n"), "")
	f.Add(p[:], "")
	f.Add(append(p[:], h...), "")
	f.Add(append(p[:], h[:len(h)-3]...), "")
	f.Add(append(p[:], hello(f, nil)...), "")
	f.Add(append(p[:], make([]byte, proofBytes)...), "token")
	f.Fuzz(func(t *testing.T, data []byte, token string) {
		if token != "" && len(data) > len(magic)+2 {
			data[len(magic)+2] |= flagToken // or nothing comes of it
		}
		var c *Conn
		var err error
		if got := allocated(func() {
			c, _, err = Accept(context.Background(), &script{bytes.NewReader(data)}, Config{Incarnation: 6, Token: token}, answering(nil))
		}); got > 30*uint64(len(data))+2<<20 {
			t.Errorf("%d bytes took %d bytes of memory", len(data), got)
		}
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v", c, err)
		}
		if c == nil {
			_ = err.Error()
			return
		}
		if token != "" {
			t.Error("somebody without the token got in")
		}
		if err := c.Serve(func(e *wire.Envelope) {
			if e.GetFrom() != c.Peer().Incarnation || e.Validate() != nil {
				t.Errorf("received %v", e)
			}
		}); err == nil {
			t.Error("Serve returned nil")
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add(framed([]byte("abc")), uint8(1))
	f.Add(append(framed(make([]byte, 300)), framed([]byte("x"))...), uint8(100))
	f.Add([]byte("\x00\x10\x00\x00abc"), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, chunk uint8) {
		r := reader{most: 1 << 20, src: &chunks{data: data, sizes: func() int { return int(chunk) + 1 }}}
		rest := data
		for {
			frame, err := r.frame()
			if err == nil {
				want := framed(frame)
				if !bytes.HasPrefix(rest, want) {
					t.Fatalf("got %q of %q", frame, rest)
				}
				rest = rest[len(want):]
				continue
			}
			var fault *FrameError
			if (err == io.EOF) != (len(rest) == 0) || err != io.EOF && err != io.ErrUnexpectedEOF && !errors.As(err, &fault) {
				t.Errorf("%v with %d bytes left", err, len(rest))
			}
			if len(r.buf) > 4*len(data)+firstBuffer+usualBuffer {
				t.Errorf("%d bytes of buffer for %d", len(r.buf), len(data))
			}
			return
		}
	})
}
