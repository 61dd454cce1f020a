package limits

import "github.com/troupe-go/troupe/actor"

// AcquireMsg asks the actor of a Set, see [Set.PID], for a permit. The answer
// is an [actor.Result] of *[Permit], by value, to the sender: at once if the
// request is granted or in error, else when it is granted in its turn. Without
// a sender it does nothing. If the answer finds no address, the permit is
// released; but a future that is complete by then may swallow it: one of
// protoactor's that has timed out, an [actor.Future] that was cancelled.
type AcquireMsg struct {
	Request Request
	// Try asks for [ErrUnavailable] in place of a wait.
	Try bool
	// Holder is the actor for which the permit is taken: when it terminates, its
	// permits are released and its requests given up, also if the answer is
	// still in its mailbox, and also after the actor of the Set has stopped. A
	// restart is no termination. Defaults to the sender if that is an actor in
	// the same engine; so name another one for a permit that is to be passed
	// on. With a future or an actor elsewhere as the sender there is none.
	Holder *actor.PID
}

// ReleaseMsg reports what was used of a permit, if anything is in Used, as
// [Permit.Update] does, and releases it. A sender is answered with an
// [actor.Result] of struct{} that has the errors of the reports. The methods of
// the Permit do the same without a message.
type ReleaseMsg struct {
	Permit *Permit
	Used   Request
}

// StatsMsg asks for [Set.Stats]. The answer is an [actor.Result] of []Stat.
type StatsMsg struct{}
