// Package actor is the runtime under troupe: a [System] that owns or joins a
// protoactor-go actor system, and the [Future] by which every call is answered.
//
// Most programs need only package task; this package is for those who share a
// system between several tasks, look at it, or mix tasks with actors of their
// own.
//
//	sys := actor.NewSystem(actor.Name("images"))
//	defer sys.Stop(context.Background())
//
// # Futures and actors
//
// A Future completes exactly once. It has a PID when one is asked for
// ([Future.PID]), so that any actor can complete it by a message, and it can be
// piped to actors ([Future.PipeTo]), each of which receives a [Result] by value.
//
// # Guarantees
//
//   - A Future is completed once; every waiter sees the same outcome.
//   - Waiting holds no goroutine of ours, and nothing polls.
//   - A panic in a callback is contained and logged.
//   - [System.Stop] never shuts down an ActorSystem that it did not make.
//
// # Not guaranteed
//
//   - The order in which several waiters of one Future are woken.
package actor
