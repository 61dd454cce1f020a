// Package supervisor says what happens to a child that failed: whether it is
// restarted, how often and after which delay, which siblings share its fate,
// and when to give up.
//
// A [Policy] is a plain value that decides and does nothing else. It can be
// given to a pool of this module, to any protoactor actor by
// [Policy.Strategy], or be asked directly by [Policy.Next].
//
//	policy := supervisor.Policy{
//		MaxRestarts: 5,
//		Within:      time.Minute,
//		Backoff:     supervisor.Backoff{Initial: 100 * time.Millisecond, Max: 10 * time.Second, Jitter: 0.2},
//	}
//	parent := proto.PropsFromProducer(newParent, policy.Option())
//
// # Budget
//
// Restarting helps against passing faults. Against lasting ones it only
// burns time, so restarts are limited: any stretch of Within holds at most
// MaxRestarts of them. The failure after that is the supervisor's own and goes
// to its parent, which may restart the supervisor with all that is below it.
// The budget belongs to the supervisor, not to each child, and so does the
// row of restarts that lengthens the backoff.
//
// # Directives
//
// [Policy.Decide] chooses by the error: [Restart] (spends budget), [Resume]
// (does not), [Stop], or [Escalate].
//
// # Guarantees
//
//   - Until it escalates, a supervisor begins at most MaxRestarts restarts in
//     any stretch of Within. A restart of several children counts once.
//   - No delay is longer than Backoff.Max, and the delays of a row grow
//     exponentially up to it.
//   - A failure ends in a restart, a resumed child, a reported stop or an
//     escalation, never in the end of the process, also at a root or under a
//     guardian.
//   - A child that is being stopped is not brought back by a failure in its
//     Stopping handler, and its parent does not wait for it in vain.
//   - Memory is bounded by MaxRestarts for each supervisor that lives.
//   - Waiting for a restart holds a timer, no goroutine.
//
// # Not guaranteed
//
//   - The message that an actor panicked at is lost. Whoever waits for an
//     answer to it is not told; the pools of this module do tell.
//   - Children of one scope are restarted side by side, not in order.
//   - When a supervisor stops, the timer of a restart that was due later stays
//     until then and does nothing.
package supervisor
