package remote

import (
	"maps"
	"slices"
	"time"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

// Calls that are sent ahead must not be stuck behind one that takes its time: if
// nothing comes back from a seat for stallTime, what waits there is called back.

// watch arms that for a seat which has more under way than it runs; with mu held.
func (s *seat) watch() {
	if s.stall != nil || s.crew.job.Kind == place.KindWorker || len(s.flights) <= s.capacity {
		return
	}
	s.answered = 0
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
	if s.answered > 0 || len(s.flights) <= s.capacity {
		s.watch()
		return
	}
	s.stalled = true
	s.callBack(s.capacity)
	c.update()
}

// callBack takes back all but the first n calls, unless they have begun; with mu
// held.
func (s *seat) callBack(n int) {
	for _, id := range slices.Sorted(maps.Keys(s.flights))[n:] {
		s.conn.AddCancel(&wire.Cancel{Id: id, Recall: true})
	}
	s.conn.Kick()
}
