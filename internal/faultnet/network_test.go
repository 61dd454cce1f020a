package faultnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/internal/faultnet"
)

func TestLatencyIsDrawnInItsBoundsAndKeepsOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		const least, most = 10 * time.Millisecond, 50 * time.Millisecond
		a, b := connect(t, n)
		n.Latency(least, most)
		var took []time.Duration
		for range 50 {
			began := time.Now()
			write(t, a, "x")
			reads(t, b, "x")
			took = append(took, time.Since(began))
		}
		if slices.Min(took) < least || slices.Max(took) > most || slices.Max(took)-slices.Min(took) < (most-least)/2 {
			t.Errorf("delays were %v to %v, want them spread from %v to %v", slices.Min(took), slices.Max(took), least, most)
		}
		for letter := 'a'; letter <= 'z'; letter++ {
			write(t, a, string(letter))
		}
		reads(t, b, "abcdefghijklmnopqrstuvwxyz")
	})
}

func TestALowerLatencyOvertakesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		began := time.Now()
		n.Latency(time.Minute, time.Minute)
		write(t, a, "slow")
		n.Latency(0, 0)
		write(t, a, "fast")
		reads(t, b, "slowfast")
		if got := time.Since(began); got != time.Minute {
			t.Errorf("both arrived after %v, want a minute", got)
		}
		n.Latency(time.Minute, time.Minute)
		write(t, a, "last words")
		n.Latency(0, 0)
		a.Close()
		write(t, b, "the end has not arrived, so this is no error")
		reads(t, b, "last words")
		ends(t, b, io.EOF)
	})
}

func TestCutResetsBothEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		write(t, a, "arrived")
		n.Latency(time.Second, time.Second)
		write(t, a, "on its way")
		read := start(func() (int, error) { return a.Read(make([]byte, 1)) })
		synctest.Wait()
		n.Cut("c", "a") // others
		waits(t, read)
		write(t, a, "on its way")
		n.Cut("b", "a")
		if r := <-read; !errors.Is(r.err, syscall.ECONNRESET) {
			t.Errorf("Read during Cut: got %v, want %v", r.err, syscall.ECONNRESET)
		}
		reads(t, b, "arrivedon its way")
		ends(t, b, syscall.ECONNRESET)
		for _, c := range []net.Conn{a, b} {
			if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("Write after Cut: got %v, want %v", err, syscall.ECONNRESET)
			}
		}
	})
}

func TestCutWakesAWriterAndLetsNewConnectionsIn(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, _ := connect(t, n)
		wrote := start(func() (int, error) { return a.Write(make([]byte, 100_000)) })
		synctest.Wait()
		n.Cut("a", "b")
		if r := <-wrote; !errors.Is(r.err, syscall.ECONNRESET) {
			t.Errorf("Write: got %v, want %v", r.err, syscall.ECONNRESET)
		}
		x, y := connect(t, n)
		write(t, x, "again")
		reads(t, y, "again")
	})
}

func TestPartitionHoldsBytesUntilHeal(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		write(t, a, "arrived,")
		n.Latency(time.Minute, time.Minute)
		write(t, a, "on its way,")
		n.Partition("b", "a")
		write(t, a, "parted")
		reads(t, b, "arrived,")
		read := start(func() (int, error) { return b.Read(make([]byte, 1)) })
		wrote := start(func() (int, error) { return a.Write(make([]byte, 100_000)) })
		waits(t, read)
		waits(t, wrote)
		n.Latency(time.Second, time.Second)
		healed := time.Now()
		n.Heal("a", "b")
		<-read
		if got := time.Since(healed); got != time.Second {
			t.Errorf("what was held came %v after Heal, want 1s", got)
		}
		reads(t, b, "n its way,parted")
		b.Close()
		<-wrote
	})
}

func TestWhatAPartitionHeldComesWithTheLatencyOfNow(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		n.Latency(time.Minute, time.Minute)
		write(t, a, "x")
		n.Partition("a", "b")
		n.Latency(time.Second, time.Second)
		n.Heal("a", "b")
		began := time.Now()
		reads(t, b, "x")
		if got := time.Since(began); got != time.Second {
			t.Errorf("arrived %v after Heal, want 1s", got)
		}
	})
}

func TestPartitionHoldsTheEndOfAConnection(t *testing.T) {
	for name, end := range map[string]struct {
		fault func(*faultnet.Network, net.Conn)
		want  error
	}{
		"closed": {fault: func(_ *faultnet.Network, a net.Conn) { a.Close() }, want: io.EOF},
		"killed": {fault: func(n *faultnet.Network, _ net.Conn) { n.Kill("a") }, want: syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *faultnet.Network) {
				a, b := connect(t, n)
				n.Partition("a", "b")
				end.fault(n, a)
				read := start(func() (int, error) { return b.Read(make([]byte, 1)) })
				waits(t, read)
				write(t, b, "into the void")
				n.Heal("a", "b")
				if r := <-read; !errors.Is(r.err, end.want) {
					t.Errorf("Read after Heal: got %v, want %v", r.err, end.want)
				}
			})
		})
	}
}

func TestDialHangsWhileParted(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		l := listen(t, n, "b:1")
		n.Partition("a", "b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.Dial(ctx, "a", "b:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial: got %v, want %v", err, context.DeadlineExceeded)
		}
		dial := start(func() (int, error) {
			c, err := n.Dial(t.Context(), "a", "b:1")
			if err == nil {
				c.Close()
			}
			return 0, err
		})
		waits(t, dial)
		other, err := n.Dial(t.Context(), "c", "b:1")
		if err != nil {
			t.Fatalf("Dial from a host that is not parted: %v", err)
		}
		other.Close()
		n.Heal("a", "b")
		if r := <-dial; r.err != nil {
			t.Errorf("Dial after Heal: %v", r.err)
		}
		l.Close()
	})
}

func TestAPartitionDuringTheHandshakeDelaysIt(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		listen(t, n, "b:1")
		n.Latency(time.Second, time.Second)
		dial := start(func() (int, error) {
			c, err := n.Dial(t.Context(), "a", "b:1")
			if err == nil {
				c.Close()
			}
			return 0, err
		})
		synctest.Wait()
		n.Partition("a", "b")
		waits(t, dial)
		n.Heal("a", "b")
		if r := <-dial; r.err != nil || r.took != time.Hour+2*time.Second {
			t.Errorf("Dial: got %v after %v, want a round trip after the hour of the partition", r.err, r.took)
		}
	})
}

func TestAFrozenHostStandsStill(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		n.Latency(time.Second, time.Second)
		write(t, b, "before")
		n.Freeze("b")
		write(t, a, "to b")
		b.SetReadDeadline(time.Now().Add(time.Minute))
		read := start(func() (int, error) { return b.Read(make([]byte, 1)) })
		wrote := start(func() (int, error) { return b.Write([]byte("after")) })
		waits(t, read)
		waits(t, wrote)
		reads(t, a, "before")
		silent := start(func() (int, error) { return a.Read(make([]byte, 1)) })
		waits(t, silent)
		n.Thaw("b")
		if r := <-read; !errors.Is(r.err, os.ErrDeadlineExceeded) {
			t.Errorf("Read whose deadline passed: got %v, want %v", r.err, os.ErrDeadlineExceeded)
		}
		b.SetReadDeadline(time.Time{})
		reads(t, b, "to b")
		if r := <-wrote; r.n != len("after") || r.err != nil {
			t.Errorf("Write after Thaw: got %d, %v", r.n, r.err)
		}
		if r := <-silent; r.n != 1 {
			t.Errorf("Read of what was written after Thaw: got %d, %v", r.n, r.err)
		}
	})
}

func TestWhatIsSentToAFrozenHostFillsItsBuffer(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		n.Freeze("b")
		read := start(func() (int, error) { return io.ReadFull(b, make([]byte, 100_000)) })
		wrote := start(func() (int, error) { return a.Write(make([]byte, 100_000)) })
		waits(t, wrote)
		n.Thaw("b")
		<-wrote
		if r := <-read; r.err != nil {
			t.Error(r.err)
		}
	})
}

func TestTheEndOfAFrozenHostsConnectionWaits(t *testing.T) {
	for name, end := range map[string]func(*faultnet.Network){
		"thawed": func(n *faultnet.Network) { n.Thaw("b") },
		"killed": func(n *faultnet.Network) { n.Kill("b") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *faultnet.Network) {
				a, b := connect(t, n)
				n.Freeze("b")
				read := start(func() (int, error) { return b.Read(make([]byte, 1)) })
				synctest.Wait()
				b.Close()
				if r := <-read; !errors.Is(r.err, net.ErrClosed) {
					t.Errorf("Read of the frozen host: got %v, want %v", r.err, net.ErrClosed)
				}
				theirs := start(func() (int, error) { return a.Read(make([]byte, 1)) })
				waits(t, theirs)
				end(n)
				if r := <-theirs; r.err != io.EOF {
					t.Errorf("Read at the other end: got %v, want %v", r.err, io.EOF)
				}
			})
		})
	}
}

func TestAFrozenHostNeitherAcceptsNorDials(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		l := listen(t, n, "b:1")
		first, err := n.Dial(t.Context(), "a", "b:1")
		if err != nil {
			t.Fatal(err)
		}
		n.Freeze("b")
		accept := start(func() (int, error) {
			c, err := l.Accept()
			if err == nil {
				c.Close()
			}
			return 0, err
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		to := start(func() (int, error) { _, err := n.Dial(ctx, "a", "b:1"); return 0, err })
		from := start(func() (int, error) { _, err := n.Dial(ctx, "b", "a:1"); return 0, err })
		waits(t, accept)
		waits(t, to)
		waits(t, from)
		cancel()
		for _, dial := range []<-chan result{to, from} {
			if r := <-dial; !errors.Is(r.err, context.Canceled) {
				t.Errorf("Dial: got %v, want %v", r.err, context.Canceled)
			}
		}
		n.Thaw("b")
		if r := <-accept; r.err != nil {
			t.Errorf("Accept after Thaw: %v", r.err)
		}
		first.Close()
	})
}

func TestKillResetsConnectionsAndRemovesListeners(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		l := listen(t, n, "b:1")
		waiting, err := n.Dial(t.Context(), "a", "b:1") // not accepted
		if err != nil {
			t.Fatal(err)
		}
		defer waiting.Close()
		write(t, b, "arrived")
		n.Latency(time.Second, time.Second)
		write(t, b, "lost")
		write(t, a, "lost, too")
		n.Freeze("b")
		read := start(func() (int, error) { return b.Read(make([]byte, 1)) })
		waits(t, read)
		n.Kill("b")
		if r := <-read; !errors.Is(r.err, syscall.ECONNRESET) {
			t.Errorf("Read of the killed host: got %v, want %v", r.err, syscall.ECONNRESET)
		}
		reads(t, a, "arrivedlost") // an hour has passed
		ends(t, a, syscall.ECONNRESET)
		ends(t, waiting, syscall.ECONNRESET)
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: got %v, want %v", err, net.ErrClosed)
		}
		if _, err := n.Dial(t.Context(), "a", "b:1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial to the killed host: got %v, want %v", err, syscall.ECONNREFUSED)
		}
		x, y := connect(t, n) // its next life
		write(t, x, "hello")
		reads(t, y, "hello")
	})
}

func TestKillLosesWhatIsOnItsWay(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		n.Latency(time.Second, time.Second)
		write(t, b, "lost")
		n.Kill("b")
		ends(t, a, syscall.ECONNRESET)
	})
}

func TestKillEndsDialsOfTheHost(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		listen(t, n, "b:1")
		n.Partition("a", "b")
		dial := start(func() (int, error) { _, err := n.Dial(t.Context(), "a", "b:1"); return 0, err })
		waits(t, dial)
		n.Kill("a")
		if r := <-dial; !errors.Is(r.err, syscall.ECONNRESET) {
			t.Errorf("Dial: got %v, want %v", r.err, syscall.ECONNRESET)
		}
	})
}

func TestAnAddressDoesForItsHost(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, _ := connect(t, n)
		n.Cut("a:7", "b:1")
		ends(t, a, syscall.ECONNRESET)
	})
}
