package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime/metrics"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/remote/wire"
)

// chunks gives its data in pieces of given sizes.
type chunks struct {
	data  []byte
	sizes func() int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.data[:min(len(c.data), c.sizes())])
	c.data = c.data[n:]
	return n, nil
}

func framed(content []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(content))), content...)
}

func TestReaderGivesFramesHoweverTheyArrive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want [][]byte
		var stream []byte
		for range rapid.IntRange(0, 8).Draw(t, "frames") {
			size := rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(1, 20_000), rapid.Just(300_000)).Draw(t, "size")
			want = append(want, bytes.Repeat([]byte{byte(len(want) + 1)}, size))
			stream = append(stream, framed(want[len(want)-1])...)
		}
		most := rapid.IntRange(1+len(stream)/1000, 1<<20).Draw(t, "chunk")
		r := reader{most: 300_000, src: &chunks{data: stream, sizes: func() int { return most }}}
		for i := range want {
			got, err := r.frame()
			if err != nil || !bytes.Equal(got, want[i]) {
				t.Fatalf("frame %d: %d bytes, want %d: %v", i, len(got), len(want[i]), err)
			}
		}
		if _, err := r.frame(); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
		if got := r.bytes.Load(); got != uint64(len(stream)) {
			t.Errorf("counted %d of %d bytes", got, len(stream))
		}
	})
}

func TestReaderTellsAnEndWithinAFrameFromOneBetween(t *testing.T) {
	whole := framed([]byte("abc"))
	for n := range whole {
		r := reader{most: 100, src: bytes.NewReader(whole[:n])}
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if _, err := r.frame(); err != want {
			t.Errorf("after %d bytes: %v, want %v", n, err, want)
		}
	}
}

func TestReaderRefusesLengthsOutOfBounds(t *testing.T) {
	for _, size := range []uint32{0, 101, 1 << 31, 1<<32 - 1} {
		r := reader{most: 100, src: bytes.NewReader(binary.BigEndian.AppendUint32(nil, size))}
		_, err := r.frame()
		var frame *FrameError
		if !errors.As(err, &frame) || frame.Bytes != int64(size) || frame.Most != 100 {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestReaderLetsGoOfLargeBuffers(t *testing.T) {
	var stream []byte
	stream = append(stream, framed(make([]byte, 10<<20))...)
	stream = append(stream, framed(make([]byte, 10))...)
	r := reader{most: 20 << 20, src: &chunks{data: stream, sizes: func() int { return 1 << 20 }}}
	for range 2 {
		if _, err := r.frame(); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(r.buf); got > hugeBuffer {
		t.Errorf("after a huge frame and a small one, the buffer has %d bytes", got)
	}
	stream = framed(make([]byte, 1<<20))
	for range smallUses {
		stream = append(stream, framed(make([]byte, 10))...)
	}
	r = reader{most: 20 << 20, src: &chunks{data: stream, sizes: func() int { return 1 << 20 }}}
	for range smallUses + 1 {
		if _, err := r.frame(); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(r.buf); got > usualBuffer {
		t.Errorf("after many small frames, the buffer has %d bytes", got)
	}
}

// allocated returns the bytes that fn allocates, and others meanwhile.
func allocated(fn func()) uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	fn()
	metrics.Read(sample)
	return sample[0].Value.Uint64() - before
}

func TestAnnouncedBytesTakeNoMemory(t *testing.T) {
	p := connect(t, "pipe", Config{}, Config{})
	got := allocated(func() {
		go func() { p.serverEnd <- p.server.Serve(func(*wire.Envelope) {}) }()
		head := append(binary.BigEndian.AppendUint32(nil, 20<<20), 1)
		for _, b := range [][]byte{head, make([]byte, 100_000), {3}} { // the pipe takes one when the one before was read
			if _, err := p.client.nc.Write(b); err != nil {
				t.Error(err)
			}
		}
	})
	if got > 1<<20 {
		t.Errorf("a frame of 20 MiB of which 100 kB came took %d bytes", got)
	}
	p.client.Close(nil)
	if err := <-p.serverEnd; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

// An envelope as the client of a pair would send it.
func (p *pair) envelope(seq uint64) *wire.Envelope {
	return &wire.Envelope{Version: 1, From: p.client.cfg.Incarnation, To: p.client.peer.Incarnation, Seq: seq, Started: []uint64{seq}}
}

// feed has the server of a pair read envelopes, and returns those that were
// received and why it ended.
func (p *pair) feed(t *testing.T, envelopes ...*wire.Envelope) (received []uint64, err error) {
	t.Helper()
	go func() {
		p.serverEnd <- p.server.Serve(func(e *wire.Envelope) { received = append(received, e.GetStarted()...) })
	}()
	for _, e := range envelopes {
		frame, err := appendFrame(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = p.client.nc.Write(frame)
	}
	p.client.nc.Close()
	return received, <-p.serverEnd
}

func TestEnvelopesThatComeAgainAreDropped(t *testing.T) {
	p := connect(t, "pipe", Config{}, Config{})
	e := p.envelope
	got, err := p.feed(t, e(2), e(2), e(3), e(1), e(2), e(4))
	if !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
	if len(got) != 3 || got[0] != 2 || got[1] != 3 || got[2] != 4 || p.server.Stats().Dropped != 3 {
		t.Errorf("received %d, %+v", got, p.server.Stats())
	}
}

func TestEnvelopesOfOtherIncarnationsAreDropped(t *testing.T) {
	p := connect(t, "pipe", Config{}, Config{})
	from, to := p.envelope(2), p.envelope(2)
	from.From++
	to.To++
	from.Started, to.Started = []uint64{98}, []uint64{99}
	got, err := p.feed(t, from, to, p.envelope(2))
	if len(got) != 1 || got[0] != 2 || p.server.Stats().Dropped != 2 || !errors.Is(err, io.EOF) {
		t.Errorf("received %d, %+v, %v", got, p.server.Stats(), err)
	}
}

func TestEnvelopesThatAreWrongEndTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*wire.Envelope)
		want   string
	}{
		"gap":          {func(e *wire.Envelope) { e.Seq = 7 }, "number 7 came where 3 was due"},
		"hello":        {func(e *wire.Envelope) { e.Hello = &wire.Hello{Incarnation: e.From} }, "a second hello"},
		"version":      {func(e *wire.Envelope) { e.Version = 2 }, "no common protocol version"},
		"wrong inside": {func(e *wire.Envelope) { e.Cancels = []*wire.Cancel{{}} }, "cancels[0].id"},
	} {
		p := connect(t, "pipe", Config{}, Config{})
		wrong := p.envelope(3)
		c.change(wrong)
		got, err := p.feed(t, p.envelope(2), wrong, p.envelope(4))
		if len(got) != 1 || err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "link: beta from alpha (") {
			t.Errorf("%s: received %d, %v", name, got, err)
		}
	}
	p := connect(t, "pipe", Config{}, Config{})
	_, err := p.feed(t, p.envelope(4))
	var gap *GapError
	if !errors.As(err, &gap) || gap.Got != 4 || gap.Want != 2 {
		t.Errorf("got %v", err)
	}
}

func TestFramesThatAreWrongEndTheConnection(t *testing.T) {
	for name, c := range map[string]struct{ bytes, want string }{
		"empty":     {"\x00\x00\x00\x00", "an empty frame"},
		"oversized": {"\xff\x00\x00\x00", "a frame of 4278190080 bytes, want at most 20971520"},
		"garbage":   {"\x00\x00\x00\x02\xff\xff", "not well-formed"},
		"truncated": {"\x00\x00\x00\x09abc", "in the middle of a frame"},
	} {
		p := connect(t, "pipe", Config{}, Config{})
		go func() { p.serverEnd <- p.server.Serve(func(*wire.Envelope) { t.Errorf("%s: received", name) }) }()
		_, _ = io.WriteString(p.client.nc, c.bytes)
		p.client.nc.Close()
		if err := <-p.serverEnd; !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// slow passes single bytes, both ways.
type slow struct{ net.Conn }

func (s slow) Read(p []byte) (int, error) { return s.Conn.Read(p[:min(1, len(p))]) }

func (s slow) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := s.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func TestOneByteAtATimeIsEnough(t *testing.T) {
	client, server := net.Pipe()
	r := shakeHands(slow{client}, slow{server}, Config{Token: "a"}, Config{Token: "a"})
	if r.clientErr != nil || r.serverErr != nil {
		t.Fatal(r.clientErr, r.serverErr)
	}
	p := &pair{client: r.client, server: r.server, clientEnded: make(chan error, 1), serverEnd: make(chan error, 1)}
	got := make(chan *wire.Envelope, 1)
	p.serve(func(*wire.Envelope) {}, func(e *wire.Envelope) { got <- e })
	p.client.AddCall(&wire.Call{Id: 7, Payload: make([]byte, 5000)}, wire.Names{Task: "t", Codec: "c"})
	p.client.Flush()
	if e := <-got; len(e.GetCalls()[0].GetPayload()) != 5000 {
		t.Errorf("got %v", e)
	}
	p.close()
}

func TestFramesOfTheHandshakeAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		go func() {
			p := newPreamble(Config{Bounds: wire.Bounds{Bytes: 1 << 20}}, false)
			_, _ = client.Write(p[:])
			_, _ = io.ReadFull(client, make([]byte, preambleBytes))
			_, _ = client.Write(binary.BigEndian.AppendUint32(nil, handshakeBytes+1))
		}()
		_, _, err := Accept(t.Context(), server, Config{}, answering(nil))
		var frame *FrameError
		if !errors.As(err, &frame) || frame.Most != handshakeBytes {
			t.Errorf("got %v", err)
		}
		client.Close()
	})
}

func TestAnnouncementsAreBounded(t *testing.T) {
	client, server := net.Pipe()
	go func() { _, _, _ = Accept(t.Context(), server, Config{}, answering(nil)) }()
	_, _, err := Dial(t.Context(), client, Config{}, &wire.Hello{Name: strings.Repeat("x", handshakeBytes)})
	if !errors.Is(err, errTooMuch) {
		t.Errorf("got %v", err)
	}
}

func TestLargeItemsGoAlone(t *testing.T) {
	p := connect(t, "tcp", Config{}, Config{})
	sizes := []int{10, 15 << 20, 20, 600_000, 600_000}
	got := make(chan int, 10)
	p.serve(func(*wire.Envelope) {}, func(e *wire.Envelope) {
		for _, call := range e.GetCalls() {
			got <- len(call.GetPayload())
		}
	})
	for i, size := range sizes {
		p.client.AddCall(&wire.Call{Id: uint64(i + 1), Payload: make([]byte, size)}, wire.Names{Task: "t", Codec: "c"})
	}
	if err := p.client.FlushWait(); err != nil {
		t.Fatal(err)
	}
	for i, want := range sizes {
		if n := <-got; n != want {
			t.Errorf("item %d: got %d bytes, want %d", i, n, want)
		}
	}
	if n := p.client.Stats().EnvelopesOut; n < 4 { // more with pulses
		t.Errorf("%d envelopes, want 4: two of 600 kB do not fit in one of 1 MiB", n)
	}
	p.close()
}
