package link

import (
	"fmt"
	"testing"

	"github.com/troupe-go/troupe/remote/wire"
)

// echo answers every call of e with its payload.
func echo(c *Conn, e *wire.Envelope) {
	for _, call := range e.GetCalls() {
		c.AddAnswer(&wire.Answer{Id: call.GetId(), Payload: call.GetPayload()}, "cbor")
	}
	c.Kick()
}

// A caller has calls in flight, each in a slot of its own.
type caller struct {
	c       *Conn
	slots   []chan struct{}
	payload []byte
}

func newCaller(c *Conn, inFlight, size int) *caller {
	s := &caller{c: c, payload: make([]byte, size)}
	for range inFlight {
		s.slots = append(s.slots, make(chan struct{}, 1))
	}
	return s
}

// receive completes calls.
func (s *caller) receive(e *wire.Envelope) {
	for _, a := range e.GetAnswers() {
		s.slots[a.GetId()%uint64(len(s.slots))] <- struct{}{}
	}
}

// run makes n calls in one slot, one after another.
func (s *caller) run(slot, n int) {
	for i := range n {
		id := uint64(i+1)*uint64(len(s.slots)) + uint64(slot)
		s.c.AddCall(&wire.Call{Id: id, Payload: s.payload, Attempt: 1}, wire.Names{Task: "echo", Codec: "cbor"})
		s.c.Flush()
		<-s.slots[slot]
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, network := range []string{"tcp", "tls"} {
		for _, inFlight := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("%s/%d", network, inFlight), func(b *testing.B) {
				p := connect(b, network, Config{}, Config{})
				s := newCaller(p.client, inFlight, 64)
				p.serve(s.receive, func(e *wire.Envelope) { echo(p.server, e) })
				b.ReportAllocs()
				b.ResetTimer()
				done := make(chan struct{})
				for slot := range inFlight {
					go func() {
						s.run(slot, b.N/inFlight+1)
						done <- struct{}{}
					}()
				}
				for range inFlight {
					<-done
				}
				b.StopTimer()
				rounds := float64((b.N/inFlight + 1) * inFlight)
				b.ReportMetric(rounds/b.Elapsed().Seconds(), "calls/s")
				b.ReportMetric(rounds/float64(p.client.Stats().EnvelopesOut), "calls/write")
				p.close()
			})
		}
	}
}

// Here receive makes the next call, as somebody with a queue of calls does.
func BenchmarkStream(b *testing.B) {
	for _, network := range []string{"tcp", "tls"} {
		for _, inFlight := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("%s/%d", network, inFlight), func(b *testing.B) {
				p := connect(b, network, Config{}, Config{})
				payload, done := make([]byte, 64), make(chan struct{})
				next, left := uint64(0), b.N
				call := func() {
					next++
					p.client.AddCall(&wire.Call{Id: next, Payload: payload, Attempt: 1}, wire.Names{Task: "echo", Codec: "cbor"})
				}
				for range min(inFlight, b.N) {
					call()
				}
				b.ReportAllocs()
				b.ResetTimer()
				p.serve(func(e *wire.Envelope) {
					for range e.GetAnswers() {
						if left--; left == 0 {
							close(done)
						}
						if int(next) < b.N {
							call()
						}
					}
					p.client.Kick()
				}, func(e *wire.Envelope) { echo(p.server, e) })
				p.client.Flush()
				<-done
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
				b.ReportMetric(float64(b.N)/float64(p.client.Stats().EnvelopesOut), "calls/write")
				p.close()
			})
		}
	}
}
