package faultnet_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/internal/faultnet"
)

func TestFlipTurnsOneBitOfAPiece(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		n.Mangle("a", "b", faultnet.Mangle{Flip: 1})
		sent := []byte("hello, world")
		if _, err := a.Write(sent); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(b, got); err != nil {
			t.Fatal(err)
		}
		turned := 0
		for i := range got {
			turned += bits.OnesCount8(got[i] ^ sent[i])
		}
		if turned != 1 {
			t.Errorf("sent %q, got %q: %d bits differ, want 1", sent, got, turned)
		}
		if string(sent) != "hello, world" {
			t.Errorf("the writer's bytes became %q", sent)
		}
		write(t, b, "unharmed")
		reads(t, a, "unharmed")
		n.Mangle("a", "b", faultnet.Mangle{})
		write(t, a, "unharmed")
		reads(t, b, "unharmed")
	})
}

func TestRepeatSendsAPieceTwice(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		n.Mangle("a", "b", faultnet.Mangle{Repeat: 1})
		a, b := connect(t, n)
		write(t, a, "ab")
		write(t, a, "c")
		a.Close()
		reads(t, b, "ababcc")
		ends(t, b, io.EOF)
	})
}

func TestTruncateAfterClosesBehindExactlySoManyBytes(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		write(t, a, "not counted")
		n.Mangle("a", "b", faultnet.Mangle{TruncateAfter: 10})
		write(t, a, "0123")
		write(t, a, "456789abc")
		reads(t, b, "not counted0123456789")
		ends(t, b, io.EOF)
		ends(t, a, io.EOF)
		for _, c := range []net.Conn{a, b} {
			if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
				t.Errorf("Write behind the cut: got %v, want %v", err, syscall.EPIPE)
			}
		}
		x, y := connect(t, n)
		write(t, x, "0123456789abc")
		reads(t, y, "0123456789")
		ends(t, y, io.EOF)
	})
}

func TestWhatIsWrittenBehindACutIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		a, b := connect(t, n)
		n.Latency(time.Second, time.Second)
		n.Mangle("a", "b", faultnet.Mangle{TruncateAfter: 3})
		write(t, a, "012")
		write(t, a, "a cannot know yet")
		reads(t, b, "012")
		ends(t, b, io.EOF)
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write at the other end: got %v, want %v", err, syscall.EPIPE)
		}
	})
}

func TestTruncateCutsWithinAPiece(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		n.Mangle("a", "b", faultnet.Mangle{Truncate: 1})
		lengths := make(map[int]bool)
		for range 30 {
			a, b := connect(t, n)
			write(t, a, "0123456789")
			got, err := io.ReadAll(b)
			if err != nil || !strings.HasPrefix("012345678", string(got)) {
				t.Fatalf("read %q, %v; want less than was written", got, err)
			}
			lengths[len(got)] = true
			a.Close()
			b.Close()
		}
		if len(lengths) < 5 {
			t.Errorf("30 cuts at only %d different places", len(lengths))
		}
	})
}

func TestProbabilitiesAreMet(t *testing.T) {
	inBubble(t, func(t *testing.T, n *faultnet.Network) {
		n.Mangle("a", "b", faultnet.Mangle{Repeat: 0.25})
		a, b := connect(t, n)
		for range 1000 {
			write(t, a, "x")
		}
		a.Close()
		got, err := io.ReadAll(b)
		if repeated := len(got) - 1000; err != nil || repeated < 200 || repeated > 300 {
			t.Errorf("%d of 1000 pieces came twice (%v), want about 250", repeated, err)
		}
	})
}

func TestWhatMakesNoSensePanics(t *testing.T) {
	n := faultnet.New(1)
	for name, call := range map[string]func(){
		"probability below 0": func() { n.Mangle("a", "b", faultnet.Mangle{Flip: -0.1}) },
		"probability above 1": func() { n.Mangle("a", "b", faultnet.Mangle{Repeat: 1.1}) },
		"no number":           func() { n.Mangle("a", "b", faultnet.Mangle{Truncate: math.NaN()}) },
		"negative bytes":      func() { n.Mangle("a", "b", faultnet.Mangle{TruncateAfter: -1}) },
		"negative latency":    func() { n.Latency(-1, 0) },
		"bounds reversed":     func() { n.Latency(2, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v := recover(); v == nil || !strings.HasPrefix(fmt.Sprint(v), "faultnet: ") {
					t.Errorf("got %v, want a panic that says what is wrong", v)
				}
			}()
			call()
		})
	}
}

// history is what reaches host b of 50 messages, with times, under latency and
// every damage. Connections that end are made anew.
func history(t *testing.T, seed uint64) (seen []string) {
	synctest.Test(t, func(t *testing.T) {
		n, began := faultnet.New(seed), time.Now()
		n.Latency(time.Millisecond, time.Second)
		n.Mangle("a", "b", faultnet.Mangle{Flip: 0.2, Repeat: 0.2, Truncate: 0.2})
		for round := range 5 {
			a, b := connect(t, n)
			for i := range 10 {
				if _, err := fmt.Fprintf(a, "message %d.%d", round, i); err != nil {
					break
				}
				got := make([]byte, 100)
				k, err := b.Read(got)
				seen = append(seen, fmt.Sprintf("%v %q %v", time.Since(began), got[:k], err))
			}
		}
	})
	return seen
}

func TestTheSeedDecidesTheRun(t *testing.T) {
	first, same, other := history(t, 7), history(t, 7), history(t, 8)
	if !slices.Equal(first, same) {
		t.Errorf("one seed, two runs:\n%s\n\n%s", strings.Join(first, "\n"), strings.Join(same, "\n"))
	}
	if slices.Equal(first, other) {
		t.Error("two seeds gave the same run")
	}
}

func TestWhatHappensOnOneConnectionChangesNoDrawsOfAnother(t *testing.T) {
	delays := func(busy bool) (took []time.Duration) {
		inBubble(t, func(t *testing.T, n *faultnet.Network) {
			n.Latency(0, time.Second)
			if busy {
				listen(t, n, "z:1")
				c, err := n.Dial(t.Context(), "c", "z:1")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				write(t, c, "noise")
			}
			a, b := connect(t, n)
			for range 10 {
				began := time.Now()
				write(t, a, "x")
				reads(t, b, "x")
				took = append(took, time.Since(began))
			}
		})
		return took
	}
	if quiet, busy := delays(false), delays(true); !slices.Equal(quiet, busy) {
		t.Errorf("delays alone %v, beside another connection %v; want the same", quiet, busy)
	}
}
