package supervisor

import (
	"reflect"
	"strings"

	proto "github.com/asynkron/protoactor-go/actor"
)

// The engine treats the failure of an actor that is being stopped like any
// other. Restarted, the actor comes back to life, and whoever stopped it
// waits for ever; not restarted, it stays half stopped, and so does its
// parent. What follows sees to it that a stop, once begun, ends.

// leaving reports whether the child is known to be on its way out, or gone.
func (f *failure) leaving() bool {
	if _, stopping := f.message.(*proto.Stop); stopping {
		return true // it panicked in Stopping or Stopped
	}
	_, present := f.system.ProcessRegistry.Get(f.child)
	return !present || f.record.isLeaving(f.child) || goingDown(f.supervisor)
}

// finish completes the stop of a child that is leaving.
//
// Most failures need no help: the stop is in the child's mailbox and will be
// handled although the child is suspended. Only a panic in the engine's own
// steps of stopping cuts them short: in Stop, or in the Terminated of a
// grandchild, of which the last one triggers the final step.
func (f *failure) finish() {
	_, stop := f.message.(*proto.Stop)
	_, terminated := f.message.(*proto.Terminated)
	if !stop && !terminated {
		return
	}
	process, ok := f.system.ProcessRegistry.Get(f.child)
	helped := f.record.leave(f.system, true, f.child)
	if !ok || helped && terminated {
		f.abandon()
		return
	}
	// Its children may not have been told yet. That it is told again is for a
	// child that is not stopping itself, but has handed up the failed stop of
	// its own child.
	f.stopBelow()
	target{pid: f.child, process: process}.endStop()
}

// abandon takes leave of a child that cannot take the final step: its Stopped
// handler panicked, or it panics at everything that it is told.
func (f *failure) abandon() {
	f.system.ProcessRegistry.Remove(f.child)
	if f.ctx == nil {
		return
	}
	if supervisor, ok := f.system.ProcessRegistry.Get(f.ctx.Self()); ok {
		supervisor.SendSystemMessage(f.ctx.Self(), &proto.Terminated{Who: f.child})
	}
}

// stopBelow ends everything below the child. Only the child itself
// can list its children, so they are found by their names. Sent after the
// search, because a handler that runs at once would wait for the registry.
func (f *failure) stopBelow() {
	var below []target
	registry := f.system.ProcessRegistry
	for _, bucket := range registry.LocalPIDs.LocalPIDs {
		bucket.IterCb(func(id string, process any) {
			if strings.HasPrefix(id, f.child.Id+"/") {
				below = append(below, target{pid: proto.NewPID(registry.Address, id), process: process.(proto.Process)})
			}
		})
	}
	for _, t := range below {
		if _, actor := t.process.(*proto.ActorProcess); actor {
			t.endStop()
		}
	}
}

// endStop makes an actor stop, and take the final step if only that is left.
// What it needs for it is some Terminated: then the engine looks again whether
// any child is alive.
func (t target) endStop() {
	t.process.SendSystemMessage(t.pid, &proto.Stop{})
	t.process.SendSystemMessage(t.pid, &proto.Terminated{Who: t.pid})
}

// goingDown reports whether the engine is about to stop or restart the
// supervisor and has therefore told all children to stop. It keeps that
// in an unexported field, and shows it nowhere else; reading it is safe here,
// on the goroutine of the supervisor, the only one that writes it.
func goingDown(supervisor proto.Supervisor) bool {
	v := reflect.Indirect(reflect.ValueOf(supervisor))
	if v.Kind() != reflect.Struct || v.Type().PkgPath() != enginePath {
		return false
	}
	state := v.FieldByName("state")
	return state.IsValid() && state.CanInt() && state.Int() != 0
}

var enginePath = reflect.TypeFor[proto.Props]().PkgPath()

// leave enters children that are told to stop, and drops those that are gone.
// It reports whether the first one has been helped before.
func (r *record) leave(system *proto.ActorSystem, help bool, children ...*proto.PID) (helped bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for pid := range r.leaving {
		if _, ok := system.ProcessRegistry.Get(pid); !ok {
			delete(r.leaving, pid)
		}
	}
	if r.leaving == nil {
		r.leaving = make(map[*proto.PID]bool)
	}
	helped = r.leaving[children[0]]
	for _, pid := range children {
		r.leaving[pid] = help || r.leaving[pid]
	}
	return helped
}

func (r *record) isLeaving(child *proto.PID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, leaving := r.leaving[child]
	return leaving
}
