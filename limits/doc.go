// Package limits keeps a program within what others allow it: so many requests
// a minute, so many tokens a minute, so many connections at once.
//
// An API that bills by tokens has several limits at a time, and what a call
// costs is known only when it has been answered. Limiters that are taken one
// after the other hold one limit while they wait for the next, poll, and never
// hear of the real cost. Here all limits of a call are one [Set], a [Request]
// takes from all of them or from none, and the [Permit] is settled to actual
// use afterwards:
//
//	api := limits.MustNew(
//		limits.Calls(500, time.Minute),
//		limits.Rate("tokens", 200_000, time.Minute),
//		limits.Resource("connections", 20),
//	)
//	permit, err := api.Acquire(ctx, limits.Request{"tokens": 1_500})
//	if err != nil {
//		return err
//	}
//	defer permit.Release()
//	answer, err := ask(ctx, prompt)
//	if err != nil {
//		return err
//	}
//	return permit.Update("tokens", answer.TokensUsed)
//
// Package task does this by itself for the functions that it runs.
//
// # Limits
//
// [Rate] bounds an amount over time, by one of five [Algorithm]s. [Calls] is a
// Rate that counts requests. [Resource] bounds what is held at once. A [Set]
// groups those that are needed together; a [Pool] stands for several Sets that
// can replace each other. Both are a [Limiter].
//
// # Waiting
//
// Who cannot be served waits in the queue of each limit that it needs, and is
// next when it is first in all of them. What ends the wait is an event: a
// release, a report of less use, the end of a pause, or the one timer of the
// Set, set to the very instant at which the next request can be granted.
// [Limiter.Acquire] blocks its caller meanwhile; [Queuer.Enqueue] does not.
//
// # Guarantees
//
//   - A request is granted in full or takes nothing.
//   - A request waits only behind earlier requests that share a key with an
//     amount above zero, and nothing overtakes it, TryAcquire included.
//   - No algorithm admits more than its line in the table at [Algorithm], for
//     any stream of requests; a Resource is never held beyond its capacity.
//   - What was granted reaches the caller, or was never granted: also when ctx
//     ends, the ticket is cancelled or the Set is closed at that moment.
//   - A request that could never be granted is an error at once.
//   - Decisions follow the monotonic clock. Setting the wall clock changes none.
//   - A Set needs no goroutine, and no timer unless somebody waits for time to
//     pass. Nothing of it is shared by the process, so that a Set made in a
//     testing/synctest bubble lives and stops there.
//   - Callbacks run under no lock.
//
// # Not guaranteed
//
//   - A permit that is never released holds its resources for ever.
//   - What an abandoned call really used is not known: without a report, the
//     request stands.
//   - Use beyond the request has happened before it is charged; the debt delays
//     later grants and cannot undo it.
//   - Limits count in this process. Package remote shares them among several.
package limits
