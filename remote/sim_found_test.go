package remote

import (
	"testing"
	"time"
)

// simFound are plans for what the simulation has found: each comes to the point
// at which something was wrong.
var simFound = map[string]*simPlan{
	// A lost call was sent to another node and came back from there, called back
	// from behind another one: it had begun before, and has no wait to bound.
	"no QueueTimeout after a loss": {
		hosts: []string{"a", "b"}, capacity: 1, members: 1, slots: 4, heartbeat: 100 * time.Millisecond,
		calls: []*simOrder{
			{kind: simAgain, arg: simArg{ID: 1, Takes: time.Second}, queue: 50 * time.Millisecond, at: 100 * time.Millisecond},
			{kind: simAgain, arg: simArg{ID: 2, Takes: time.Second}, queue: 50 * time.Millisecond, at: 100 * time.Millisecond},
		},
		faults: []simFault{{what: "kill", host: "a", at: 200 * time.Millisecond, until: 5 * time.Second}},
	},
	// The member is restarted since call 3 has panicked, and its state cannot be
	// closed before call 4 has ended: a drain must not forget about it.
	"a drain closes members that wait for it": {
		hosts: []string{"a"}, capacity: 1, members: 1, slots: 4, heartbeat: 100 * time.Millisecond,
		calls: []*simOrder{
			{kind: simAsk, key: "k", arg: simArg{ID: 1}},
			{kind: simSubmit, arg: simArg{ID: 2, Takes: 300 * time.Millisecond}, at: 100 * time.Millisecond},
			{kind: simAsk, key: "k", arg: simArg{ID: 3, Fate: "panic"}, at: 110 * time.Millisecond},
			{kind: simSubmit, arg: simArg{ID: 4, Takes: 300 * time.Millisecond}, at: 120 * time.Millisecond},
		},
		faults: []simFault{{what: "drain", host: "a", at: 500 * time.Millisecond, until: 600 * time.Millisecond}},
	},
}

func TestWhatTheSimulationHasFound(t *testing.T) {
	for name, plan := range simFound {
		t.Run(name, func(t *testing.T) {
			simulate(t, plan)
		})
	}
}
