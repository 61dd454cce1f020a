package link

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

// busy has something more to write whenever something is written.
type busy struct {
	net.Conn
	more func()
}

func (b *busy) Write(p []byte) (int, error) {
	if b.more != nil {
		b.more()
	}
	return b.Conn.Write(p)
}

// Whoever flushes must not be kept for ever by those who add.
func TestFlushHandsOverToTheConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		nc := &busy{Conn: client}
		r := shakeHands(nc, server, Config{}, Config{})
		if r.clientErr != nil || r.serverErr != nil {
			t.Fatal(r.clientErr, r.serverErr)
		}
		p := &pair{client: r.client, server: r.server, clientEnded: make(chan error, 1), serverEnd: make(chan error, 1)}
		got := 0
		p.serve(func(*wire.Envelope) {}, func(e *wire.Envelope) { got += len(e.GetStarted()) })
		const most = 10 * mostRounds
		added, returned := 1, 0
		nc.more = func() { // on whatever goroutine writes: one at a time
			if added < most {
				added++
				p.client.AddStarted(1)
			}
		}
		synctest.Wait()
		p.client.AddStarted(1)
		p.client.Flush()
		p.client.mu.Lock()
		returned = int(p.client.sent)
		p.client.mu.Unlock()
		synctest.Wait()
		if got != most {
			t.Errorf("%d of %d arrived", got, most)
		}
		if returned >= most {
			t.Errorf("Flush returned after %d were written, want about %d", returned, mostRounds)
		}
		nc.more = nil
		p.close()
	})
}

// What is written while somebody else writes is taken along by that one.
func TestFlushLeavesItToWhoeverIsWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, "pipe", Config{}, Config{})
		p.client.AddStarted(1)
		done := make(chan struct{})
		go func() {
			p.client.Flush()
			close(done)
		}()
		synctest.Wait() // nobody reads yet
		for id := range uint64(100) {
			p.client.AddStarted(id + 2)
			p.client.Flush()
			p.client.Kick()
		}
		var sizes []int
		p.serve(func(*wire.Envelope) {}, func(e *wire.Envelope) { sizes = append(sizes, len(e.GetStarted())) })
		<-done
		synctest.Wait()
		if len(sizes) != 2 || sizes[0] != 1 || sizes[1] != 100 {
			t.Errorf("envelopes of %d items, want 1 and 100", sizes)
		}
		p.close()
	})
}

// Answers to all that has arrived go out together, when it is through.
func TestKickWaitsForTheBurstThatIsReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, "pipe", Config{}, Config{})
		var sizes []int
		p.serve(func(e *wire.Envelope) { sizes = append(sizes, len(e.GetStarted())) }, func(e *wire.Envelope) {
			p.server.AddStarted(e.GetStarted()[0])
			p.server.Kick()
			time.Sleep(time.Millisecond) // everybody else gets as far as possible
		})
		var burst []byte
		for seq := range uint64(5) {
			frame, err := appendFrame(nil, p.envelope(seq+2))
			if err != nil {
				t.Fatal(err)
			}
			burst = append(burst, frame...)
		}
		if _, err := p.client.nc.Write(burst); err != nil {
			t.Fatal(err)
		}
		time.Sleep(beat / 2)
		synctest.Wait()
		if len(sizes) != 1 || sizes[0] != 5 {
			t.Errorf("envelopes of %d items, want 5 in one", sizes)
		}
		p.close()
	})
}
