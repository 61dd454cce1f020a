package limits

import (
	"context"
	"testing"
)

// asked returns a ticket that waits for one of a resource, and the permit that
// holds it.
func asked(t *testing.T) (*Set, *Permit, *ticket) {
	t.Helper()
	s := MustNew(Resource("r", 1))
	held, err := s.TryAcquire(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, ticket, err := s.ask(nil, nil)
	if ticket == nil {
		t.Fatalf("got no ticket, %v", err)
	}
	return s, held, ticket
}

func TestGrantWinsOverTheEndOfTheContext(t *testing.T) {
	for range 50 { // both cases of a select are ready, which then chooses at random
		_, held, ticket := asked(t)
		ctx, cancel := context.WithCancel(t.Context())
		held.Release()
		cancel()
		if p, err := ticket.wait(ctx); p == nil || err != nil {
			t.Fatalf("got %v, %v, want the permit that was granted", p, err)
		}
	}
}

func TestCancelWinsOverALaterGrant(t *testing.T) {
	s, held, ticket := asked(t)
	// Cancelled, but not yet out of the queue, when the release comes.
	if !ticket.state.CompareAndSwap(waiting, cancelled) {
		t.Fatal("not waiting")
	}
	held.Release()
	if st := s.Stats()[0]; st.Used != 0 || st.Waiting != 0 || st.Refused != 1 {
		t.Errorf("got %+v, want nothing used, one refused", st)
	}
	s.leave(ticket.entries[0], true)
	if st := s.Stats()[0]; st.Refused != 1 {
		t.Errorf("got %+v, want it refused once", st)
	}
}

func TestSettledTicketJoinsNoQueue(t *testing.T) {
	s, held, _ := asked(t)
	late := newTicket(nil)
	e := late.place(s, []int64{1})
	late.settle()
	var told tickets
	s.join(e, &told)
	if st := s.Stats()[0]; st.Waiting != 1 || told.head != nil {
		t.Errorf("got %+v, want only the other waiting", st)
	}
	held.Release()
}

func TestTicketIsGrantedAtOnceWhereThereIsRoomByNow(t *testing.T) {
	s := MustNew(Resource("r", 1))
	ticket := newTicket(nil)
	e := ticket.place(s, []int64{1})
	var told tickets
	s.join(e, &told)
	told.tell()
	p, err := ticket.wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.Release()
	if st := s.Stats()[0]; st.Used != 0 || st.Granted != 1 {
		t.Errorf("got %+v, want one granted and back", st)
	}
	if _, ticket, err := s.wait([]int64{1}, nil); ticket != nil || err != nil {
		t.Errorf("got %v, %v, want a permit without a wait", ticket, err)
	}
	s.Close()
	if _, _, err := s.wait([]int64{1}, nil); err != ErrClosed {
		t.Errorf("got %v, want ErrClosed", err)
	}
}
