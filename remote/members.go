package remote

import (
	"cmp"
	"strings"
)

// Member is a node as this one knows it.
type Member struct {
	Addr     string
	Self     bool   // it is this one
	State    string // "starting", "serving", "draining", "lost" or "refused"
	Task     string // that is placed there; empty for this node
	Capacity int    // calls that it runs at once; 0: not known
	Active   int    // calls that were sent there and not answered
	Total    uint64 // calls that were sent there
	Late     uint64 // answers that nobody waited for any more
	Error    string // why it is lost or refused
}

func (m Member) compare(o Member) int {
	return cmp.Or(strings.Compare(m.Addr, o.Addr), strings.Compare(m.Task, o.Task))
}

// members describes the seats of a crew.
func (c *crew) members() []Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Member, 0, len(c.seats))
	for _, s := range c.seats {
		m := Member{Addr: s.name, State: s.public(), Task: c.job.Name, Capacity: s.capacity, Active: len(s.flights), Total: s.total, Late: s.late}
		if s.err != nil && (s.state == vacant || s.state == refused) {
			m.Error = s.err.Error()
		}
		all = append(all, m)
	}
	return all
}

// public is the state of a seat as others are told.
func (s *seat) public() string {
	switch {
	case s.state == seated:
		return "serving"
	case s.state == refused:
		return "refused"
	case s.drains:
		return "draining"
	case s.state == waiting:
		return "starting"
	}
	return "lost"
}
