// Package link is one connection between two nodes, or a parent and its child
// process, over any net.Conn. It carries the envelopes of package wire, whose
// calls, answers and limits mean nothing to it.
//
//	conn, welcome, err := link.Dial(ctx, nc, link.Config{Incarnation: id, Name: "alpha", Token: token}, hello)
//	if err != nil {
//		return err
//	}
//	go func() { ended <- conn.Serve(receive) }()
//	conn.AddCall(call, wire.Names{Task: "square", Codec: "cbor"})
//	conn.Flush()
//
// Only one side needs to be dialable: both send over the same connection.
//
// # Writing
//
// Add and Set put something into the envelope that goes out next. They never
// block and write nothing. There are four ways to write:
//
//   - Flush writes on the caller's goroutine, or leaves it to whoever is
//     writing. One at a time, it costs no switch of goroutines; with many
//     senders, each write serves all that came meanwhile. It blocks while the
//     other side does not read.
//   - Kick leaves it to the Conn's goroutine and never blocks. It is what
//     receive calls: if both sides blocked there, neither would read.
//   - Push is Flush for a little, and Kick for more. Who calls it serves others
//     too, and must not be kept by this side.
//   - FlushWait is Flush that also waits for whoever is writing.
//
// Nothing waits for company: there is no timer. An envelope has at most 1 MiB,
// or one item of up to [Conn.MaxBytes].
//
// # Handshake
//
// Who dialled speaks first: a preamble of 52 bytes with versions, heartbeat,
// bound and a nonce. The other side answers its own. If both have a token, each
// proves that it knows it by an HMAC-SHA256 over its role, both preambles and,
// with TLS, key material of that connection; who dialled proves first. Then the
// frames begin, each a length of four bytes and an envelope: Hello and Welcome.
//
// # Signs of life
//
// Both sides send a pulse when they have sent nothing else for a heartbeat of
// the side that wants more of them. A side that hears not one byte for three of
// its own heartbeats in a row, while it listens, ends the connection with
// [ErrSilent]. So a frozen peer is noticed even by a side that waits to write
// to it. One that speaks and reads nothing of what waits for it, for as long, ends
// with [ErrUnread]; only pulses may wait for longer. A peer whose process dies is noticed at once. Ticks are counted and not
// time, so that a process that was suspended does not blame the other side.
//
// # Goroutines
//
// Serve runs on its caller's goroutine and owns two: one writes after Kick, one
// ticks. Both are gone when it returns. There is none before Serve, so that a
// Conn that is closed without leaves nothing.
//
// # Guarantees
//
//   - receive sees what was added in the order in which it was, each once and
//     none left out, up to some point at which the connection ends.
//   - An envelope that comes again, or is from or for another incarnation, is
//     dropped and counted. One that is missing ends the connection.
//   - No input makes Dial, Accept or Serve panic. A peer without the token, or
//     without the certificate, makes Accept take 64 KiB at most, and a frame
//     that was announced and does not come takes nothing.
//   - Every end of a connection has a reason that names both sides.
//   - It works within testing/synctest over a net.Conn that does.
//
// # Not guaranteed
//
//   - What was written may not have arrived, unless it was answered or Finish
//     returned nil.
//   - What waits to be written has no bound: callers have one for their calls,
//     and Waiting and Shrink for what they answer.
//   - A token without TLS proves knowledge at the beginning. Who can change
//     what passes on the wire, or is dialled and passes it on elsewhere, can
//     take the connection over after. TLS excludes that.
//   - A side that does not call Serve, or stays in receive, does not notice
//     that the other one is gone.
package link
