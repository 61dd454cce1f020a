package limits_test

import (
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/limits"
)

// grantee is a Grantee made of a function; a nil one must never be told.
type grantee func(*limits.Permit, error)

func (g grantee) Granted(p *limits.Permit, err error) { g(p, err) }

func TestEnqueueTellsTheGranteeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Resource("r", 1))
		p, ticket, err := set.Enqueue(nil, grantee(nil)) // at once: not told
		if p == nil || ticket != nil || err != nil {
			t.Fatalf("got %v, %v, %v, want a permit", p, ticket, err)
		}
		var told []string
		tell := func(name string) grantee {
			return func(p *limits.Permit, err error) {
				told = append(told, name)
				if p != nil {
					p.Release() // lets the next through, from inside the callback
				} else if err != limits.ErrClosed {
					t.Errorf("got %v, want ErrClosed", err)
				}
			}
		}
		enqueue := func(name string) limits.Ticket {
			q, ticket, err := set.Enqueue(nil, tell(name))
			if q != nil || ticket == nil || err != nil {
				t.Fatalf("got %v, %v, %v, want a ticket", q, ticket, err)
			}
			return ticket
		}
		a, b, c := enqueue("a"), enqueue("b"), enqueue("c")
		if !b.Cancel() || b.Cancel() {
			t.Error("want one successful Cancel")
		}
		p.Release()
		if a.Cancel() || c.Cancel() {
			t.Error("cancelled what had been granted")
		}
		held := available(t, set, nil)
		enqueue("d")
		set.Close()
		held.Release()
		if want := []string{"a", "c", "d"}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if _, _, err := set.Enqueue(nil, nil); err == nil {
			t.Error("want an error for no grantee")
		}
	})
}

func TestPanicInGrantedIsContainedAndLosesNoPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Resource("r", 1))
		var logged strings.Builder
		defer slog.SetDefault(slog.Default())
		slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
		held := acquire(t, set, nil)
		if _, _, err := set.Enqueue(nil, grantee(func(*limits.Permit, error) { panic("no") })); err != nil {
			t.Fatal(err)
		}
		held.Release()
		available(t, set, nil).Release()
		if !strings.Contains(logged.String(), "panic=no") {
			t.Errorf("logged %q, want the panic", &logged)
		}
	})
}

func TestGoexitInGrantedLosesNobodyBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer slog.SetDefault(slog.Default())
		slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
		sets := regions(3, 1)
		p := pool(t, sets)
		held, other := acquire(t, sets[0], limits.Request{"r": 3}), acquire(t, sets[1], nil)
		goexit := grantee(func(*limits.Permit, error) { runtime.Goexit() })
		for _, q := range []limits.Queuer{p, sets[0]} { // the first waits at both
			if _, _, err := q.Enqueue(nil, goexit); err != nil {
				t.Fatal(err)
			}
		}
		behind := inBackground(t.Context(), sets[0], nil)
		synctest.Wait()
		atOther := inBackground(t.Context(), sets[1], nil)
		synctest.Wait()
		go held.Release()
		granted(t, behind).permit.Release()
		other.Release()
		granted(t, atOther).permit.Release()
		synctest.Wait()
		for _, st := range p.Stats() {
			if st.Used != 0 || st.Waiting != 0 {
				t.Errorf("got %+v, want all back", st)
			}
		}
	})
}
