// Package progress shows how far a long run has come: a bar with count, rate
// and time left on a terminal, one plain line every few seconds elsewhere, and
// in both cases a closing line with the exact counts.
//
//	bar := progress.Start("hashing", len(files))
//	for err := range results {
//		bar.Add(1, failures(err))
//	}
//	bar.Finish(nil)
//
// # Guarantees
//
//   - The work is never disturbed. Counting is two atomic additions; drawing
//     happens on goroutines of this package, which sample the counters. A
//     writer that fails is ignored. One that blocks delays [Bar.Finish] by a
//     second at most, and nothing else. Once it is known to be stuck Finish
//     does not wait at all, and closing lines may be lost.
//   - The closing line counts every [Bar.Add] that returned before
//     [Bar.Finish] was called.
//   - When the last bar of an [Output] has finished, no goroutine is left,
//     unless the writer still blocks: what waits for it ends when it returns.
//   - Plain lines share no channel, timer or goroutine with other bars, so
//     that bars on one Output work in different testing/synctest bubbles, on
//     fake time.
//
// # Not guaranteed
//
// What the program itself prints on the same terminal while a bar is drawn
// may be overdrawn. Of more than 50 bars at once the others are drawn when
// there is room. In a test binary standard error always gets plain lines.
package progress
