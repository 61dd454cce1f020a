package remote

import (
	"maps"
	"slices"
	"time"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

// Calls that were sent and have not begun must not be stuck behind those that
// take their time, be they ours or those of others: if nothing comes back from a
// seat for stallTime, all that has not begun there is called back.

// watch arms that; with mu held.
func (s *seat) watch() {
	if s.stall != nil || s.crew.job.Kind == place.KindWorker || len(s.flights) == 0 {
		return
	}
	s.answered = 0
	s.looks++
	conn := s.conn
	s.stall = time.AfterFunc(time.Duration(stallTime), func() { s.look(conn) })
}

// look calls back what waits at a seat from which nothing came.
func (s *seat) look(conn *link.Conn) {
	c := s.crew
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.conn != conn || s.stall == nil {
		return
	}
	s.stall = nil
	s.ceiling = 0 // it is tried again whether the seat takes more
	if s.answered == 0 {
		s.stalled = true
		s.callBack(s.looks) // what came since has had no time to begin
	}
	if s.answered > 0 || s.unrecalled() {
		s.watch() // else there is nothing to do until the next call is sent
	}
	c.update()
}

// unrecalled reports whether a call may have to be taken back yet; with mu held.
func (s *seat) unrecalled() bool {
	for _, f := range s.flights {
		if !f.recalled {
			return true
		}
	}
	return false
}

// callBack takes back all calls that have not begun, each once, if they were sent
// before the look of that number was due; with mu held.
func (s *seat) callBack(before int) {
	for _, id := range slices.Sorted(maps.Keys(s.flights)) {
		if f := s.flights[id]; !f.recalled && f.look < before {
			f.recalled = true
			s.conn.AddCancel(&wire.Cancel{Id: id, Recall: true})
		}
	}
	s.conn.Kick()
}
