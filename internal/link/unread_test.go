package link

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

// deaf serves the client alone, while the server speaks and does not read.
func deaf(t *testing.T) *pair {
	p := connect(t, "pipe", Config{}, Config{})
	go func() { p.clientEnded <- p.client.Serve(func(*wire.Envelope) {}) }()
	go func() {
		for seq := uint64(2); ; seq++ {
			frame, err := appendFrame(nil, &wire.Envelope{Version: p.server.peer.Version, From: p.server.cfg.Incarnation, To: p.client.cfg.Incarnation, Seq: seq})
			if err != nil {
				t.Error(err)
			}
			if _, err := p.server.nc.Write(frame); err != nil {
				p.serverEnd <- err
				return
			}
			time.Sleep(beat)
		}
	}()
	return p
}

func (p *pair) endDeaf() {
	p.client.Close(nil)
	<-p.clientEnded
	p.server.Close(nil)
	<-p.serverEnd
}

func TestAPeerThatSpeaksAndDoesNotReadIsLost(t *testing.T) {
	for name, size := range map[string]int{"little": 1, "much": 10 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := deaf(t)
				p.client.AddAnswer(&wire.Answer{Id: 1, Payload: make([]byte, size)}, "c")
				start := time.Now()
				err := p.client.FlushWait()
				if !errors.Is(err, ErrUnread) || !strings.Contains(err.Error(), "alpha") || !strings.Contains(err.Error(), "beta") {
					t.Errorf("got %v, want ErrUnread with both names", err)
				}
				if took := time.Since(start); took < 3*beat || took > 4*beat {
					t.Errorf("noticed after %v, want three heartbeats", took)
				}
				p.endDeaf()
			})
		})
	}
}

func TestAPeerForWhichOnlyPulsesWaitIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := deaf(t)
		time.Sleep(time.Minute)
		if err := p.client.Err(); err != nil {
			t.Error(err)
		}
		p.endDeaf()
	})
}

func TestALargeFrameThatIsReadSlowlyIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := deaf(t)
		p.client.AddAnswer(&wire.Answer{Id: 1, Payload: make([]byte, 10*chunkBytes)}, "c")
		done := make(chan error, 1)
		go func() { done <- p.client.FlushWait() }()
		for range 10 { // one by one, each in less than three heartbeats
			time.Sleep(2 * beat)
			if _, err := io.CopyN(io.Discard, p.server.nc, chunkBytes); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n := p.client.Waiting(); n < 1 || n > 100 {
			t.Errorf("%d bytes wait when all but the end is read, want some", n)
		}
		go func() { _, _ = io.Copy(io.Discard, p.server.nc) }()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := p.client.Waiting(); n != 0 {
			t.Errorf("%d bytes wait after all was written", n)
		}
		p.endDeaf()
	})
}

func TestWaitingCountsWhatIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := deaf(t)
		for id := range uint64(3) {
			p.client.AddAnswer(&wire.Answer{Id: id, Payload: make([]byte, 1000)}, "c")
		}
		if n := p.client.Waiting(); n < 3000 || n > 4000 {
			t.Errorf("%d bytes wait, want about 3000", n)
		}
		p.client.Kick()
		synctest.Wait() // it is stuck in the write
		if n := p.client.Waiting(); n < 3000 || n > 4000 {
			t.Errorf("%d bytes wait while they are written, want about 3000", n)
		}
		go func() { _, _ = io.Copy(io.Discard, p.server.nc) }()
		if err := p.client.Shrink(0); err != nil || p.client.Waiting() != 0 {
			t.Errorf("Shrink = %v with %d waiting", err, p.client.Waiting())
		}
		p.client.Close(errDone)
		if err := p.client.Shrink(0); !errors.Is(err, errDone) {
			t.Errorf("after the end Shrink = %v", err)
		}
		p.endDeaf()
	})
}

func TestShrinkEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := deaf(t)
		p.client.AddAnswer(&wire.Answer{Id: 1, Payload: make([]byte, 1000)}, "c")
		if err := p.client.Shrink(100); !errors.Is(err, ErrUnread) {
			t.Errorf("got %v", err)
		}
		p.endDeaf()
	})
}

// Push writes a little itself, and is not kept by much.
func TestPushLeavesMuchToTheConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := deaf(t)
		p.client.AddAnswer(&wire.Answer{Id: 1, Payload: make([]byte, 2*briefBytes)}, "c")
		start := time.Now()
		p.client.Push()
		p.client.AddAnswer(&wire.Answer{Id: 2}, "c")
		p.client.Push()
		if took := time.Since(start); took != 0 {
			t.Errorf("Push took %v", took)
		}
		p.endDeaf()
	})
}

func TestPushWritesALittleItself(t *testing.T) {
	client, server := net.Pipe()
	r := shakeHands(client, server, Config{}, Config{})
	if r.clientErr != nil || r.serverErr != nil {
		t.Fatal(r.clientErr, r.serverErr)
	}
	read := make(chan error, 1)
	go func() {
		_, err := server.Read(make([]byte, 1000))
		read <- err
	}()
	r.client.AddStarted(1)
	r.client.Push() // nobody else could: Serve does not run
	if err := <-read; err != nil {
		t.Error(err)
	}
	r.client.Close(nil)
	r.server.Close(nil)
}
