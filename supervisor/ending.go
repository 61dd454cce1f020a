package supervisor

import (
	"reflect"
	"strings"
	"weak"

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
	return !present(f.system, f.child) || f.record.isLeaving(f.child) || goingDown(f.supervisor)
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
	t, below := seen(f.system, f.child), f.below()
	helped := f.record.leave(f.system, true, f.child)
	switch {
	case t.process == nil || helped && terminated && len(below) == 0:
		f.abandon()
	case helped && terminated:
		// It panics at each Terminated: wait for that of the last one below.
	default:
		// Its children may not have been told yet. It is told itself because
		// it may not be stopping at all, but have handed up the failed stop of
		// its own child.
		for _, t := range append(below, t) {
			t.endStop()
		}
	}
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

// below finds the actors below the child, by their names: only the child itself
// could list its children. A walk over the registry takes about a millisecond,
// which is why nothing but a failed stop does it.
func (f *failure) below() (found []target) {
	registry := f.system.ProcessRegistry
	for _, bucket := range registry.LocalPIDs.LocalPIDs {
		bucket.IterCb(func(id string, process any) {
			if actor, ok := process.(*proto.ActorProcess); ok && strings.HasPrefix(id, f.child.Id+"/") {
				found = append(found, target{pid: proto.NewPID(registry.Address, id), process: actor})
			}
		})
	}
	return found
}

// endStop makes an actor stop, and take the final step if only that is left.
// What it needs for it is some Terminated: then the engine looks again whether
// any child is alive.
func (t target) endStop() {
	t.process.SendSystemMessage(t.pid, &proto.Stop{})
	t.process.SendSystemMessage(t.pid, &proto.Terminated{Who: t.pid})
}

// goingDown reports whether the engine is about to stop or restart the
// supervisor and has therefore told all children to stop. It keeps that in an
// unexported field and shows it nowhere else. Reading it is safe here, on the
// goroutine of the supervisor, the only one that writes it. Without it, the
// probe of fire would still end what it revived, but under a name that the
// restarted supervisor may have given to somebody new.
func goingDown(supervisor proto.Supervisor) bool {
	v := reflect.Indirect(reflect.ValueOf(supervisor))
	if v.Kind() != reflect.Struct || v.Type().PkgPath() != enginePath {
		return false
	}
	state := v.FieldByName("state")
	return state.IsValid() && state.CanInt() && state.Int() != 0
}

var enginePath = reflect.TypeFor[proto.Props]().PkgPath()

// leave enters children that are told to stop. It reports whether the first one
// has been helped before.
func (r *record) leave(system *proto.ActorSystem, help bool, children ...*proto.PID) (helped bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropGone(system)
	if r.leaving == nil {
		r.leaving = make(map[weak.Pointer[proto.PID]]bool)
	}
	helped = r.leaving[weak.Make(children[0])]
	for _, pid := range children {
		child := weak.Make(pid)
		r.leaving[child] = help || r.leaving[child]
	}
	return helped
}

// dropGone forgets those who left and are gone, whenever there may be as many of
// them as there are others: that makes it cheap for each stop. Under mu.
func (r *record) dropGone(system *proto.ActorSystem) {
	const slack = 16 // not worth it below
	if len(r.leaving) < 2*r.staying+slack {
		return
	}
	for child := range r.leaving {
		if pid := child.Value(); pid == nil || !present(system, pid) {
			delete(r.leaving, child)
		}
	}
	r.staying = len(r.leaving)
}

func (r *record) isLeaving(child *proto.PID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, leaving := r.leaving[weak.Make(child)]
	return leaving
}

func present(system *proto.ActorSystem, pid *proto.PID) bool {
	_, ok := system.ProcessRegistry.Get(pid)
	return ok
}
