package remote

import (
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

// payloadSlack is what an envelope with one payload needs beside it: names,
// headers, the config of a permit.
const payloadSlack = 64 << 10

// takes says why f cannot be sent to a seat, if so; with mu held.
func (s *seat) takes(f *flight) error {
	most := s.conn.MaxBytes() - payloadSlack
	if size := len(f.call.GetPayload()); size > most {
		return &PayloadError{Task: s.crew.job.Name, Size: size, Max: most}
	}
	return nil
}

// hurry is a Timeout so short that a wait at a node would eat it up.
const hurry = time.Second

// admit notes a flight that was added to what goes to a seat; with mu held.
func (s *seat) admit(f *flight) {
	c := s.crew
	s.flights[f.call.GetId()] = f
	f.look = s.looks
	if f.watched {
		if c.watched == nil {
			c.watched = make(map[uint64]*flight)
		}
		c.watched[f.call.GetNumber()] = f
	}
	if f.timed && f.call.GetRemaining() < int64(hurry) && !c.hurried {
		c.hurried = true // from now on nothing is sent ahead, to any seat
		c.update()
	}
	room := s.window()
	s.bytes += len(f.call.GetPayload())
	s.total++
	if f.call.GetOp() == wire.Op_RUN {
		s.sent++
	}
	if f.mark == 0 { // the connection has ended, which its reader will notice
		s.state = waiting
		c.announce()
		s.conn.Close(nil)
		return
	}
	s.watch()
	if s.window() != room {
		c.update()
	}
}

// forget undoes admit, but for what it counts; with mu held.
func (s *seat) forget(f *flight) {
	delete(s.flights, f.call.GetId())
	s.bytes -= len(f.call.GetPayload())
	if number := f.call.GetNumber(); s.crew.watched[number] == f {
		delete(s.crew.watched, number)
	}
}

// returned notes a call that came back without having begun: others keep the seat
// busy. It is given as many as it runs of ours, and one to see whether that has
// changed; with mu held.
func (s *seat) returned(f *flight) {
	if f.call.GetOp() == wire.Op_RUN {
		s.sent--
	}
	s.ceiling = max(1, len(s.flights))
	s.watch()
}
