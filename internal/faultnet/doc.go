// Package faultnet has networks that misbehave on purpose, for tests of what
// speaks over connections. Only tests import it.
//
// # In memory
//
// A [Network] lives in the memory of one test, best in a testing/synctest
// bubble: all that waits in it waits for channels, conditions and timers, so
// fake time advances, and an hour of latency takes no time.
//
//	synctest.Test(t, func(t *testing.T) {
//		n := faultnet.New(1)
//		l, err := n.Listen("b:1")
//		...
//		c, err := n.Dial(t.Context(), "a", "b:1")
//		n.Latency(time.Millisecond, 9*time.Millisecond)
//		n.Partition("a", "b")
//		...
//		n.Heal("a", "b")
//	})
//
// Hosts need not be declared: the host of an address is its part before the
// port. Wherever a host is asked for, one of its addresses does, too.
//
// # Real processes
//
// A [Proxy] is a TCP port that passes on to another. It delays, holds, cuts
// and damages what goes through it, as it is told while it runs.
//
// # Guarantees
//
//   - Bytes of one direction of a connection stay in order, whatever the delay.
//   - What was held by a partition arrives after it.
//   - All draws of a Network come from its seed, those of a connection from
//     seed, dialling host, address and how many dials there were between them:
//     what happens on one does not change what is drawn for another. The same
//     calls in the same order give the same run.
//   - A Network has no goroutine of its own, and timers only while a call
//     waits. After [Proxy.Close] nothing of a Proxy is left.
//
// # Not guaranteed
//
//   - Where goroutines act at the same time, their order is up to the Go
//     scheduler, also under one seed.
//   - Where one Read ends and the next begins: a connection is a stream.
package faultnet
